"""When to stop asking: calls, spend, time, a person's word."""

import time
from collections.abc import Callable

from pilotbase.domain.pilot import Limits
from pilotbase.domain.quantity import NANO

__all__ = ["Budget"]

MANY = 2**31


class Budget:
    """Counts what was used over all candidates of a run."""

    __slots__ = ("_calls", "_deadline", "_limits", "_monotonic", "_spend", "_stopped", "calls", "spent")

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._calls = limits.calls
        self._spend = limits.money.nanos if limits.money else None
        self._deadline = monotonic() + limits.seconds if limits.seconds else None
        self.calls = 0
        self.spent = 0
        self._stopped = ""

    def use(self, calls: int, nanos: int) -> None:
        """Note calls that were made and what they cost."""
        self.calls += calls
        self.spent += nanos

    def stop(self, why: str) -> None:
        """Ask for nothing more."""
        self._stopped = self._stopped or why

    def why(self, *, each: int = 0) -> str:
        """What ran out, or "". `each` is the least that a call costs, in billionths; what is left must reach for one."""
        if self._stopped:
            return self._stopped
        if self._deadline is not None and self._monotonic() >= self._deadline:
            return f"limits.time of {self._limits.time} ran out"
        if self._spend is not None and self.spent + max(1, each) > self._spend:
            return f"limits.spend of {self._limits.spend} is used up ({self.spent / NANO:g} spent)"
        if self._calls is not None and self.calls >= self._calls:
            return f"limits.calls of {self._calls} is reached"
        return ""

    def left(self, under_way: int = 0, *, each: int = 0) -> int:
        """How many more calls may start; 0 where something ran out. `under_way` calls have started and are not noted yet.

        A cost that only the answer tells (tokens) is known afterwards: calls under way may pass the limit of spend by theirs.
        """
        if self.why(each=each):
            return 0
        by_calls = MANY if self._calls is None else self._calls - self.calls - under_way
        by_spend = MANY if self._spend is None or not each else (self._spend - self.spent) // each - under_way
        return max(0, min(by_calls, by_spend))
