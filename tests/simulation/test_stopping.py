"""False answers of the sequential rules when one looks again and again, and what looking costs."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from pilotbase.stats.mean import bounded
from pilotbase.stats.power import boundaries, needed, stopping_times
from pilotbase.stats.proportion import wilson
from pilotbase.stats.sequential import looks, mean

ALPHA = 0.05


def slack(trials: int) -> float:
    """Three standard errors of a simulated rate of alpha."""
    return float(3 * np.sqrt(ALPHA * (1 - ALPHA) / trials))


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.95, 0.05])
def test_false_answers_at_the_threshold_stay_below_alpha_however_often_one_looks(
    threshold: float, size: Callable[[int, int], int]
) -> None:
    trials, horizon = size(4000, 40_000), 2000
    generator = np.random.default_rng(1)
    running = np.zeros((2, trials), dtype=bool)
    successes, asked = np.zeros(trials, dtype=np.int64), 0
    for look, refuse, accept in boundaries(threshold, horizon, 1 - ALPHA):
        successes += generator.binomial(look - asked, threshold, trials)
        asked = look
        running |= np.stack([successes >= accept, successes <= refuse])
    assert running.mean(axis=1).max() <= ALPHA + slack(trials)


def test_a_looked_at_wilson_bound_passes_the_unready_about_one_time_in_three(size: Callable[[int, int], int]) -> None:
    trials, horizon, threshold = size(2000, 20_000), 2000, 0.90
    z = NormalDist().inv_cdf(1 - ALPHA)
    n = np.arange(1, horizon + 1)
    hits = np.cumsum(np.random.default_rng(2).random((trials, horizon)) < threshold, axis=1)
    p = hits / n
    low = (p + z * z / (2 * n) - z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    assert low[0, 499] == pytest.approx(wilson(int(hits[0, 499]), 500, 1 - ALPHA).low, abs=1e-6)
    passed = (low > threshold)[:, 29:].any(axis=1).mean()
    assert 0.25 < passed < 0.40


@pytest.mark.parametrize(
    ("threshold", "true"), [(0.9, 0.95), (0.9, 0.97), (0.9, 0.85), (0.95, 0.98), (0.95, 0.9), (0.05, 0.02), (0.5, 0.6)]
)
def test_away_from_the_threshold_the_sequential_rule_needs_under_two_fifths_of_a_fixed_sample(
    threshold: float, true: float, size: Callable[[int, int], int]
) -> None:
    times = stopping_times(">=", threshold, true, 2000, 1 - ALPHA, trials=size(1000, 20_000), seed=3)
    assert np.median(times) <= 0.4 * 2000
    fixed = needed(">=", threshold, true, 1 - ALPHA)
    assert fixed is not None
    assert np.median(times) <= 2 * fixed


@pytest.mark.parametrize("law", ["skewed", "three-valued"])
def test_a_looked_at_mean_misses_no_more_often_than_alpha(law: str, size: Callable[[int, int], int]) -> None:
    trials, horizon = size(120, 4000), 300
    generator = np.random.default_rng(4)
    at = [n for n in range(1, horizon + 1) if looks(n)][::3]
    above = below = 0
    for _ in range(trials):
        if law == "skewed":
            x, true = generator.beta(0.2, 1.8, horizon), 0.1
        else:
            x, true = generator.choice([0.0, 0.5, 1.0], horizon, p=[0.02, 0.06, 0.92]), 0.95
        found = [mean(x[:n], 0, 1, 1 - ALPHA) for n in at]
        above += any(f.low > true for f in found)
        below += any(f.high < true for f in found)
    assert max(above, below) / trials <= ALPHA + slack(trials)


def test_a_false_bounded_mean_on_a_fixed_sample_is_rarer_than_alpha(size: Callable[[int, int], int]) -> None:
    trials = size(500, 10_000)
    generator = np.random.default_rng(5)
    for n in (10, 60):
        found = [bounded(generator.beta(0.3, 2.7, n), 0, 1, 1 - ALPHA) for _ in range(trials)]
        assert max(np.mean([f.low > 0.1 for f in found]), np.mean([f.high < 0.1 for f in found])) <= ALPHA + slack(trials)
