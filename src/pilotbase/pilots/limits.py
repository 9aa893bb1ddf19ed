"""When to stop asking: calls, spend, time, a person's word."""

import time
from collections.abc import Callable

from pilotbase.domain.pilot import Limits
from pilotbase.domain.quantity import NANO

__all__ = ["Budget"]


class Budget:
    """Counts what was used over all candidates of a run. `why` says, once it is spent, what ran out."""

    __slots__ = ("_calls", "_deadline", "_limits", "_monotonic", "_spend", "calls", "spent", "why")

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._calls = limits.calls
        self._spend = limits.money.nanos if limits.money else None
        self._deadline = monotonic() + limits.seconds if limits.seconds else None
        self.calls = 0
        self.spent = 0
        self.why = ""

    def use(self, calls: int, nanos: int) -> None:
        """Note calls that were made and what they cost."""
        self.calls += calls
        self.spent += nanos

    def stop(self, why: str) -> None:
        """Ask for nothing more."""
        self.why = self.why or why

    def left(self, under_way: int = 0) -> int:
        """How many more calls may start; 0 where something ran out. `under_way` calls have started and are not noted yet."""
        if self.why:
            return 0
        if self._deadline is not None and self._monotonic() >= self._deadline:
            self.why = f"limits.time of {self._limits.time} ran out"
        elif self._spend is not None and self.spent >= self._spend:
            self.why = f"limits.spend of {self._limits.spend} is used up ({self.spent / NANO:g} spent)"
        elif self._calls is not None and self.calls >= self._calls:
            self.why = f"limits.calls of {self._calls} is reached"
        if self.why:
            return 0
        return 2**31 if self._calls is None else max(0, self._calls - self.calls - under_way)
