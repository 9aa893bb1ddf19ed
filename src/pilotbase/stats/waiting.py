"""How long things take where some have not ended yet."""

import math
from collections.abc import Sequence

from pilotbase.stats.estimate import Estimate, undefined
from pilotbase.stats.special import normal_ppf

__all__ = ["median_wait"]


def median_wait(ended: Sequence[float], waiting: Sequence[float], confidence: float) -> Estimate:
    """The median time until an end, from times that ended and times that wait still or were given up (all >= 0, else ValueError).

    The product-limit estimate (Kaplan & Meier 1958, JASA 53, 457): the first time at which at most half still wait; None where
    that is not reached yet. Bounds by Brookmeyer & Crowley 1982 (Biometrics 38, 29) on the log-log scale with Greenwood's
    variance; a side that the data do not reach is None. `n` counts both. Assumes that who waits still is like the others.
    """
    if any(not 0.0 <= one < math.inf for one in (*ended, *waiting)):
        raise ValueError("a time is negative, or not finite")
    n, method = len(ended) + len(waiting), "Kaplan-Meier, Brookmeyer-Crowley"
    if not ended:
        return undefined(n, method, confidence)
    z = normal_ppf(confidence)
    share, spread = 1.0, 0.0
    value = low = high = None
    for time in sorted(set(ended)):
        ends = sum(one == time for one in ended)
        risk = sum(one >= time for one in (*ended, *waiting))
        share *= 1.0 - ends / risk
        spread += ends / (risk * (risk - ends)) if risk > ends else math.inf
        below, above = _band(share, spread, z)
        low = time if low is None and below <= 0.5 else low
        value = time if value is None and share <= 0.5 + 1e-12 else value
        high = time if high is None and above <= 0.5 else high
    if low is not None and value is not None:
        low = min(low, value)
    return Estimate(value=value, low=low, high=high, n=n, method=method, confidence=confidence)


def _band(share: float, spread: float, z: float) -> tuple[float, float]:
    """One-sided bounds of the share that still waits: share ^ exp(-+ z s / log share), s by Greenwood."""
    if share <= 1e-12:
        return 0.0, 0.0
    half = z * math.sqrt(spread) / abs(math.log(share))
    return share ** math.exp(half), share ** math.exp(-half)
