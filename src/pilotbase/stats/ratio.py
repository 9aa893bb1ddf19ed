"""Ratios on a fixed sample: F1, balanced accuracy, and ratios of sums such as precision."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate, unbounded, undefined
from pilotbase.stats.mean import hall, skewness_of, variance_degrees
from pilotbase.stats.proportion import effective, exact
from pilotbase.stats.special import t_ppf

_ROUNDING = 1e-12  # of a unit's own size


def f1(tp: float, fp: float, fn: float, confidence: float) -> Estimate:
    """F1 = 2 tp / (2 tp + fp + fn) with exact bounds, through the Jaccard index.

    J = tp / (tp + fp + fn) is a binomial proportion given the cases that are not true negatives, and F1 = 2J / (1 + J)
    rises with it, so Clopper-Pearson bounds carry over. No such case: no value, bounds 0 and 1.
    """
    jaccard = exact(tp, tp + fp + fn, confidence)

    def convert(j: float | None) -> float | None:
        return None if j is None else 2.0 * j / (1.0 + j)

    return Estimate(
        value=convert(jaccard.value),
        low=convert(jaccard.low),
        high=convert(jaccard.high),
        n=jaccard.n,
        method="exact through Jaccard",
        confidence=confidence,
    )


def balanced_accuracy(hits: Sequence[tuple[float, int]], confidence: float) -> Estimate:
    """Mean of the per-class recalls, from (successes, n) per class: MOVER on Clopper-Pearson limits.

    Zou & Donner 2008 (Stat. Med. 27, 1693): the distances of the classes' own limits from their values add in squares.
    A class without cases leaves the mean undefined.
    """
    method = "MOVER on exact limits"
    total = sum(n for _, n in hits)
    if not hits or any(n == 0 for _, n in hits):
        return undefined(total, method, confidence)
    parts = [exact(successes, n, confidence) for successes, n in hits]
    value = sum(part.value or 0.0 for part in parts) / len(parts)
    below = math.hypot(*((part.value or 0.0) - (part.low or 0.0) for part in parts)) / len(parts)
    above = math.hypot(*((part.high or 0.0) - (part.value or 0.0) for part in parts)) / len(parts)
    return Estimate(
        value=value,
        low=max(0.0, value - below),
        high=min(1.0, value + above),
        n=total,
        method=method,
        confidence=confidence,
    )


def of_sums(num: NDArray[np.float64], den: NDArray[np.float64], confidence: float, *, share: bool = True) -> Estimate:
    """Ratio of sums sum(num) / sum(den) over independent units (den >= 0), such as precision: linearised, with t bounds.

    Linearised variance (Cochran 1977, ch. 6) from residuals inflated by 1 / (1 - their share of the denominator) as in the
    jackknife (CR3; Bell & McCaffrey 2002), t with the degrees those residuals support and Hall's correction for skewness.
    With `share` the ratio is a share by its nature, so that 0 <= num <= den in every unit: exact bounds on the effective
    sample size (Korn & Graubard 1998) join them, the wider side counts, and a share of 1 has a lower bound below 1; where
    every unit counts 0 or 1 (precision) they are Clopper-Pearson bounds given the sum of den. Two units are needed.
    """
    a, b = np.asarray(num, dtype=np.float64), np.asarray(den, dtype=np.float64)
    method = "ratio of sums"
    if a.shape != b.shape:
        raise ValueError(f"found {a.size} numerators and {b.size} denominators: give one of each per case")
    if b.size and b.min() < 0.0:
        raise ValueError(f"found a denominator of {b.min()}: give denominators >= 0")
    total = float(b.sum())
    if total <= 0.0:
        return undefined(a.size, method, confidence)
    value = float(a.sum()) / total
    tops, bottoms = a[b > 0.0], b[b > 0.0]
    count = bottoms.size
    if count < 2 or not math.isfinite(value):
        return unbounded(value, a.size, method, confidence)
    if share and bool(np.all(bottoms == 1.0) and np.all((tops == 0.0) | (tops == 1.0))):
        found = exact(int(tops.sum()), count, confidence)
        return Estimate(value=value, low=found.low, high=found.high, n=a.size, method="exact", confidence=confidence)
    residuals = (tops - value * bottoms) / (1.0 - bottoms / total)
    # What rounding leaves of equal ratios is no spread: exact bounds on a sample of 1e30 cases would be asked for.
    residuals = np.where(np.abs(residuals) <= _ROUNDING * np.abs(value * bottoms), 0.0, residuals)
    variance = count / (count - 1) * float(np.sum(residuals**2)) / total**2
    degrees = variance_degrees(residuals)
    quantile = t_ppf(confidence, degrees) / math.sqrt(count)
    skewness = skewness_of(residuals)
    scale = math.sqrt(variance * count)
    low = value - scale * max(quantile, hall(quantile, skewness, count))
    high = value - scale * min(-quantile, hall(-quantile, skewness, count))
    if share and bool(np.all((tops >= 0.0) & (tops <= bottoms))):
        value = min(1.0, value)
        units = total**2 / float(np.sum(bottoms**2))
        share_low, share_high = effective(value, variance, degrees, units, confidence)
        low, high = max(0.0, min(low, share_low)), min(1.0, max(high, share_high))
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=a.size, method=method, confidence=confidence)
