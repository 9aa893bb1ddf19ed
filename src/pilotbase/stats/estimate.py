"""What every estimator returns: a value with two one-sided bounds."""

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with `low` and `high`, each a ONE-SIDED bound at level 1 - `confidence`.

    Together they make an interval of confidence 1 - 2 * (1 - confidence). None means that the number does not exist
    (no cases, too few clusters, an unbounded side); NaN and infinity are refused with ValueError. `n` counts the cases (or
    units) behind the value and `method` names how the bounds were made.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    confidence: float

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is None:
                continue
            if not math.isfinite(number):
                raise ValueError(f"Estimate.{name} is {number}: only finite numbers or None can be stored ({self.method})")
            object.__setattr__(self, name, float(number))
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"Estimate.low {self.low} is above high {self.high} ({self.method})")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"Estimate.confidence is {self.confidence}: give a number strictly between 0 and 1")
        if self.n < 0:
            raise ValueError(f"Estimate.n is {self.n}: a number of cases is never negative")

    @property
    def alpha(self) -> float:
        """The level of each one-sided bound, 1 - confidence."""
        return 1.0 - self.confidence

    def widened(self, other: Self) -> Self:
        """This estimate with bounds no narrower than those of `other`; a bound that either lacks stays absent."""
        low = None if self.low is None or other.low is None else min(self.low, other.low)
        high = None if self.high is None or other.high is None else max(self.high, other.high)
        return type(self)(value=self.value, low=low, high=high, n=self.n, method=self.method, confidence=self.confidence)


def census(value: float, n: int, confidence: float) -> Estimate:
    """A number counted on complete data: no sampling error, so low = high = value."""
    return Estimate(value=value, low=value, high=value, n=n, method="census", confidence=confidence)


def undefined(n: int, method: str, confidence: float) -> Estimate:
    """No value and no bounds: the data cannot support the estimate (never to be read as zero)."""
    return Estimate(value=None, low=None, high=None, n=n, method=method, confidence=confidence)


def unbounded(value: float, n: int, method: str, confidence: float) -> Estimate:
    """A value whose sampling error cannot be judged: shown, and never decisive. A value that is not finite is left out."""
    return Estimate(value=value if math.isfinite(value) else None, low=None, high=None, n=n, method=method, confidence=confidence)
