"""What a job's process tells of its progress, as one small document that its beat carries."""

import threading
import time
from collections.abc import Callable
from typing import Any

from pilotbase.checks.board import Board
from pilotbase.flows.standing import standing
from pilotbase.pilots.progress import Step

__all__ = ["Telling"]

NOTES = 20
EVERY = 2.0
SHARE = 20
"""Estimates may take a twentieth of the time: they are for the eye, and the run is what counts."""


class Telling:
    """Implements `pilots.progress.Progress`. `found` are the facts of a forecast."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.found: dict[str, Any] | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: dict[str, dict[str, Any]] = {}
        self._checks: dict[str, list[dict[str, Any]]] = {}
        self._notes: list[str] = []
        self._next: dict[str, float] = {}

    def step(self, step: Step) -> None:
        now = self._clock()
        told = {name: getattr(step, name) for name in ("candidate", "phase", "done", "total", "failed", "spent", "currency")}
        with self._lock:
            self._steps[step.candidate] = {**told, "decided": step.decided, "checks": step.checks}
        if isinstance(step.board, Board) and now >= self._next.get(step.candidate, 0.0):
            checks = standing(step.board)
            with self._lock:
                self._checks[step.candidate] = checks
            self._next[step.candidate] = now + max(EVERY, SHARE * (self._clock() - now))

    def note(self, message: str) -> None:
        with self._lock:
            self._notes = [*self._notes, message[:300]][-NOTES:]

    def document(self) -> dict[str, Any]:
        """All that was told so far, in JSON's types."""
        with self._lock:
            told: dict[str, Any] = {"steps": list(self._steps.values()), "checks": dict(self._checks), "notes": list(self._notes)}
        return told if self.found is None else {**told, "found": self.found}
