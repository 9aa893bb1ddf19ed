"""The sealed, re-runnable record of a pilot."""
