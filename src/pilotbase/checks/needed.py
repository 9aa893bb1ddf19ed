"""How many more cases would decide a proportion (VERDICT.md section 8), by the rule that the check itself decides by."""

from pilotbase.stats import power
from pilotbase.stats.special import beta_cdf

__all__ = ["more_cases"]

CHANCE = 0.8


def more_cases(op: str, threshold: float, value: float, confidence: float, have: int, *, anytime: bool) -> int | None:
    """Further cases of the denominator for an 80 % chance of a decision if the true rate is `value`, which the `have` in hand show.

    With `anytime` the first scheduled look at which the chance of standing beyond the sequential boundary is that large: a little too many,
    since an earlier look may decide as well. None at the threshold, or above ten million.
    """
    fixed = power.needed(op, threshold, value, confidence, CHANCE, have)
    if fixed is None or not anytime:
        return fixed
    horizon = 2 * (have + fixed) + 100
    while True:
        found = _first_look(threshold, value, confidence, have, horizon)
        if found is not None or horizon >= power.MOST:
            return found
        horizon = min(4 * horizon, power.MOST)


def _first_look(threshold: float, value: float, confidence: float, have: int, horizon: int) -> int | None:
    seen = round(value * have)
    for look, refuse, accept in power.boundaries(threshold, horizon, confidence):
        more = look - have
        if more < 1:
            continue
        chance = _at_least(accept - seen, more, value) if value > threshold else 1.0 - _at_least(refuse - seen + 1, more, value)
        if chance >= CHANCE:
            return more
    return None


def _at_least(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) >= k)."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_cdf(k, n - k + 1.0, p)
