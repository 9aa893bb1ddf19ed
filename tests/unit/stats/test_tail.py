import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student_law

from pilotbase.stats.proportion import exact
from pilotbase.stats.tail import batch_mean, choose_batches, quantile_bounds, share_over


def test_failures_are_over_every_threshold() -> None:
    x = np.array([0.1] * 90 + [math.inf] * 10)
    assert share_over(x, 1e9, 0.95).value == pytest.approx(0.1)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(20, 300))
def test_a_share_is_never_narrower_than_the_exact_bounds(seed: int, n: int) -> None:
    x = np.random.default_rng(seed).exponential(1, n)
    found, alone = share_over(x, 2.0, 0.95), exact(int((x > 2.0).sum()), n, 0.95)
    assert 0 <= found.low <= alone.low
    assert alone.high <= found.high <= 1


def test_a_burst_widens_the_bounds_and_a_shuffle_does_not() -> None:
    x = np.array([0.0] * 950 + [9.0] * 50)
    burst = share_over(x, 1.0, 0.95)
    spread = share_over(np.random.default_rng(1).permutation(x), 1.0, 0.95)
    assert burst.high > 1.5 * spread.high


def test_fewer_values_than_batches_are_undefined() -> None:
    assert share_over(np.ones(19), 0.5, 0.95).value is None
    assert batch_mean(np.ones(19), 0.95).value is None


def test_fewer_than_twenty_batches_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="need at least 20"):
        share_over(np.ones(100), 0.5, 0.95, batches=10)
    with pytest.raises(ValueError, match="found NaN"):
        batch_mean(np.array([math.nan] * 40), 0.95)


def test_batch_means_of_equal_batches_are_those_of_the_textbook() -> None:
    x = np.random.default_rng(3).normal(size=400)
    means = x.reshape(20, 20).mean(axis=1)
    half = student_law.ppf(0.95, 19) * means.std(ddof=1) / math.sqrt(20)
    found = batch_mean(x, 0.95)
    assert (found.low, found.high) == (pytest.approx(x.mean() - half), pytest.approx(x.mean() + half))


def test_an_infinite_mean_has_no_bounds() -> None:
    found = batch_mean(np.array([1.0] * 39 + [math.inf]), 0.95)
    assert (found.value, found.low, found.high) == (None, None, None)


@pytest.mark.parametrize(("n", "q"), [(100, 0.5), (300, 0.95), (59, 0.95), (58, 0.95), (1000, 0.01)])
def test_order_statistic_ranks_are_the_tightest_that_cover(n: int, q: float) -> None:
    found = quantile_bounds(np.arange(1.0, n + 1.0), q, 0.95)
    ranks = range(1, n + 1)
    lows = [k for k in ranks if binom.cdf(k - 1, n, q) <= 0.05]
    highs = [k for k in ranks if binom.sf(k - 1, n, q) <= 0.05]
    assert found.low == (max(lows) if lows else None)
    assert found.high == (min(highs) if highs else None)
    assert found.value == math.ceil(q * n - 1e-9)


def test_an_infinite_quantile_or_bound_is_left_out() -> None:
    found = quantile_bounds(np.array([1.0] * 90 + [math.inf] * 10), 0.95, 0.95)
    assert (found.value, found.high) == (None, None)
    assert quantile_bounds(np.array([]), 0.5, 0.95).value is None
    with pytest.raises(ValueError, match="strictly between"):
        quantile_bounds(np.ones(3), 1.0, 0.95)


def test_independent_values_are_batches_of_their_own() -> None:
    assert choose_batches(np.random.default_rng(3).exponential(size=1000)) == 1000


def test_dependent_neighbours_make_larger_batches_and_never_fewer_than_the_least() -> None:
    steps = np.random.default_rng(4).normal(size=1000)
    walk = np.cumsum(steps)
    assert choose_batches(walk) == 20
    smoothed = np.convolve(steps, np.ones(4), "valid")
    assert 20 <= choose_batches(smoothed) <= 500


def test_failures_count_as_the_slowest_when_batches_are_chosen() -> None:
    values = np.r_[np.full(100, math.inf), np.random.default_rng(5).exponential(size=900)]
    assert choose_batches(values) < 1000


def test_no_slow_arrival_among_many_independent_ones_shows_a_small_share() -> None:
    values = np.random.default_rng(6).uniform(size=250)
    found = share_over(values, 2.0, 0.95, choose_batches(values))
    assert found.high is not None
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 250), abs=1e-9)
