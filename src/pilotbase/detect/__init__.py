"""Pure detectors and normalisers over text."""
