-- What a release does with a request: which arm answered it, for whom, and of which request a shadow is the copy.
ALTER TABLE requests ADD COLUMN arm TEXT NOT NULL DEFAULT ''; -- '' (no release), stable, candidate, shadow
ALTER TABLE requests ADD COLUMN release_id TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN person TEXT NOT NULL DEFAULT ''; -- a keyed hash, never a name
ALTER TABLE requests ADD COLUMN copy_of TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_of_release ON requests (release_id, arm, started);

-- One row a release; `document` holds its plan, what it rests on, both arms, and how far its criteria were decided.
CREATE TABLE releases (
    id TEXT PRIMARY KEY,
    route TEXT NOT NULL,
    state TEXT NOT NULL, -- see domain/release.py
    rung BIGINT NOT NULL,
    version BIGINT NOT NULL, -- of every change, which names the one that it found
    started TEXT NOT NULL,
    changed TEXT NOT NULL,
    document TEXT NOT NULL -- JSON
);
CREATE INDEX releases_of_route ON releases (route, started);
-- At most one release of a route is under way.
CREATE UNIQUE INDEX releases_under_way ON releases (route) WHERE state NOT IN ('rolled-back', 'ended');

-- What its leader saw last, rewritten as it looks; and what its inputs and outputs looked like in the pilot.
CREATE TABLE release_sights (
    release_id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    document TEXT NOT NULL -- JSON
);
CREATE TABLE release_references (
    release_id TEXT PRIMARY KEY,
    document TEXT NOT NULL -- JSON
);

CREATE TABLE release_events (
    id TEXT PRIMARY KEY,
    release_id TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL -- JSON
);
CREATE INDEX release_events_of ON release_events (release_id, at);

-- Who decides: the beat moves while the holder lives, the term at every change of holder.
CREATE TABLE leaders (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    term BIGINT NOT NULL,
    beat BIGINT NOT NULL
);

-- Requests and answers of a declared sample, kept until they are scored and labelled, at most as long as the plan says.
CREATE TABLE samples (
    request TEXT PRIMARY KEY,
    release_id TEXT NOT NULL,
    arm TEXT NOT NULL,
    at BIGINT NOT NULL, -- microseconds since the epoch
    endpoint TEXT NOT NULL,
    streamed BIGINT NOT NULL DEFAULT 0,
    asked TEXT, -- the request's body
    answered TEXT -- the answer's body
);
CREATE INDEX samples_of_release ON samples (release_id, at);

CREATE TABLE live_scores (
    request TEXT NOT NULL,
    check_id TEXT NOT NULL,
    release_id TEXT NOT NULL,
    value DOUBLE PRECISION, -- none: outside the check's denominator
    failed BIGINT NOT NULL DEFAULT 0,
    cost BIGINT NOT NULL DEFAULT 0, -- nanos spent on a judge
    at BIGINT NOT NULL,
    PRIMARY KEY (request, check_id)
);
CREATE INDEX live_scores_of_release ON live_scores (release_id, check_id);

CREATE TABLE feedback (
    request TEXT PRIMARY KEY,
    access_key TEXT NOT NULL,
    at BIGINT NOT NULL,
    good BIGINT NOT NULL,
    comment TEXT NOT NULL DEFAULT ''
);

-- Truths that came later, joined by the request's id.
CREATE TABLE live_labels (
    request TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL
);

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    last TEXT NOT NULL,
    count BIGINT NOT NULL DEFAULT 1,
    same TEXT NOT NULL, -- alerts of one cause share it
    route TEXT NOT NULL,
    release_id TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL,
    severity BIGINT NOT NULL,
    state TEXT NOT NULL, -- open, closed
    document TEXT NOT NULL -- JSON
);
CREATE UNIQUE INDEX alerts_open ON alerts (same) WHERE state = 'open';
CREATE INDEX alerts_newest ON alerts (at DESC);

CREATE TABLE deliveries (
    alert TEXT NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL, -- waiting, delivered, given-up
    tries BIGINT NOT NULL DEFAULT 0,
    due DOUBLE PRECISION NOT NULL, -- seconds since the epoch
    said TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL, -- JSON: the channel as it was declared
    PRIMARY KEY (alert, channel)
);
CREATE INDEX deliveries_due ON deliveries (state, due);

CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    route TEXT NOT NULL,
    kind TEXT NOT NULL, -- hazard, near-miss, incident, exercise
    severity BIGINT NOT NULL, -- 1 (worst) to 4
    state TEXT NOT NULL, -- open, contained, resolved, closed
    version BIGINT NOT NULL,
    detected TEXT NOT NULL,
    document TEXT NOT NULL -- JSON
);
CREATE INDEX incidents_newest ON incidents (detected DESC);
