"""`pilotbase serve`: one keeper and its workers."""
