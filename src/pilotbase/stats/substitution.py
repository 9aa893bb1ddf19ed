"""A share that grows towards all, projected from few points."""

import math
from collections.abc import Sequence

from pilotbase.stats.estimate import Estimate, undefined
from pilotbase.stats.special import logistic, t_ppf

__all__ = ["LEAST", "project"]

LEAST = 3
"""Points below which nothing is projected: a line through two has no spread."""


def project(
    points: Sequence[tuple[float, float, float]], at: float, confidence: float, *, sampled: bool = True
) -> Estimate:  # fmt: skip
    """The share to be seen at a time `at`, from points (time, numerator, denominator > 0), by the substitution model of
    Fisher & Pry 1971 (Technological Forecasting and Social Change 3, 75): its logit is linear in time, and the end is 100 %.

    Empirical logits log((k + 1/2) / (n - k + 1/2)) (Anscombe 1956, Biometrika 43, 461), least squares, and the bounds of one new
    observation by Student's t with m - 2 degrees (Draper & Smith 1998, Applied Regression Analysis, section 1.4). Where counts
    are `sampled` the spread is never less than that of their binomial error. Undefined with fewer than 3 points or times. What
    the model leaves out - a ceiling below 100 %, a turn of policy - no interval holds.
    """
    method = "Fisher-Pry on empirical logits, t"
    m = len(points)
    if any(not 0.0 <= k <= n or not n > 0.0 for _, k, n in points):
        raise ValueError("a point is no share: give 0 <= numerator <= denominator, and a denominator above 0")
    if m < LEAST or len({time for time, _, _ in points}) < LEAST:
        return undefined(m, method, confidence)
    times = [time for time, _, _ in points]
    logits = [math.log((k + 0.5) / (n - k + 0.5)) for _, k, n in points]
    middle, level = sum(times) / m, sum(logits) / m
    width = sum((time - middle) ** 2 for time in times)
    slope = sum((time - middle) * (logit - level) for time, logit in zip(times, logits, strict=True)) / width
    left = sum((logit - level - slope * (time - middle)) ** 2 for time, logit in zip(times, logits, strict=True))
    binomial = sum(1.0 / (k + 0.5) + 1.0 / (n - k + 0.5) for _, k, n in points) / m if sampled else 0.0
    variance = max(left / (m - 2), binomial)
    half = t_ppf(confidence, m - 2) * math.sqrt(variance * (1.0 + 1.0 / m + (at - middle) ** 2 / width))
    line = level + slope * (at - middle)
    return Estimate(
        value=logistic(line), low=logistic(line - half), high=logistic(line + half), n=m, method=method, confidence=confidence
    )  # fmt: skip
