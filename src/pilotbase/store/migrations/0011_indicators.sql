-- Shares with their definitions, and the counts of each period.
CREATE TABLE indicators (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    numerator TEXT NOT NULL,
    denominator TEXT NOT NULL,
    population TEXT NOT NULL,
    source TEXT NOT NULL,
    basis TEXT NOT NULL, -- census, sample
    created TEXT NOT NULL
);
CREATE INDEX indicators_newest ON indicators (created, id);

CREATE TABLE indicator_points (
    indicator TEXT NOT NULL,
    period TEXT NOT NULL, -- 2026, 2026-Q3, 2026-06
    numerator BIGINT NOT NULL,
    denominator BIGINT NOT NULL,
    recorded TEXT NOT NULL,
    PRIMARY KEY (indicator, period)
);
