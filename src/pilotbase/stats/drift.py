"""The population stability index: how far a sample's shares moved from a reference's, with what chance alone makes of it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stability", "look_share", "psi", "psi_of_counts", "psi_p"]

BINS = 10
SMOOTHING = 0.5  # cases added to each bin, after Jeffreys


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """The index (>= 0), what it is on average where nothing moved (`chance`), and how many bins it compares."""

    value: float
    chance: float
    bins: int

    @property
    def reading(self) -> Literal["small", "moderate", "large"]:
        """`small`, `moderate` or `large` by the usual limits 0.1 and 0.25 of scorecard practice (Siddiqi 2006)."""
        if self.value < 0.1:
            return "small"
        return "moderate" if self.value < 0.25 else "large"


def psi(reference: NDArray[np.float64], window: NDArray[np.float64], *, bins: int = BINS) -> Stability:
    """The index of numbers over bins between the reference's quantiles; equal quantiles make one bin. NaN is a ValueError."""
    x, y = _sorted(reference), _sorted(window)
    edges = np.unique(np.quantile(x, np.arange(1, bins) / bins, method="inverted_cdf"))
    return psi_of_counts(_binned(x, edges), _binned(y, edges))


def psi_of_counts(reference: NDArray[np.int64], window: NDArray[np.int64]) -> Stability:
    """The index of two samples' counts of the same categories: sum of (w - r) ln(w / r) over the shares, symmetric.

    Half a case is added to each. Where nothing moved it is on average near (bins - 1)(1/m + 1/n) (Yurdakul 2018, "Statistical
    properties of population stability index"), which for a small window is over the usual limits: `chance` says so.
    """
    r, w = np.asarray(reference, dtype=np.float64) + SMOOTHING, np.asarray(window, dtype=np.float64) + SMOOTHING
    if r.shape != w.shape or r.size == 0:
        raise ValueError(f"found {r.size} and {w.size} categories: count the same ones in both samples")
    m, n = float(np.sum(reference)), float(np.sum(window))
    if m < 1 or n < 1:
        raise ValueError(f"found {m:.0f} and {n:.0f} cases: a comparison needs cases on both sides")
    r, w = r / r.sum(), w / w.sum()
    value = float(((w - r) * np.log(w / r)).sum())
    return Stability(value=value, chance=(r.size - 1) * (1.0 / m + 1.0 / n), bins=r.size)


def psi_p(
    reference: NDArray[np.float64], window: NDArray[np.float64], *, seed: int, permutations: int = 999, bins: int = BINS
) -> float:
    """The chance of an index at least this large where nothing moved, by permutation; each one has quantiles of its own.

    (as large + 1) / (permutations + 1), which is valid for any number of them (Phipson and Smyth 2010).
    """
    x, y = _sorted(reference), _sorted(window)
    observed = psi(x, y, bins=bins).value
    pooled = np.concatenate([x, y])
    generator = np.random.default_rng(seed)
    larger = 0
    for _ in range(permutations):
        shuffled = generator.permutation(pooled)
        larger += psi(shuffled[: x.size], shuffled[x.size :], bins=bins).value >= observed - 1e-12
    return (larger + 1) / (permutations + 1)


def look_share(look: int) -> float:
    """The share of alpha that belongs to the `look`-th look (1, 2, ...): 6 / (pi^2 look^2); all of them together make 1."""
    if look < 1:
        raise ValueError(f"found the look {look}: looks are counted from 1")
    return 6.0 / (math.pi * look) ** 2


def _sorted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.sort(np.asarray(values, dtype=np.float64))
    if found.size == 0 or np.isnan(found[-1]):
        raise ValueError("found no values, or values that are NaN: leave missing values out before comparing")
    return found


def _binned(ordered: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the sorted values are at most each edge and over the one before, and how many are over the last."""
    upto = np.searchsorted(ordered, edges, side="right")
    return np.diff(np.concatenate([[0], upto, [ordered.size]])).astype(np.int64)
