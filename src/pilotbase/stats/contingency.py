"""Whether two samples spread alike over categories: chi-square, and Fisher's exact test for two categories."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.two_sample import TwoSample, permutation_p

__all__ = ["chi_square", "chi_square_tail", "fisher", "homogeneity"]

EXPECTED = 5.0  # of a category, on the smaller side (Cochran 1954, Biometrics 10, 417)


def chi_square(first: NDArray[np.int64], second: NDArray[np.int64]) -> TwoSample:
    """Pearson's test of homogeneity on the counts of each category in the first and in the second sample.

    Categories with fewer than 5 expected cases on either side become one, smallest first, by the sums of both samples
    alone, so that the choice says nothing about their difference. The statistic is the largest difference of a category's
    shares, in [0, 1]. p is the tail of the chi-square law with one degree less than there are categories, and of Fisher's exact
    test where two are left; one alone has p = 1. Where one sample is much larger, p of 0.001 and less is up to twice too small:
    `homogeneity` is not. Raises ValueError for negative counts and for an empty sample.
    """
    x, y = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"found {x.size} and {y.size} categories: count the same ones in both samples")
    m, n = int(x.sum()), int(y.sum())
    if (x < 0).any() or (y < 0).any() or m == 0 or n == 0:
        raise ValueError("found a negative count or an empty sample: a comparison needs cases on both sides")
    x, y = _pooled(x, y, EXPECTED * (m + n) / min(m, n))
    statistic = float(np.abs(x / m - y / n).max())
    if x.size == 1:
        return TwoSample(statistic=0.0, p=1.0, m=m, n=n, method="one category")
    if x.size == 2:
        p = fisher(int(x[0]), m, int(y[0]), n, "two-sided")
        return TwoSample(statistic=statistic, p=p, m=m, n=n, method="two categories, Fisher exact")
    value = float(_pearson(y[None, :], x + y, n)[0])
    return TwoSample(statistic=statistic, p=chi_square_tail(value, x.size - 1), m=m, n=n, method="chi-square")


def homogeneity(first: NDArray[np.int64], second: NDArray[np.int64], *, seed: int, permutations: int = 9_999) -> TwoSample:
    """`chi_square` with a p that holds in the far tail too, whatever the sizes.

    p is twice the smaller of two (Bonferroni): Pearson's statistic by permutation, which is drawn as tables with the same sums
    and finds many small moves; and the smallest Fisher's exact p of a category against all others, times their number,
    which has no floor and finds a large move of one. Small categories are pooled, as in `chi_square`.
    """
    plain = chi_square(first, second)
    if plain.method != "chi-square":
        return plain
    m, n = plain.m, plain.n
    x, y = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    x, y = _pooled(x, y, EXPECTED * (m + n) / min(m, n))
    both = x + y
    line = float(_pearson(y[None, :], both, n)[0]) * (1.0 - 1e-9)
    generator = np.random.default_rng(seed)

    def larger(count: int) -> NDArray[np.bool_]:
        return _pearson(generator.multivariate_hypergeometric(both, n, count, method="marginals"), both, n) >= line

    alone = min(fisher(int(a), m, int(b), n, "two-sided") for a, b in zip(x, y, strict=True))
    p = min(1.0, 2.0 * min(permutation_p(larger, permutations), x.size * alone))
    return TwoSample(statistic=plain.statistic, p=p, m=m, n=n, method="chi-square, permutation")


def fisher(hits1: int, n1: int, hits2: int, n2: int, side: Literal["two-sided", "less", "greater"]) -> float:
    """Fisher's exact p that hits are as likely in the first as in the second sample.

    `less` speaks against a first rate that is lower, `greater` against one that is higher. Two-sided is the chance of all tables
    with the same sums that are no likelier than this one (Fisher 1934; Freeman and Halton 1951). Exact in the whole tail, so a
    small share of alpha can be met. Raises ValueError for counts that do not fit.
    """
    if not 0 <= hits1 <= n1 or not 0 <= hits2 <= n2:
        raise ValueError(f"found {hits1} of {n1} and {hits2} of {n2}: hits are never negative nor more than the cases")
    hits = hits1 + hits2
    low, high = max(0, hits - n2), min(n1, hits)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n1 + n2 + 1)))])

    def choose(total: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = logs[total] - logs[k] - logs[total - k]
        return found

    k = np.arange(low, high + 1)
    weights = choose(n1, k) + choose(n2, hits - k)
    chances = np.exp(weights - weights.max())
    chances /= chances.sum()
    at = hits1 - low
    if side == "less":
        return min(1.0, float(chances[: at + 1].sum()))
    if side == "greater":
        return min(1.0, float(chances[at:].sum()))
    return min(1.0, float(chances[chances <= chances[at] * (1.0 + 1e-7)].sum()))


def chi_square_tail(value: float, degrees: int) -> float:
    """P(X >= value) of the chi-square law with a whole number of degrees > 0, without cancellation.

    The finite sums for even and odd degrees (Abramowitz and Stegun 1964, 26.4.4 and 26.4.5), each term in logarithms.
    """
    if degrees < 1 or value < 0.0:
        raise ValueError(f"found the value {value} with {degrees} degrees: both are positive")
    if value == 0.0:
        return 1.0
    half, log_half = 0.5 * value, math.log(0.5 * value)
    if degrees % 2 == 0:
        return min(1.0, sum(math.exp(k * log_half - half - math.lgamma(k + 1.0)) for k in range(degrees // 2)))
    rest = sum(math.exp((k - 0.5) * log_half - half - math.lgamma(k + 0.5)) for k in range(1, degrees // 2 + 1))
    return min(1.0, math.erfc(math.sqrt(half)) + rest)


def _pearson(tables: NDArray[np.int64], both: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Pearson's statistic of each row of `tables`, the second sample's counts, of sums `both` and the second sample's size."""
    total = int(both.sum())
    expected = both * (n / total)
    # the first sample is off by as much, the other way, from what is expected of it
    found: NDArray[np.float64] = (np.square(tables - expected) / expected).sum(axis=1) * (total / (total - n))
    return found


def _pooled(x: NDArray[np.int64], y: NDArray[np.int64], least: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The counts with the smallest categories made one until none, of both samples together, is under `least`."""
    both = x + y
    x, y, both = x[both > 0], y[both > 0], both[both > 0]
    order = np.argsort(both, kind="stable")
    x, y, sums = x[order], y[order], np.cumsum(both[order])
    small = int((both < least).sum())
    if small == 0:
        return x, y
    # A pool that is itself too small takes the next category, and so on.
    cut = min(max(small, int(np.searchsorted(sums, least)) + 1), x.size)
    return np.append(x[cut:], x[:cut].sum()), np.append(y[cut:], y[:cut].sum())
