import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_law

from pilotbase.stats.proportion import exact
from pilotbase.stats.sequential import log_wealth, looks, mean, next_look, proportion

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("s", "n", "p"), [(9, 10, 0.5), (3, 20, 0.1), (0, 5, 0.3), (50, 60, 0.95), (7, 7, 0.9)])
def test_the_closed_form_is_the_integral_over_the_truncated_prior(s: int, n: int, p: float) -> None:
    law = beta_law(0.5, 0.5)

    def ratio(u: float) -> float:  # q = 1 - (1 - p) u^2 takes the singular end of the prior away
        q = 1 - (1 - p) * u * u
        likelihood = (q / p) ** s * ((1 - q) / (1 - p)) ** (n - s)
        return likelihood * law.pdf(q) * 2 * (1 - p) * u if u > 0 else 0.0

    integral = quad(ratio, 0, 1, epsabs=1e-13, epsrel=1e-11)[0] / law.sf(p)
    assert log_wealth(s, n, p) == pytest.approx(math.log(integral), abs=1e-7)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.99])
def test_wealth_has_mean_one_under_the_null(p: float) -> None:
    n = 40
    expected = sum(math.comb(n, s) * p**s * (1 - p) ** (n - s) * math.exp(log_wealth(s, n, p)) for s in range(n + 1))
    assert expected == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 30, 400])
def test_the_lower_bound_is_the_exact_edge_of_the_rejected_region(n: int) -> None:
    grid = 1 / (1 + np.exp(-np.linspace(-20, 20, 301)))
    for s in range(0, n + 1, max(1, n // 12)):
        low = proportion(s, n, 0.95).low
        rejected = np.array([log_wealth(s, n, float(p)) >= math.log(20) for p in grid])
        assert np.all(rejected[grid < low])
        assert not np.any(rejected[grid > low + 1e-9])


@settings(max_examples=100, deadline=None)
@given(count=counts, confidence=st.floats(0.6, 0.999))
def test_bounds_enclose_the_value_widen_with_confidence_and_contain_the_exact_ones(
    count: tuple[int, int], confidence: float
) -> None:
    found, less, fixed = proportion(*count, confidence), proportion(*count, 0.6), exact(*count, confidence)
    assert 0.0 <= found.low <= less.low <= found.value <= less.high <= found.high <= 1.0
    assert found.low <= fixed.low + 1e-12
    assert found.high >= fixed.high - 1e-12


@settings(max_examples=100, deadline=None)
@given(count=counts)
def test_another_success_never_lowers_a_bound(count: tuple[int, int]) -> None:
    s, n = count
    if s < n:
        found, more = proportion(s, n, 0.95), proportion(s + 1, n, 0.95)
        assert found.low <= more.low
        assert found.high <= more.high


def test_zero_cases_have_no_value() -> None:
    found = proportion(0, 0, 0.95)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)
    empty = mean(np.array([]), -1, 1, 0.95)
    assert (empty.value, empty.low, empty.high) == (None, -1, 1)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="found 4 successes of 3"):
        proportion(4, 3, 0.95)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-2, 5), min_size=1, max_size=80), confidence=st.floats(0.6, 0.999))
def test_bounds_of_a_mean_stay_in_the_range_and_enclose_the_value(values: list[float], confidence: float) -> None:
    x = np.array(values)
    found, less = mean(x, -2, 5, confidence), mean(x, -2, 5, 0.6)
    assert -2 <= found.low <= less.low + 1e-9
    assert less.high - 1e-9 <= found.high <= 5
    assert found.low <= found.value <= found.high


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_turning_values_round_turns_the_bounds_round(values: list[float]) -> None:
    x = np.array(values)
    found, turned = mean(x, 0, 1, 0.95), mean(1 - x, 0, 1, 0.95)
    assert found.low == pytest.approx(1 - turned.high, abs=1e-7)


def test_a_bet_does_not_know_the_value_it_is_laid_on() -> None:
    """The last of the values must not change the bets: wealth is linear in it, so bounds move monotonically with it."""
    start = np.random.default_rng(3).random(50)
    lows = [mean(np.append(start, last), 0, 1, 0.95).low for last in np.linspace(0, 1, 11)]
    assert lows == sorted(lows)


def test_bounds_of_a_mean_close_in_on_it() -> None:
    x = np.random.default_rng(1).beta(2, 5, 20_000)
    found = mean(x, 0, 1, 0.95)
    assert found.low < 2 / 7 < found.high
    assert found.high - found.low < 0.02


def test_values_outside_the_declared_range_are_refused() -> None:
    with pytest.raises(ValueError, match="outside the declared range"):
        mean(np.array([0.5, 1.5]), 0, 1, 0.95)
    with pytest.raises(ValueError, match="is no range"):
        mean(np.array([0.5]), 1, 1, 0.95)


def test_every_prefix_up_to_fifty_is_looked_at_and_then_steps_of_two_per_cent() -> None:
    assert [n for n in range(60) if looks(n)] == list(range(1, 60))
    seen = [n for n in range(1, 3000) if looks(n)]
    after = [n for n in seen if n >= 50]
    assert all(b - a == max(1, a // 50) for a, b in itertools.pairwise(after))


@settings(deadline=None)
@given(n=st.integers(0, 10_000_000))
def test_the_next_look_is_a_look_and_none_lies_between(n: int) -> None:
    following = next_look(n)
    assert following > n
    assert looks(following)
    assert next_look(following - 1) == following
