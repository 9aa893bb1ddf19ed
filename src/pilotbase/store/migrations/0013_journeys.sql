-- The cases of one need, for its openness.
CREATE INDEX cases_of_need ON cases (need, created, id);
