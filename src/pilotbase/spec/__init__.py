"""YAML to domain: all errors at once, each with file, line and column."""
