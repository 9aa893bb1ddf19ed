-- What the catalogue lists: needs of scenarios, and capabilities.
CREATE TABLE entries (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, -- need, capability
    organisation TEXT NOT NULL,
    state TEXT NOT NULL,
    area TEXT NOT NULL DEFAULT '', -- of a need; a capability may have several
    title TEXT NOT NULL,
    document TEXT NOT NULL, -- JSON
    created TEXT NOT NULL,
    published TEXT, -- first
    version BIGINT NOT NULL
);
CREATE INDEX entries_of_kind ON entries (kind, created, id);
CREATE INDEX entries_of_state ON entries (kind, state, created, id);
CREATE INDEX entries_of_organisation ON entries (organisation, kind, created, id);

-- What happened to an entry and is counted later (openness, indicators); never changed.
CREATE TABLE entry_events (
    entry TEXT NOT NULL,
    seq BIGINT NOT NULL, -- from 1 for each entry
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON
    PRIMARY KEY (entry, seq)
);
