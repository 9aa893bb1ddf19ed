"""A base filled for looking at: made-up people and needs, trials that are really run."""
