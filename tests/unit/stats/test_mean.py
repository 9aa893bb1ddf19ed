import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from pilotbase.stats.mean import bounded, hall, root_mean_square, student, variance_degrees
from pilotbase.stats.proportion import exact
from pilotbase.stats.sequential import mean


def test_values_at_the_ends_of_the_range_get_exact_bounds() -> None:
    found, share = bounded(np.array([-1.0] * 3 + [1.0] * 17), -1, 1, 0.95), exact(17, 20, 0.95)
    assert found.method == "exact"
    assert (found.low, found.high) == (pytest.approx(2 * share.low - 1), pytest.approx(2 * share.high - 1))


def test_a_fixed_sample_gives_tighter_bounds_than_a_looked_at_one() -> None:
    x = np.random.default_rng(2).beta(3, 3, 400)
    once, always = bounded(x, 0, 1, 0.95), mean(x, 0, 1, 0.95)
    assert once.high - once.low < always.high - always.low


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-3, 9), min_size=2, max_size=60), confidence=st.floats(0.6, 0.995))
def test_student_bounds_enclose_the_value_and_ignore_the_order(values: list[float], confidence: float) -> None:
    found, turned = student(np.array(values), confidence), student(np.array(values[::-1]), confidence)
    assert found.value == pytest.approx(turned.value)
    if found.low is not None:
        assert found.low <= found.value <= found.high
        assert found.low == pytest.approx(turned.low, abs=1e-6)


def test_symmetric_data_get_the_t_bounds() -> None:
    x = np.arange(-10.0, 11.0)
    half = oracle.t.ppf(0.95, 20) * oracle.sem(x)
    found = student(x, 0.95)
    assert (found.low, found.high) == (pytest.approx(-half), pytest.approx(half))


def test_skewed_data_push_the_bound_on_the_long_side_out_and_never_pull_one_in() -> None:
    x = np.random.default_rng(0).exponential(1, 40)
    half = oracle.t.ppf(0.95, 39) * oracle.sem(x)
    found = student(x, 0.95)
    assert found.high > x.mean() + 1.05 * half
    assert found.low <= x.mean() - half + 1e-12


@settings(deadline=None)
@given(y=st.floats(-0.5, 0.5), skewness=st.floats(-3, 3), n=st.integers(10, 500))
def test_the_inverse_of_halls_transformation_undoes_it(y: float, skewness: float, n: int) -> None:
    t = hall(y, skewness, n)
    forward = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / (6 * n)
    assert forward == pytest.approx(y, abs=1e-6)


def test_normal_residuals_keep_nearly_all_their_degrees_and_a_single_spike_has_none() -> None:
    assert variance_degrees(np.random.default_rng(1).normal(size=5000)) > 4000
    assert variance_degrees(np.array([1.0] + [0.0] * 99)) == pytest.approx(200 / 99)


def test_constant_data_are_their_own_bounds() -> None:
    found = student(np.full(5, 0.3), 0.95)
    assert (found.value, found.low, found.high) == (0.3, 0.3, 0.3)


def test_one_value_or_an_infinite_one_has_no_bounds() -> None:
    single = student(np.array([4.0]), 0.95)
    assert (single.value, single.low, single.high) == (4.0, None, None)
    infinite = student(np.array([4.0, math.inf]), 0.95)
    assert (infinite.value, infinite.low, infinite.high) == (None, None, None)
    assert student(np.array([]), 0.95).value is None


def test_a_root_mean_square_is_the_root_of_the_mean_of_squares() -> None:
    errors = np.array([3.0, -4.0, 1.0, 2.0, -2.0])
    found = root_mean_square(errors**2, 0.95)
    assert found.value == pytest.approx(math.sqrt(34 / 5))
    assert 0.0 <= found.low <= found.value <= found.high


def test_a_negative_square_is_refused() -> None:
    with pytest.raises(ValueError, match="never negative"):
        root_mean_square(np.array([1.0, -1.0]), 0.95)
