-- Who uses the base: organisations and their members, each with roles.
CREATE TABLE organisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created TEXT NOT NULL
);

CREATE TABLE members (
    id TEXT PRIMARY KEY,
    login TEXT NOT NULL UNIQUE, -- in lower case
    name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    roles TEXT NOT NULL, -- JSON
    password TEXT NOT NULL, -- argon2id, or '' where none was set
    language TEXT NOT NULL DEFAULT '', -- '' follows the browser
    theme TEXT NOT NULL DEFAULT '', -- '' follows the system
    created TEXT NOT NULL,
    disabled TEXT,
    version BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX members_of ON members (organisation);

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY, -- SHA-256 of the cookie's token
    member TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created BIGINT NOT NULL, -- seconds since the epoch
    seen BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX sessions_of ON sessions (member);

-- Failed sign-ins, by what is throttled: a login, or an address.
CREATE TABLE login_failures (
    subject TEXT NOT NULL,
    at BIGINT NOT NULL, -- seconds since the epoch
    nonce TEXT NOT NULL,
    PRIMARY KEY (subject, at, nonce)
);

-- The audit log as a chain: each entry's digest covers the one before it.
CREATE TABLE audit_chain (
    seq BIGINT PRIMARY KEY,
    entry TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL
);
