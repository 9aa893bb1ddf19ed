"""Means on a fixed sample: of a bounded quantity, of an unbounded loss, and a root mean square."""

import math

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate, unbounded, undefined
from pilotbase.stats.proportion import exact
from pilotbase.stats.sequential import betting
from pilotbase.stats.special import t_ppf


def bounded(values: NDArray[np.float64], lower: float, upper: float, confidence: float) -> Estimate:
    """Finite-sample bounds of the mean of values in [lower, upper], each side at 1 - confidence, for one look.

    The betting interval of Waudby-Smith & Ramdas 2024 with bets tuned to n. Where every value sits at an end of the range
    the exact Clopper-Pearson bounds take its place; that choice looks at the data, and is exact for a two-valued quantity.
    ValueError for values outside the range.
    """
    x = np.asarray(values, dtype=np.float64)
    at_ends = x.size > 0 and upper > lower and bool(np.all((x == lower) | (x == upper)))
    if not at_ends:
        return betting(x, lower, upper, confidence, fixed=True)
    share = exact(int(np.count_nonzero(x == upper)), x.size, confidence)
    width = upper - lower
    value, low, high = ((lower + width * (s or 0.0)) for s in (share.value, share.low, share.high))
    return Estimate(value=value, low=low, high=high, n=x.size, method="exact", confidence=confidence)


def student(values: NDArray[np.float64], confidence: float) -> Estimate:
    """One-sided t bounds of a mean with a correction for skewness, for losses without a declared bound.

    Each side is the wider of Student's t and Hall's monotone cubic transformation (Johnson 1978, JASA 73, 536; Hall 1992,
    JRSS-B 54, 221), with n - 1 degrees or the fewer that the kurtosis leaves (`variance_degrees`). ASYMPTOTIC, and it does not
    cover heavy tails at small n. Measured misses of the upper bound at 0.95: exponential losses 0.08, 0.06, 0.06 at n = 10,
    30, 200; squared normal errors 0.10, 0.06, 0.06; lognormal ones 0.15, 0.10, 0.07. Declare a bound and use `bounded` where
    that matters. Fewer than two values, or values that are not finite: no bounds. Constant data: low = high = value.
    """
    x = np.asarray(values, dtype=np.float64)
    method = "t, skewness-corrected"
    if x.size == 0:
        return undefined(0, method, confidence)
    value = float(x.mean())
    if x.size < 2 or not math.isfinite(value):
        return unbounded(value, x.size, method, confidence)
    if x.min() == x.max():
        value = float(x[0])
        return Estimate(value=value, low=value, high=value, n=x.size, method=method, confidence=confidence)
    n = x.size
    deviations = x - value
    deviation = math.sqrt(float(np.mean(deviations**2)) * n / (n - 1))
    if not 0.0 < deviation < math.inf:
        return unbounded(value, n, method, confidence)
    skewness = skewness_of(deviations)
    quantile = t_ppf(confidence, variance_degrees(deviations)) / math.sqrt(n)
    low = value - deviation * max(quantile, hall(quantile, skewness, n))
    high = value - deviation * min(-quantile, hall(-quantile, skewness, n))
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, method=method, confidence=confidence)


def root_mean_square(squared: NDArray[np.float64], confidence: float) -> Estimate:
    """Root of the mean of squared errors (each >= 0), its bounds the roots of those of the mean; as approximate as `student`."""
    x = np.asarray(squared, dtype=np.float64)
    if x.size and x.min() < 0.0:
        raise ValueError(f"found a squared error of {x.min()}: squares are never negative")
    square = student(x, confidence)

    def root(number: float | None) -> float | None:
        return None if number is None else math.sqrt(max(0.0, number))

    return Estimate(
        value=root(square.value),
        low=root(square.low),
        high=root(square.high),
        n=square.n,
        method=f"root of {square.method}",
        confidence=confidence,
    )


def skewness_of(residuals: NDArray[np.float64]) -> float:
    """Third moment about 0 over the cube of the root mean square; 0 where there is no spread."""
    scale = math.sqrt(float(np.mean(residuals**2)))
    return float(np.mean((residuals / scale) ** 3)) if scale > 0.0 else 0.0


def variance_degrees(residuals: NDArray[np.float64]) -> float:
    """How well residuals determine their own variance, in degrees of freedom: 2 n / (kurtosis - 1), within 1 and n - 1.

    Matches the first two moments of the variance estimate (Satterthwaite 1946); for normal residuals it gives n - 1. Where
    few of them carry all the spread (a rare event) it is small.
    """
    n = residuals.size
    squares = float(np.sum(residuals**2))
    if squares <= 0.0:
        return n - 1.0
    kurtosis = n * float(np.sum((residuals**2 / squares) ** 2))
    return max(1.0, min(n - 1.0, 2.0 * n / max(1e-9, kurtosis - 1.0)))


def hall(y: float, skewness: float, n: int) -> float:
    """Inverse of T + g T^2 / 3 + g^2 T^3 / 27 + g / (6 n), g the skewness and T = (mean - true mean) / deviation (Hall 1992)."""
    if abs(skewness) < 1e-8:
        return y
    inner = 1.0 + skewness * (y - skewness / (6.0 * n))
    return 3.0 / skewness * (math.copysign(abs(inner) ** (1.0 / 3.0), inner) - 1.0)
