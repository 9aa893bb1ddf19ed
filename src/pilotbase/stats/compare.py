"""Comparisons: paired differences, exact McNemar, Holm's adjustment, and two independent proportions."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate
from pilotbase.stats.mean import bounded
from pilotbase.stats.proportion import exact
from pilotbase.stats.sequential import mean
from pilotbase.stats.special import beta_cdf


def paired(
    differences: NDArray[np.float64], confidence: float, anytime: bool, lower: float = -1.0, upper: float = 1.0
) -> Estimate:
    """Mean of paired differences in [lower, upper], in order of arrival: valid at every look (`anytime`) or for one look."""
    if anytime:
        return mean(differences, lower, upper, confidence)
    return bounded(differences, lower, upper, confidence)


def mcnemar(b: int, c: int) -> float:
    """Two-sided exact p-value that b and c discordant pairs are equally likely (McNemar 1947; the exact binomial form)."""
    if b < 0 or c < 0:
        raise ValueError(f"found {b} and {c} discordant pairs: counts are never negative")
    most = max(b, c)
    if most == min(b, c):
        return 1.0
    return min(1.0, 2.0 * beta_cdf(most, b + c - most + 1.0, 0.5))


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values in the order given (Holm 1979, Scand. J. Stat. 6, 65)."""
    if any(not 0.0 <= p <= 1.0 for p in pvalues):
        raise ValueError(f"found p-values outside [0, 1]: {[p for p in pvalues if not 0.0 <= p <= 1.0]}")
    count = len(pvalues)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, (count - rank) * pvalues[index]))
        adjusted[index] = largest
    return adjusted


def unpaired(successes1: float, n1: float, successes2: float, n2: float, confidence: float) -> Estimate:
    """Difference p1 - p2 of two independent proportions: MOVER on Clopper-Pearson limits (Zou & Donner 2008).

    Without cases on either side: no value, bounds -1 and 1.
    """
    method = "MOVER on exact limits"
    first, second = exact(successes1, n1, confidence), exact(successes2, n2, confidence)
    n = first.n + second.n
    if first.value is None or second.value is None:
        return Estimate(value=None, low=-1.0, high=1.0, n=n, method=method, confidence=confidence)
    value = first.value - second.value
    below = math.hypot(first.value - (first.low or 0.0), (second.high or 0.0) - second.value)
    above = math.hypot((first.high or 0.0) - first.value, second.value - (second.low or 0.0))
    return Estimate(
        value=value,
        low=max(-1.0, value - below),
        high=min(1.0, value + above),
        n=n,
        method=method,
        confidence=confidence,
    )
