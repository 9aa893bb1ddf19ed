"""Agreement of two raters over the same cases: exact proportion, Cohen's kappa, Gwet's AC1."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate, unbounded, undefined
from pilotbase.stats.proportion import exact
from pilotbase.stats.special import t_ppf


def agreement(a: Sequence[Hashable], b: Sequence[Hashable], confidence: float) -> Estimate:
    """Share of cases on which both raters say the same, with Clopper-Pearson bounds."""
    first, second, _ = _coded(a, b)
    return exact(int(np.count_nonzero(first == second)), first.size, confidence)


def kappa(a: Sequence[Hashable], b: Sequence[Hashable], confidence: float) -> Estimate:
    """Cohen's kappa (Cohen 1960) with the variance of Fleiss, Cohen & Everitt 1969 and t with n - 1 degrees.

    Each side is the wider of that and the exact bound of the observed agreement at the chance agreement seen, so that full
    agreement has a lower bound below 1. No value where chance alone agrees always (one class only), or without cases.
    """
    first, second, classes = _coded(a, b)
    n = first.size
    method = "kappa"
    if n == 0:
        return undefined(0, method, confidence)
    shares_a = np.bincount(first, minlength=classes) / n
    shares_b = np.bincount(second, minlength=classes) / n
    chance = float(shares_a @ shares_b)
    # the influence of one case on the chance agreement, about its mean
    influence = shares_b[first] + shares_a[second] - 2.0 * chance
    return _corrected(first == second, chance, influence, method, confidence)


def ac1(a: Sequence[Hashable], b: Sequence[Hashable], confidence: float) -> Estimate:
    """Gwet's AC1 (Gwet 2008, Br. J. Math. Stat. Psychol. 61, 29), steady where nearly all cases are of one class.

    Chance agreement is sum pi_k (1 - pi_k) / (K - 1) over the K classes seen, pi_k the mean share of class k. Bounds as in
    `kappa`. With one class only the raters always agree and chance never does: value 1, bounds from the exact agreement.
    """
    first, second, classes = _coded(a, b)
    n = first.size
    method = "AC1"
    if n == 0:
        return undefined(0, method, confidence)
    shares = (np.bincount(first, minlength=classes) + np.bincount(second, minlength=classes)) / (2.0 * n)
    scale = 1.0 / max(1, classes - 1)
    chance = scale * float(np.sum(shares * (1.0 - shares)))
    gradient = scale * (1.0 - 2.0 * shares)
    influence = 0.5 * (gradient[first] + gradient[second]) - float(gradient @ shares)
    return _corrected(first == second, chance, influence, method, confidence)


def _corrected(
    same: NDArray[np.bool_], chance: float, influence: NDArray[np.float64], method: str, confidence: float
) -> Estimate:
    """(observed - chance) / (1 - chance) with bounds from the influence of each case."""
    n = same.size
    observed = float(same.mean())
    room = 1.0 - chance
    if room <= 1e-12:
        return undefined(n, method, confidence)
    value = (observed - chance) / room
    if n < 2:
        return unbounded(value, n, method, confidence)
    effects = ((same - observed) - (1.0 - value) * influence) / room
    half = t_ppf(confidence, n - 1) * math.sqrt(float(np.sum(effects**2)) / (n - 1) / n)
    plain = exact(int(np.count_nonzero(same)), n, confidence)
    low = min(value - half, ((plain.low or 0.0) - chance) / room)
    high = max(value + half, ((1.0 if plain.high is None else plain.high) - chance) / room)
    return Estimate(
        value=value,
        low=max(-1.0, low),
        high=min(1.0, max(high, value)),
        n=n,
        method=method,
        confidence=confidence,
    )


def _coded(a: Sequence[Hashable], b: Sequence[Hashable]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Both raters' classes as codes 0..K-1, and K."""
    if len(a) != len(b):
        raise ValueError(f"found {len(a)} and {len(b)} ratings: give one of each rater per case")
    codes: dict[Hashable, int] = {}
    first = np.array([codes.setdefault(item, len(codes)) for item in a], dtype=np.int64)
    second = np.array([codes.setdefault(item, len(codes)) for item in b], dtype=np.int64)
    return first, second, len(codes)
