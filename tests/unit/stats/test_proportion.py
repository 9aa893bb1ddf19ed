import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from pilotbase.stats.proportion import effective, exact, wilson

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.floats(0.55, 0.9999)


@settings(max_examples=150, deadline=None)
@given(count=counts, confidence=confidences)
def test_exact_bounds_are_those_of_statsmodels(count: tuple[int, int], confidence: float) -> None:
    found = exact(*count, confidence)
    low, high = proportion_confint(*count, alpha=2 * (1 - confidence), method="beta")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-10), pytest.approx(high, abs=1e-10))


def test_exact_bounds_are_those_of_scipy() -> None:
    interval = binomtest(48, 50).proportion_ci(0.90, "exact")
    found = exact(48, 50, 0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_wilson_bounds_are_those_of_statsmodels_and_say_what_they_are_for() -> None:
    found = wilson(48, 50, 0.975)
    low, high = proportion_confint(48, 50, alpha=0.05, method="wilson")
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert "comparison only" in found.method


def test_a_sample_of_zero_cases_has_no_value() -> None:
    for found in (exact(0, 0, 0.95), wilson(0, 0, 0.95)):
        assert (found.value, found.low, found.high, found.n) == (None, 0.0, 1.0, 0)


@settings(deadline=None)
@given(count=counts, confidence=confidences)
def test_bounds_enclose_the_value_and_widen_with_confidence(count: tuple[int, int], confidence: float) -> None:
    loose, tight = exact(*count, confidence), exact(*count, 0.55)
    assert 0.0 <= loose.low <= tight.low <= loose.value <= tight.high <= loose.high <= 1.0


@settings(deadline=None)
@given(count=counts, confidence=confidences)
def test_failures_mirror_successes(count: tuple[int, int], confidence: float) -> None:
    successes, n = count
    found, mirrored = exact(successes, n, confidence), exact(n - successes, n, confidence)
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_counts_need_not_be_whole_and_stay_between_their_neighbours() -> None:
    assert exact(8, 10, 0.95).low < exact(8.5, 10, 0.95).low < exact(9, 10, 0.95).low


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 5, 20, 100])
def test_exact_bounds_never_miss_more_often_than_promised(n: int, p: float) -> None:
    low = sum(binom.pmf(k, n, p) for k in range(n + 1) if exact(k, n, 0.95).low > p)
    high = sum(binom.pmf(k, n, p) for k in range(n + 1) if exact(k, n, 0.95).high < p)
    assert max(low, high) <= 0.05 + 1e-12


def test_more_successes_than_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="found 3 successes of 2 cases"):
        exact(3, 2, 0.95)


def test_an_effective_sample_with_binomial_variance_is_the_sample_itself() -> None:
    low, high = effective(0.9, 0.09 / 200, 1e9, 10, 0.95)
    plain = exact(180, 200, 0.95)
    assert (low, high) == (pytest.approx(plain.low, abs=1e-7), pytest.approx(plain.high, abs=1e-7))
