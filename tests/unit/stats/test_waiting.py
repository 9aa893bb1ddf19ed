"""The median of waiting times, some of which have not ended."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from pilotbase.stats.waiting import median_wait

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
TIMES = st.lists(st.integers(0, 40).map(float), max_size=12)


def test_it_is_that_of_a_published_example() -> None:
    # maintained group of Miller 1981 (Survival Analysis, p. 49): median 31 weeks
    found = median_wait([9, 13, 18, 23, 31, 34, 48], [13, 28, 45, 161], 0.975)
    assert (found.value, found.n) == (31.0, 11) and found.high is None


@given(st.lists(st.integers(1, 40).map(float), min_size=2, max_size=12), TIMES)
def test_bounds_are_those_of_another_implementation(ended: list[float], waiting: list[float]) -> None:
    found = median_wait(ended, waiting, 0.9)
    times, status = [*ended, *waiting], [1] * len(ended) + [0] * len(waiting)
    other = SurvfuncRight(times, status)
    reached = [time for time, share in zip(other.surv_times, other.surv_prob, strict=True) if share <= 0.5 + 1e-12]
    assert found.value == (reached[0] if reached else None)
    below, above = other.quantile_ci(0.5, alpha=0.2, method="cloglog")
    if found.low is not None and found.high is not None and found.low < found.value < found.high:  # type: ignore[operator]
        assert found.low == pytest.approx(below) and (found.high == pytest.approx(above) or above == max(times))


def test_who_waits_still_makes_the_median_longer_and_never_shorter() -> None:
    assert median_wait([1, 2, 3], [], 0.95).value == 2.0
    assert median_wait([1, 2, 3], [4, 4], 0.95).value == 3.0
    assert median_wait([1], [5, 5], 0.95).value is None
    assert median_wait([], [5, 5], 0.95).n == 2 and median_wait([], [5], 0.95).value is None
    with pytest.raises(ValueError, match="negative"):
        median_wait([-1], [], 0.95)


def test_bounds_cover_the_truth_as_often_as_they_say(size: Callable[[int, int], int]) -> None:
    chance, rounds, missed = random.Random(5), size(300, 3000), [0, 0]
    for _ in range(rounds):
        pairs = [(chance.expovariate(0.1), chance.uniform(0, 30)) for _ in range(40)]
        found = median_wait([a for a, b in pairs if a <= b], [b for a, b in pairs if a > b], 0.9)
        truth = 6.931471805599453
        missed[0] += found.low is not None and found.low > truth
        missed[1] += found.high is not None and found.high < truth
    assert all(count / rounds <= 0.15 for count in missed), missed
