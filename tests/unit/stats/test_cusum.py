import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.stats.cusum import Cusum, arl, threshold_for

results = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0)), max_size=60)


def whole_steps_chain(up: int, count: int, rate: float) -> float:
    """The run length of a chain whose success goes down by one and whose failure goes up by `up`, solved whole."""
    matrix = np.eye(count)
    for i in range(count):
        matrix[i, max(0, i - 1)] -= 1.0 - rate
        if i + up < count:
            matrix[i, i + up] -= rate
    return float(np.linalg.solve(matrix, np.ones(count))[0])


def rate_of_whole_steps(p0: float, up: int) -> float:
    """The p1 at which one failure weighs exactly as much as `up` successes."""
    low, high = p0, 1.0 - 1e-9
    for _ in range(200):
        p1 = 0.5 * (low + high)
        ratio = math.log(p1 / p0) / math.log((1 - p0) / (1 - p1))
        # the ratio falls as p1 rises
        low, high = (p1, high) if ratio > up else (low, p1)
    return p1


@given(results, st.integers(0, 60))
def test_results_at_once_alarm_where_results_one_by_one_do(values: list[float], cut: int) -> None:
    one, many = Cusum(0.1, 0.3, 2.0), Cusum(0.1, 0.3, 2.0)
    first = next((i for i, value in enumerate(values) if one.update(value)), None)
    found = many.update_many(np.array(values[:cut]))
    if found is None:
        tail = many.update_many(np.array(values[cut:]))
        found = None if tail is None else tail + min(cut, len(values))
    assert found == first
    assert many.level == pytest.approx(one.level, abs=1e-9)


def test_the_level_follows_the_definition_and_tells_since_when_it_rises() -> None:
    chart = Cusum(0.1, 0.2, 5.0)
    up, down = math.log(2.0), math.log(0.9 / 0.8)
    for value in (0.0, 1.0, 0.0, 0.5):
        assert not chart.update(value)
    assert chart.level == pytest.approx(up - down + 0.5 * (up - down))
    assert chart.since == 3
    other = Cusum(0.1, 0.2, 5.0)
    other.update_many(np.array([0.0, 1.0, 0.0, 0.5]))
    assert other.state == pytest.approx(chart.state)
    other.reset()
    assert other.state == (0.0, 0.0)
    other.resume(chart.state)
    assert other.state == chart.state


@pytest.mark.parametrize(("p0", "up"), [(0.01, 68), (0.02, 40), (0.1, 6), (0.3, 2)])
@pytest.mark.parametrize("worse", [False, True])
def test_the_run_length_of_whole_steps_is_that_of_the_chain_solved_whole(p0: float, up: int, worse: bool) -> None:
    p1 = rate_of_whole_steps(p0, up)
    down = math.log((1 - p0) / (1 - p1))
    count = round(3.5 / down)
    rate = p1 if worse else p0
    # half a step below the lattice point, where rounding cannot decide
    found = arl(p0, p1, (count - 1e-6) * down, rate)
    assert found == pytest.approx(whole_steps_chain(up, count, rate), rel=0.02)


@pytest.mark.parametrize(
    ("p0", "p1", "run_length"), [(0.01, 0.02, 20_000), (0.01, 0.03, 20_000), (0.001, 0.01, 5_000), (0.2, 0.4, 500)]
)
def test_a_threshold_gives_the_run_length_that_it_was_asked_for(p0: float, p1: float, run_length: float) -> None:
    threshold = threshold_for(p0, p1, run_length)
    assert run_length <= arl(p0, p1, threshold, p0) <= 1.2 * run_length
    assert threshold <= math.log(run_length)


def test_the_run_length_is_never_under_the_promise_for_fractions() -> None:
    for p0, p1 in ((0.01, 0.02), (0.05, 0.2), (0.3, 0.5)):
        for threshold in (2.0, 5.0):
            assert arl(p0, p1, threshold, p0) >= math.exp(threshold)
            assert arl(p0, p1, threshold, p1) < arl(p0, p1, threshold, p0)


def test_without_failures_there_is_no_alarm_and_with_nothing_else_it_is_quick() -> None:
    assert arl(0.01, 0.02, 4.6, 0.0) == math.inf
    assert arl(0.01, 0.02, 4.6, 1.0) == 7.0
    assert Cusum(0.01, 0.02, 4.6).update_many(np.zeros(100_000)) is None
    assert Cusum(0.01, 0.02, 4.6).update_many(np.ones(100)) == 6


def test_settings_and_values_that_make_no_sense_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="0 < p0 < p1 < 1"):
        Cusum(0.2, 0.1, 4.0)
    with pytest.raises(ValueError, match="threshold is 0"):
        Cusum(0.1, 0.2, 0.0)
    with pytest.raises(ValueError, match="a rate in"):
        arl(0.1, 0.2, 4.0, 1.5)
    with pytest.raises(ValueError, match=r"at most 1e8"):
        threshold_for(0.1, 0.2, 1e12)
    with pytest.raises(ValueError, match="results lie between 0 and 1"):
        Cusum(0.1, 0.2, 4.0).update(math.nan)
    with pytest.raises(ValueError, match="results lie between 0 and 1"):
        Cusum(0.1, 0.2, 4.0).update_many(np.array([2.0]))
    with pytest.raises(ValueError, match="no state of a CUSUM"):
        Cusum(0.1, 0.2, 4.0).resume((1.0, -2.0))
