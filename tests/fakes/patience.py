"""How long a test waits for something good, on a machine that does much else.

A limit here ends what hangs; it measures nothing. Where a promise of time is to be shown, count steps or looks instead.
"""

__all__ = ["PATIENCE"]

PATIENCE = 60.0
"""Seconds."""
