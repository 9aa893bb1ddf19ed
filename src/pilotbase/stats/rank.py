"""Area under the ROC curve with bounds, for independent cases and for clusters of cases.

Variances come from DeLong's placements; symmetric intervals from them miss badly near an area of 1 or with few positives, so
the bounds are exact ones on the effective sample size A (1 - A) / Var(A), with the variance kept above Hanley & McNeil's
(1982, Radiology 143, 29) where the data show too little of it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate, unbounded, undefined
from pilotbase.stats.mean import variance_degrees
from pilotbase.stats.proportion import effective


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_], confidence: float) -> Estimate:
    """Mann-Whitney area (ties count one half) of scores that should be higher for positives; O(n log n).

    Variance: DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44, 837) through midranks (Sun & Xu 2014). Cases that failed are
    ranked last by the caller (infinite scores are allowed, NaN is a ValueError). Without a positive or without a negative
    there is no value. With a perfect ranking min(positives, negatives) is the sample size to believe in.

    Measured at 0.95 (1,500 runs each; binormal, unequal spread, mixtures, coarse scores; areas 0.5 to 0.99; 10 to 200
    positives): no side missed more than 0.053; with few positives it is conservative.
    """
    x, is_positive = _checked(scores, positive)
    method = "DeLong on an effective sample"
    m = int(is_positive.sum())
    n = x.size - m
    if m == 0 or n == 0:
        return undefined(x.size, method, confidence)
    of_positives, of_negatives = _placements(x, is_positive)
    value = float(of_positives.mean())
    if min(m, n) < 2:
        low, high = effective(value, 0.0, math.inf, 1.0, confidence)
        return Estimate(value=value, low=min(low, value), high=max(high, value), n=x.size, method=method, confidence=confidence)
    variance = _sample_variance(of_positives) / m + _sample_variance(of_negatives) / n
    if variance > 0.0:
        variance = max(variance, _hanley_mcneil(value, m, n))
    low, high = effective(value, variance, min(m, n) - 1.0, float(min(m, n)), confidence)
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=x.size, method=method, confidence=confidence)


def auroc_clustered(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], clusters: NDArray[np.int64], confidence: float
) -> Estimate:
    """The same area where cases come in clusters: variance of Obuchowski 1997 (Biometrics 53, 567), G - 1 degrees.

    Bounds on the effective sample, as in `auroc`; measured misses at 0.95 of at most 0.065 a side for 20 and 100 clusters with
    correlation 0 and 0.5. Never narrower than `auroc` on the same cases. Fewer than two clusters: no bounds.
    """
    x, is_positive = _checked(scores, positive)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if groups.shape != x.shape:
        raise ValueError(f"found {groups.size} cluster labels for {x.size} scores: give one per case")
    method = "Obuchowski on an effective sample"
    alone = auroc(x, is_positive, confidence)
    count = int(groups.max()) + 1 if groups.size else 0
    if alone.value is None:
        return undefined(x.size, method, confidence)
    if count < 2:
        return unbounded(alone.value, x.size, method, confidence)
    m = int(is_positive.sum())
    n = x.size - m
    of_positives, of_negatives = _placements(x, is_positive)
    value = alone.value
    sums_positive = np.bincount(groups[is_positive], of_positives - value, minlength=count)
    sums_negative = np.bincount(groups[~is_positive], of_negatives - value, minlength=count)
    # the sum of S10 / m, S01 / n and the covariance term, each cluster's share of the area taken as one residual
    residuals = sums_positive / m + sums_negative / n
    variance = float(np.sum(residuals**2)) * count / (count - 1)
    smallest = float(min(np.unique(groups[is_positive]).size, np.unique(groups[~is_positive]).size))
    low, high = effective(value, variance, min(variance_degrees(residuals), max(1.0, smallest - 1.0)), smallest, confidence)
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), n=x.size, method=method, confidence=confidence
    ).widened(alone)


def _hanley_mcneil(area: float, m: int, n: int) -> float:
    """Variance of the area under exponential scores (Hanley & McNeil 1982), the larger of the two orientations."""

    def oriented(a: float, first: int, second: int) -> float:
        q1, q2 = a / (2.0 - a), 2.0 * a * a / (1.0 + a)
        return (a * (1.0 - a) + (first - 1) * (q1 - a * a) + (second - 1) * (q2 - a * a)) / (first * second)

    return max(oriented(area, m, n), oriented(area, n, m))


def _placements(x: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each positive the share of negatives below it, for each negative the share of positives above it; ties one half."""
    m = int(is_positive.sum())
    n = x.size - m
    distinct, codes = np.unique(x, return_inverse=True)
    positives = np.bincount(codes[is_positive], minlength=distinct.size)
    negatives = np.bincount(codes[~is_positive], minlength=distinct.size)
    below = (np.cumsum(negatives) - 0.5 * negatives) / n
    above = 1.0 - (np.cumsum(positives) - 0.5 * positives) / m
    return below[codes[is_positive]], above[codes[~is_positive]]


def _sample_variance(values: NDArray[np.float64]) -> float:
    return float(np.var(values, ddof=1))


def _checked(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    x, is_positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if x.shape != is_positive.shape:
        raise ValueError(f"found {x.size} scores and {is_positive.size} labels: give one of each per case")
    if np.isnan(x).any():
        raise ValueError(f"found {int(np.isnan(x).sum())} scores that are NaN: rank failed cases last before asking for an area")
    return x, is_positive
