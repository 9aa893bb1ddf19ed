"""Proportions on a fixed sample: exact bounds, and the Wilson score bounds for comparison."""

import math

from pilotbase.stats.estimate import Estimate
from pilotbase.stats.special import beta_ppf, normal_ppf, t_ppf


def exact(successes: float, n: float, confidence: float) -> Estimate:
    """Clopper-Pearson one-sided bounds (Clopper & Pearson 1934, Biometrika 26, 404) for `successes` of `n` cases.

    Counts need not be whole (Korn & Graubard 1998 use them for effective sample sizes). 0 <= successes <= n, else
    ValueError. With n = 0 there is no value and the bounds are 0 and 1. Misses each side with probability <= 1 - confidence.
    """
    _check(successes, n)
    if n == 0:
        return Estimate(value=None, low=0.0, high=1.0, n=0, method="exact", confidence=confidence)
    alpha = 1.0 - confidence
    value = successes / n
    low = 0.0 if successes == 0 else beta_ppf(successes, n - successes + 1.0, alpha)
    high = 1.0 if successes == n else beta_ppf(successes + 1.0, n - successes, 1.0 - alpha)
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=int(n), method="exact", confidence=confidence)


def wilson(successes: float, n: float, confidence: float) -> Estimate:
    """Wilson score one-sided bounds (Wilson 1927), FOR COMPARISON ONLY: no verdict uses them.

    They miss more often than 1 - confidence for some p, and badly so when they are looked at again and again.
    """
    _check(successes, n)
    if n == 0:
        return Estimate(value=None, low=0.0, high=1.0, n=0, method="wilson (comparison only)", confidence=confidence)
    z = normal_ppf(confidence)
    value = successes / n
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = abs(z) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = sorted((max(0.0, centre - half), min(1.0, centre + half)))
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=int(n),
        method="wilson (comparison only)",
        confidence=confidence,
    )


def effective(value: float, variance: float, degrees: float, fallback: float, confidence: float) -> tuple[float, float]:
    """Bounds (low, high) of a proportion-like value in [0, 1] from its estimated variance: exact bounds on an effective sample.

    n_eff = value (1 - value) / variance, reduced by (z / t)^2 for the `degrees` behind the variance (Korn & Graubard 1998,
    Survey Methodology 24, 193). With no variance at all (every case alike) `fallback` is the sample size to believe in.
    """
    spread = value * (1.0 - value)
    if spread <= 0.0 or variance <= 0.0:
        size = fallback
    else:
        size = spread / variance
    if degrees >= 1.0 and confidence > 0.5:
        size *= (normal_ppf(confidence) / t_ppf(confidence, degrees)) ** 2
    if size <= 0.0:
        return 0.0, 1.0
    bounds = exact(value * size, size, confidence)
    return bounds.low or 0.0, 1.0 if bounds.high is None else bounds.high


def _check(successes: float, n: float) -> None:
    if not (0 <= successes <= n and math.isfinite(n)):
        raise ValueError(f"found {successes} successes of {n} cases: give 0 <= successes <= n")
