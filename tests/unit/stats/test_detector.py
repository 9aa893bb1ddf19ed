import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.stats.detector import Detector, block_means

results = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0)), max_size=60)


def by_the_recursion(detector: Detector, values: list[float]) -> float:
    """The mean of the five M, as the paper writes them."""
    sums = [0.0] * len(detector.bets)
    for x in values:
        sums = [(1.0 + bet * (x - detector.p0)) * (1.0 + m) for bet, m in zip(detector.bets, sums, strict=True)]
    return sum(sums) / len(sums)


@given(results, st.sampled_from([1, 50]))
def test_the_level_is_the_mean_of_the_five_recursions(values: list[float], block: int) -> None:
    detector = Detector(0.05, 1e200, block=block)
    for value in values:
        assert not detector.update(value)
    assert detector.level == pytest.approx(by_the_recursion(detector, values), rel=1e-9)


@given(results, st.integers(0, 60))
def test_results_at_once_alarm_where_results_one_by_one_do(values: list[float], cut: int) -> None:
    one, many = Detector(0.05, 30.0), Detector(0.05, 30.0)
    first = next((i for i, value in enumerate(values) if one.update(value)), None)
    head = many.update_many(np.array(values[:cut]))
    found = head
    if head is None:
        tail = many.update_many(np.array(values[cut:]))
        found = None if tail is None else tail + min(cut, len(values))
    assert found == first
    assert many.state == pytest.approx(one.state, rel=1e-9, abs=1e-12)
    assert many.seen == (len(values) if first is None else first + 1)


@given(results)
def test_a_state_taken_as_plain_numbers_goes_on_as_if_nothing_had_happened(values: list[float]) -> None:
    first, second = Detector(0.05, 1e9), Detector(0.05, 1e9)
    first.update_many(np.array(values))
    second.resume(first.state)
    assert all(math.isfinite(number) for number in first.state)
    for value in (1.0, 0.0, 0.4):
        assert first.update(value) == second.update(value)
    assert first.level == second.level


@given(st.floats(0.001, 0.9), st.floats(0.0, 1.0), st.integers(1, 200))
def test_no_bet_gains_on_average_while_the_mean_is_at_most_the_one_in_control(p0: float, share: float, block: int) -> None:
    detector = Detector(p0, 100.0, block=block)
    mean = share * p0
    for bet in detector.bets:
        up, down = 1.0 + bet * (1.0 - p0), 1.0 - bet * p0
        assert down > 0.0
        assert mean * up + (1.0 - mean) * down <= 1.0 + 1e-12


def test_for_single_results_each_multiplier_is_the_likelihood_ratio_of_its_rate() -> None:
    detector = Detector(0.01, 20_000)
    for q, bet in zip(detector.points, detector.bets, strict=True):
        assert 1.0 + bet * 0.99 == pytest.approx(q / 0.01)
        assert 1.0 - bet * 0.01 == pytest.approx((1.0 - q) / 0.99)
    odds = [q / (1.0 - q) for q in (0.01, *detector.points)]
    assert np.diff(np.log(odds)) == pytest.approx(math.log(8.0) / 5.0)


def test_it_alarms_soon_when_everything_fails_and_the_level_stays_finite_ever_after() -> None:
    detector = Detector(0.01, 20_000)
    found = detector.update_many(np.ones(50_000))
    assert found is not None and found < 10
    for _ in range(2_000):
        assert detector.update(1.0)
    assert detector.level == pytest.approx(1e300)
    assert all(math.isfinite(number) for number in detector.state)
    detector.reset()
    assert detector.level == 0.0 and detector.seen == 0


def test_a_quiet_route_raises_no_alarm() -> None:
    detector = Detector(0.01, 20_000)
    assert detector.update_many(np.zeros(100_000)) is None
    assert detector.level < 400.0
    assert detector.update_many(np.empty(0)) is None


def test_blocks_are_means_of_whole_neighbours_and_a_rest_waits() -> None:
    assert block_means(np.array([0.0, 1.0, 1.0, 1.0, 0.0]), 2) == pytest.approx([0.5, 1.0])
    assert block_means(np.array([1.0]), 2).size == 0


@pytest.mark.parametrize(
    ("p0", "run_length", "upper", "block", "words"),
    [
        (0.0, 100.0, None, 1, "rate in control is 0.0"),
        (0.1, 1.0, None, 1, "run length is 1.0"),
        (0.1, math.inf, None, 1, "run length is inf"),
        (0.1, 100.0, 0.1, 1, "between the rate in control, 0.1, and 1"),
        (0.1, 100.0, None, 0, "block is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_words(
    p0: float, run_length: float, upper: float | None, block: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Detector(p0, run_length, upper=upper, block=block)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_value_outside_its_range_is_refused_and_changes_nothing(value: float) -> None:
    detector = Detector(0.1, 100.0)
    before = detector.state
    with pytest.raises(ValueError, match="results lie between 0 and 1"):
        detector.update(value)
    with pytest.raises(ValueError, match="results lie between 0 and 1"):
        detector.update_many(np.array([0.0, value]))
    assert detector.state == before


@pytest.mark.parametrize("state", [(1.0, 2.0), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0), (0.5, *[0.0] * 5), (1.0, *[math.nan] * 5)])
def test_a_state_that_is_none_is_refused(state: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give what `state` returned"):
        Detector(0.1, 100.0).resume(state)


def test_a_block_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="size of a block is 0"):
        block_means(np.ones(3), 0)
