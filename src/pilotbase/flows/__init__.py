"""One file per story that crosses features."""
