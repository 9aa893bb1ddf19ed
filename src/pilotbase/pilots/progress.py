"""What a run tells while it goes on."""

from dataclasses import dataclass
from typing import Protocol

from pilotbase.ports import Scoreboard

__all__ = ["Progress", "Silent", "Step"]


@dataclass(slots=True, kw_only=True)
class Step:
    """Where one candidate stands: calls done of those that may be needed, failures, and spend in billionths of `currency`.

    `board` holds the scores so far: whoever reads it does so in the call that hands it over.
    """

    candidate: str
    phase: str
    done: int
    total: int
    failed: int = 0
    spent: int = 0
    currency: str | None = None
    decided: int = 0
    checks: int = 0
    board: Scoreboard | None = None


class Progress(Protocol):
    """Hears of steps; called often, so it returns at once."""

    def step(self, step: Step) -> None: ...

    def note(self, message: str) -> None:
        """One line worth reading."""
        ...


class Silent:
    """Hears, and says nothing."""

    def step(self, step: Step) -> None:
        return

    def note(self, message: str) -> None:
        return
