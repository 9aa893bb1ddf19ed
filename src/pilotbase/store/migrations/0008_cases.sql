-- Admission cases: an application on its way into a scenario.
CREATE TABLE cases (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    need TEXT NOT NULL,
    capability TEXT NOT NULL,
    vendor TEXT NOT NULL, -- organisations
    owner TEXT NOT NULL,
    due TEXT,
    document TEXT NOT NULL, -- JSON
    created TEXT NOT NULL,
    records BIGINT NOT NULL, -- how many there are
    head TEXT NOT NULL, -- digest of the newest one
    version BIGINT NOT NULL
);
CREATE INDEX cases_newest ON cases (created, id);
CREATE INDEX cases_of_state ON cases (state, created, id);
CREATE INDEX cases_of_entries ON cases (capability, need);
CREATE INDEX cases_due ON cases (due, id);

-- For whom a case is in a list: `of` it is a party, or it `waits` for them; '' is the base.
CREATE TABLE case_concerns (
    organisation TEXT NOT NULL,
    kind TEXT NOT NULL, -- of, waits
    created TEXT NOT NULL, -- as the case's
    admission TEXT NOT NULL,
    PRIMARY KEY (organisation, kind, created, admission)
);
CREATE INDEX case_concerns_of ON case_concerns (admission);

-- What was done to a case, signed; never changed.
CREATE TABLE case_records (
    admission TEXT NOT NULL,
    seq BIGINT NOT NULL, -- from 1 for each case
    envelope TEXT NOT NULL, -- DSSE
    PRIMARY KEY (admission, seq)
);

-- Whether a run on some criteria began before they were signed.
CREATE INDEX runs_of_criteria ON runs (criteria_digest, created);
