-- Work that members start in the browser; a process of its own does each. See domain/job.py.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, -- run, resume, dossier, explain
    home TEXT NOT NULL, -- where its files lie: only a supervisor of that home takes it
    workspace TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '', -- of the workspace's version
    run TEXT NOT NULL DEFAULT '',
    organisation TEXT NOT NULL DEFAULT '',
    who TEXT NOT NULL,
    state TEXT NOT NULL, -- queued, running, done, failed, stopped, refused
    attempt BIGINT NOT NULL DEFAULT 0,
    beat BIGINT NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL DEFAULT '',
    process TEXT NOT NULL DEFAULT '', -- pid and start time of the worker
    stop_by TEXT NOT NULL DEFAULT '',
    told TEXT NOT NULL DEFAULT '', -- an error in words
    progress TEXT NOT NULL DEFAULT '{}', -- JSON, rewritten while it runs
    created TEXT NOT NULL,
    started TEXT,
    ended TEXT
);
CREATE INDEX jobs_newest ON jobs (created, id);
CREATE INDEX jobs_waiting ON jobs (home, state, created, id);
CREATE INDEX jobs_of_run ON jobs (run, created, id);
CREATE INDEX jobs_of_workspace ON jobs (workspace, created, id);

-- Pilots of members: a name, and its versions, each a folder in the home under its digest, which is never changed.
CREATE TABLE workspaces (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    who TEXT NOT NULL,
    version BIGINT NOT NULL, -- the newest
    created TEXT NOT NULL,
    changed TEXT NOT NULL
);
CREATE INDEX workspaces_newest ON workspaces (created, id);

CREATE TABLE workspace_versions (
    workspace TEXT NOT NULL,
    version BIGINT NOT NULL, -- from 1
    digest TEXT NOT NULL,
    who TEXT NOT NULL,
    at TEXT NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    home TEXT NOT NULL,
    PRIMARY KEY (workspace, version)
);
