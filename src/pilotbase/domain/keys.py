"""Identity of calls and scores (VERDICT.md section 7). Derived when asked for, never stored a row each."""

from collections.abc import Mapping
from typing import Any

from pilotbase.domain.canonical import digest

__all__ = ["call_key", "score_key"]


def call_key(fingerprint: str, inputs: bytes, parameters: Mapping[str, Any], repetition: int, arrival: int | None = None) -> str:
    """SHA-256 over the candidate's fingerprint, the input bytes after any transform, decoding parameters, repetition and
    arrival index.

    A threshold is in neither key. Calls made for load, latency or stability are told apart by `repetition` and `arrival`, so
    they are never
    taken for one another.
    """
    return digest([fingerprint, inputs.decode("utf-8"), dict(parameters), repetition, arrival])


def score_key(call: str, metric: str, version: str, parameters: Mapping[str, Any]) -> str:
    """SHA-256 over the call key, the scorer, its version and its parameters."""
    return digest([call, metric, version, dict(parameters)])
