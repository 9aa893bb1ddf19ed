-- Members' tokens for the API. Of a token's text the SHA-256 alone is kept.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    member TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    scopes TEXT NOT NULL, -- JSON
    created TEXT NOT NULL,
    expires TEXT NOT NULL,
    used TEXT, -- the hour in which it was last used
    revoked TEXT
);
CREATE INDEX tokens_of ON tokens (member, created DESC);

-- Answers of the API kept for an Idempotency-Key; without a status, the request is under way.
CREATE TABLE api_replays (
    caller TEXT NOT NULL,
    replay_key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    at BIGINT NOT NULL, -- seconds since the epoch
    status BIGINT,
    body TEXT, -- JSON, without secrets
    PRIMARY KEY (caller, replay_key)
);
CREATE INDEX api_replays_old ON api_replays (at);

-- What lists are paged by.
CREATE INDEX releases_newest ON releases (started DESC, id);
CREATE INDEX organisations_named ON organisations (name, id);
