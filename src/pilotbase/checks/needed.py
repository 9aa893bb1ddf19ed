"""How many more cases would decide a proportion (VERDICT.md section 8), by the rule that the check itself decides by."""

import math

from pilotbase.stats import power
from pilotbase.stats.sequential import log_wealth
from pilotbase.stats.special import beta_cdf

__all__ = ["more_cases"]

CHANCE = 0.8


def more_cases(op: str, threshold: float, value: float, confidence: float, have: int, *, anytime: bool) -> int | None:
    """Further cases of the denominator for an 80 % chance of a decision if the true rate is `value`, as the `have` in hand show.

    With `anytime` the least number at which the chance of standing beyond the sequential boundary is that large: a few too many,
    since an earlier look may decide as well. None at the threshold, or above ten million.
    """
    fixed = power.needed(op, threshold, value, confidence, CHANCE, have)
    if fixed is None or not anytime:
        return fixed
    seen = round(value * have)
    if value < threshold:  # the same question about the cases that count against it
        value, threshold, seen = 1.0 - value, 1.0 - threshold, have - seen
    goal = -math.log(1.0 - confidence)

    def enough(more: int) -> bool:
        return _at_least(_boundary(have + more, threshold, goal) - seen, more, value) >= CHANCE

    left, right = 0, max(1, fixed)
    while not enough(right):
        if right >= power.MOST:
            return None
        left, right = right, min(2 * right, power.MOST)
    while right - left > max(1, right // 1000):
        middle = (left + right) // 2
        left, right = (left, middle) if enough(middle) else (middle, right)
    return right


def _boundary(n: int, threshold: float, goal: float) -> int:
    """The smallest count of n whose sequential lower bound reaches the threshold; n + 1 where none does."""
    left, right = math.floor(n * threshold), n + 1
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (left, middle) if log_wealth(middle, n, threshold) >= goal else (middle, right)
    return right


def _at_least(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) >= k)."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_cdf(k, n - k + 1.0, p)
