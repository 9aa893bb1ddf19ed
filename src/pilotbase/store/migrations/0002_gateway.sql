CREATE TABLE control (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO control (name, value) VALUES ('epoch', 0);

CREATE TABLE routes (
    name TEXT PRIMARY KEY,
    document TEXT NOT NULL, -- JSON
    created TEXT NOT NULL,
    removed TEXT,
    changed BIGINT NOT NULL -- the epoch of the last change
);
CREATE INDEX routes_changed ON routes (changed);

CREATE TABLE access_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    created TEXT NOT NULL,
    budget BIGINT, -- nanos
    currency TEXT,
    rpm BIGINT,
    tpm BIGINT,
    routes TEXT, -- JSON
    expires TEXT,
    revoked TEXT,
    cut BIGINT NOT NULL DEFAULT 0,
    admin BIGINT NOT NULL DEFAULT 0,
    replaces TEXT,
    changed BIGINT NOT NULL
);
CREATE INDEX access_keys_changed ON access_keys (changed);
CREATE INDEX access_keys_newest ON access_keys (created DESC);

CREATE TABLE stops (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    why TEXT NOT NULL,
    who TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL -- JSON
);
CREATE INDEX audit_newest ON audit (at DESC);

-- One row a request, whatever became of it. Amounts in nanos.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    access_key TEXT NOT NULL,
    route TEXT NOT NULL,
    upstream TEXT NOT NULL DEFAULT '',
    endpoint TEXT NOT NULL,
    day TEXT NOT NULL, -- UTC
    started BIGINT NOT NULL, -- microseconds since the epoch
    seconds DOUBLE PRECISION,
    ttft DOUBLE PRECISION,
    state TEXT NOT NULL, -- open, settled, released, in-doubt
    currency TEXT NOT NULL,
    reserved BIGINT NOT NULL,
    settled BIGINT NOT NULL DEFAULT 0,
    released BIGINT NOT NULL DEFAULT 0,
    overrun BIGINT NOT NULL DEFAULT 0,
    tokens_reserved BIGINT NOT NULL DEFAULT 0,
    tokens_in BIGINT NOT NULL DEFAULT 0,
    tokens_out BIGINT NOT NULL DEFAULT 0,
    tokens_cached BIGINT NOT NULL DEFAULT 0,
    source TEXT NOT NULL DEFAULT 'none', -- upstream, estimate, policy, none
    outcome TEXT NOT NULL DEFAULT '',
    status BIGINT,
    detail TEXT NOT NULL DEFAULT '{}' -- JSON
);
CREATE INDEX requests_of_key ON requests (access_key, started);
CREATE INDEX requests_of_route ON requests (route, started);
CREATE INDEX requests_of_day ON requests (day);
CREATE INDEX requests_open ON requests (worker, state);

-- Sums kept as records are applied; `usage reconcile` computes them again from the rows.
CREATE TABLE balances (
    access_key TEXT NOT NULL,
    route TEXT NOT NULL,
    currency TEXT NOT NULL,
    requests BIGINT NOT NULL DEFAULT 0,
    reserved BIGINT NOT NULL DEFAULT 0,
    settled BIGINT NOT NULL DEFAULT 0,
    released BIGINT NOT NULL DEFAULT 0,
    in_doubt BIGINT NOT NULL DEFAULT 0,
    overrun BIGINT NOT NULL DEFAULT 0,
    tokens_in BIGINT NOT NULL DEFAULT 0,
    tokens_out BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (access_key, route, currency)
);

-- How far each worker's write-ahead log has been applied, in the transaction that applied it.
CREATE TABLE wal_marks (
    worker TEXT PRIMARY KEY,
    applied BIGINT NOT NULL, -- bytes
    records BIGINT NOT NULL,
    closed TEXT -- when its last record was applied and its leases were taken back
);

-- Money that workers deducted in advance: what is outstanding is granted - returned - charged.
CREATE TABLE leases (
    worker TEXT NOT NULL,
    access_key TEXT NOT NULL,
    granted BIGINT NOT NULL DEFAULT 0,
    returned BIGINT NOT NULL DEFAULT 0,
    charged BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (worker, access_key)
);
CREATE INDEX leases_of_key ON leases (access_key);

-- Requests and tokens granted in each second, for the limits a minute.
CREATE TABLE windows (
    access_key TEXT NOT NULL,
    second BIGINT NOT NULL,
    requests BIGINT NOT NULL DEFAULT 0,
    tokens BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (access_key, second)
);

-- Answers kept for an Idempotency-Key; `body` is base64.
CREATE TABLE replays (
    access_key TEXT NOT NULL,
    replay_key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    at BIGINT NOT NULL, -- seconds since the epoch
    status BIGINT,
    headers TEXT,
    body TEXT,
    PRIMARY KEY (access_key, replay_key)
);

-- Which upstream made a stored response, so that what refers to it goes there again, and whose it is.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    access_key TEXT NOT NULL,
    route TEXT NOT NULL,
    upstream TEXT NOT NULL,
    at BIGINT NOT NULL
);
