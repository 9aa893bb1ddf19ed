CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    pilot TEXT NOT NULL,
    state TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    spec_digest TEXT NOT NULL DEFAULT '',
    criteria_digest TEXT NOT NULL DEFAULT '',
    data_digest TEXT NOT NULL DEFAULT '',
    scenario TEXT NOT NULL DEFAULT '',
    round INTEGER NOT NULL DEFAULT 1,
    options TEXT NOT NULL DEFAULT '{}', -- JSON
    verdict TEXT,
    result TEXT
);
CREATE INDEX runs_newest ON runs (created DESC);
CREATE INDEX runs_of_pilot ON runs (pilot, created DESC);
CREATE INDEX runs_of_data ON runs (data_digest, created DESC);

CREATE TABLE segments (
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    previous TEXT NOT NULL,
    content_digest TEXT NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
);

CREATE TABLE criteria (
    digest TEXT PRIMARY KEY,
    recorded TEXT NOT NULL,
    document TEXT NOT NULL,
    countersignature TEXT
);
CREATE INDEX criteria_newest ON criteria (recorded DESC);

CREATE TABLE run_candidates (
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    candidate TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (run, candidate)
);
CREATE INDEX run_candidates_of_fingerprint ON run_candidates (fingerprint);

-- A spent round stays spent when its run is removed, so it refers to no other table.
CREATE TABLE rounds (
    scenario TEXT NOT NULL,
    data_digest TEXT NOT NULL,
    round INTEGER NOT NULL,
    run TEXT NOT NULL,
    recorded TEXT NOT NULL,
    PRIMARY KEY (scenario, data_digest, round)
);
CREATE INDEX rounds_newest ON rounds (recorded DESC);

CREATE TABLE trust (
    fingerprint TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    added TEXT NOT NULL,
    revoked TEXT
);
CREATE INDEX trust_newest ON trust (added DESC);
