-- What lists are read by, newest first, so that a page costs the same however long the list is.
CREATE INDEX runs_by_pilot ON runs (pilot);
CREATE INDEX runs_by_verdict ON runs (verdict);
CREATE INDEX runs_by_state ON runs (state);
-- PostgreSQL: CREATE INDEX runs_in_order ON runs (rowid);
-- PostgreSQL: CREATE INDEX runs_by_pilot_in_order ON runs (pilot, rowid);
-- PostgreSQL: CREATE INDEX runs_by_verdict_in_order ON runs (verdict, rowid);
DROP INDEX audit_newest;
CREATE INDEX audit_newest ON audit (at DESC, id DESC);
DROP INDEX incidents_newest;
CREATE INDEX incidents_newest ON incidents (detected DESC, id DESC);
CREATE INDEX incidents_by_state ON incidents (state, detected DESC, id DESC);
CREATE INDEX incidents_by_severity ON incidents (severity, detected DESC, id DESC);
CREATE INDEX incidents_by_kind ON incidents (kind, detected DESC, id DESC);
CREATE INDEX incidents_by_route ON incidents (route, detected DESC, id DESC);
DROP INDEX access_keys_newest;
CREATE INDEX access_keys_newest ON access_keys (created DESC, id);
DROP INDEX alerts_newest;
CREATE INDEX alerts_newest ON alerts (at DESC, id DESC);
CREATE INDEX alerts_by_state ON alerts (state, at DESC, id DESC);

-- What a finished run's page shows, as it was concluded from evidence of this identity; made anew where that is another.
CREATE TABLE run_sights (
    run TEXT PRIMARY KEY,
    evidence TEXT NOT NULL, -- a digest
    document TEXT NOT NULL -- JSON
);
