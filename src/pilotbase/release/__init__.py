"""Guarded release: steps, live evidence, detectors, drift, alerts and incidents."""
