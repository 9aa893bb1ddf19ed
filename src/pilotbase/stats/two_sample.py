"""Whether two samples come from one law: what a test says, Kolmogorov and Smirnov's, and p by permutation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TwoSample", "ks", "permutation_p", "thinned"]

EXACT = 20_000  # values of both samples together; beyond it the limit law is close and counting paths is slow
EXCEEDANCES = 20
_BATCH = 200
_ROUNDING = 1e-9  # of a difference of two shares


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSample:
    """A test that two samples come from one law.

    `statistic` is how far apart they are, in the unit that `method` names; `p` in [0, 1] is the chance of at least as much where
    the law is one; `m` and `n` are the cases of the first and of the second sample.
    """

    statistic: float
    p: float
    m: int
    n: int
    method: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0 or not math.isfinite(self.statistic):
            raise ValueError(f"found p {self.p} and the statistic {self.statistic}: p is in [0, 1], and both are finite")


def ks(first: NDArray[np.float64], second: NDArray[np.float64]) -> TwoSample:
    """The two-sided Kolmogorov-Smirnov test; the statistic is the largest gap of the two distribution functions, in [0, 1].

    Up to 20,000 values together p is exact given the values, ties included (Schroeer and Trenkler 1995, Comput. Stat. Data Anal.
    20, 185): a walk takes the pooled values in order, each side with a chance in proportion to what it has left, and p is the
    chance that it ever leaves the band at a place between two different values. Without ties that is Hodges (1958, Ark. Mat. 3,
    469). Beyond, Smirnov's limit law, which is conservative with ties. Infinite values rank; NaN and an empty side are
    ValueErrors.
    """
    x, y = np.sort(np.asarray(first, dtype=np.float64)), np.sort(np.asarray(second, dtype=np.float64))
    if x.size == 0 or y.size == 0:
        raise ValueError(f"found {x.size} and {y.size} values: a comparison needs values on both sides")
    if np.isnan(x[-1]) or np.isnan(y[-1]):  # NaN sorts last
        raise ValueError("found values that are NaN: leave missing values out before comparing")
    pooled = np.sort(np.concatenate([x, y]))
    ends = np.flatnonzero(np.append(pooled[1:] != pooled[:-1], True))
    distinct = pooled[ends]
    gaps = np.searchsorted(x, distinct, side="right") / x.size - np.searchsorted(y, distinct, side="right") / y.size
    statistic = float(np.abs(gaps).max())
    if pooled.size <= EXACT:
        p = _leaving(x.size, y.size, statistic, ends + 1)
        return TwoSample(statistic=statistic, p=p, m=x.size, n=y.size, method="Kolmogorov-Smirnov, exact")
    p = _limit(statistic * math.sqrt(x.size * y.size / pooled.size))
    return TwoSample(statistic=statistic, p=p, m=x.size, n=y.size, method="Kolmogorov-Smirnov, limit law")


def permutation_p(larger: Callable[[int], NDArray[np.bool_]], most: int) -> float:
    """p of a statistic by drawing: `larger(k)` says of k fresh permutations which were at least as large as the observed one.

    Besag and Clifford 1991 (Biometrika 78, 301): draws until 20 were, p = 20 / drawn, or up to `most`, p = (as large + 1) /
    (most + 1). Valid either way, and quick where nothing moved. Never under 1 / (most + 1).
    """
    drawn = exceeding = 0
    while drawn < most:
        batch = min(_BATCH, most - drawn)
        counted = np.cumsum(larger(batch))
        if exceeding + int(counted[-1]) >= EXCEEDANCES:
            return EXCEEDANCES / (drawn + int(np.searchsorted(counted, EXCEEDANCES - exceeding)) + 1)
        exceeding += int(counted[-1])
        drawn += batch
    return (exceeding + 1) / (drawn + 1)


def thinned(count: int, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions of a random sample of `most` of `count` rows, in their order; all of them where they are no more."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.sort(generator.choice(count, most, replace=False)).astype(np.int64)


def _leaving(m: int, n: int, statistic: float, ends: NDArray[np.int64]) -> float:
    """The chance that a random order of m and n values has a gap of at least `statistic` after one of `ends` values.

    The mass that leaves is added up, never taken from 1, so that a tiny p keeps its digits.
    """
    if statistic <= _ROUNDING:
        return 1.0
    total = m + n
    checked = np.zeros(total + 1, dtype=np.bool_)
    checked[ends] = True
    taken = np.arange(m + 1, dtype=np.float64)
    from_first, slope = m - taken, 1.0 / m + 1.0 / n
    inside = np.zeros(m + 1)
    inside[0] = 1.0
    left = 0.0
    low, high = 0, 0  # where the mass is
    for step in range(1, total + 1):
        remaining = total - step + 1.0
        top = min(m, high + 1)
        now = inside[low : top + 1].copy()
        now *= (remaining - from_first[low : top + 1]) / remaining
        now[1:] += inside[low:top] * (from_first[low:top] / remaining)
        high = top
        inside[low : high + 1] = now
        if checked[step]:
            # |i / m - (step - i) / n| < statistic, solved for i
            centre, reach = step / (n * slope), (statistic - _ROUNDING) / slope
            bottom, top = max(low, math.floor(centre - reach) + 1), min(top, math.ceil(centre + reach) - 1)
            left += float(inside[low:bottom].sum() + inside[top + 1 : high + 1].sum())
            inside[low:bottom] = 0.0
            inside[top + 1 : high + 1] = 0.0
            if top < bottom:
                return min(1.0, left)
            low, high = bottom, top
    return min(1.0, left)


def _limit(z: float) -> float:
    """P(K >= z) of Kolmogorov's law (Smirnov 1948, Ann. Math. Stat. 19, 279); below 0.2 it is 1 to double precision."""
    if z < 0.2:
        return 1.0
    series = sum((1.0 if k % 2 else -1.0) * math.exp(-2.0 * (k * z) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * series))
