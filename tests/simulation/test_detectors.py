"""Alarms of the detectors on simulated streams: never sooner than promised in control, and soon after a change."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pilotbase.stats.burn import Quiet, first_quiet_alarm
from pilotbase.stats.cusum import Cusum, arl
from pilotbase.stats.detector import Detector, block_means

P0 = 0.01
CHANGE, AFTER = 3_000, 20_000
Find = Callable[[NDArray[np.float64]], int | None]


def run_length(detector: Detector | Cusum, values: NDArray[np.float64]) -> tuple[float, int]:
    """Values watched over alarms, beginning again after each, and the number of alarms."""
    at, alarms = 0, 0
    detector.reset()
    while at < values.size:
        part = values[at : at + 4_096]
        alarm = detector.update_many(part)
        at += part.size if alarm is None else alarm + 1
        if alarm is not None:
            alarms += 1
            detector.reset()
    return values.size / max(alarms, 1), alarms


def at_least(found: tuple[float, int], promised: float) -> bool:
    """Whether a run length from so many alarms is at least the promised one, within three standard errors."""
    length, alarms = found
    return length * (1.0 + 3.0 / math.sqrt(max(alarms, 1))) >= promised


def failures(seed: int, count: int, rate: float = P0) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(count) < rate).astype(np.float64)


def delays(find: Find, rate: float, trials: int) -> tuple[float, int]:
    """The mean delay after a change from P0 to `rate`, over the runs without a false alarm, and how many runs missed it."""
    rates = np.concatenate((np.full(CHANGE, P0), np.full(AFTER, rate)))
    draw = np.random.default_rng(11)
    found = [find((draw.random(rates.size) < rates).astype(np.float64)) for _ in range(trials)]
    after = [alarm - CHANGE + 1 for alarm in found if alarm is not None and alarm >= CHANGE]
    return float(np.mean(after)), found.count(None)


@pytest.mark.parametrize("p0", [0.01, 0.1, 0.5])
def test_the_run_length_in_control_is_at_least_the_promised_one(p0: float, size: Callable[[int, int], int]) -> None:
    found = run_length(Detector(p0, 1_000), failures(1, size(100_000, 4_000_000), p0))
    assert found[1] > 20
    assert at_least(found, 1_000)


def test_the_promise_of_twenty_thousand_holds_at_one_percent(size: Callable[[int, int], int]) -> None:
    found = run_length(Detector(P0, 20_000), failures(2, size(800_000, 20_000_000)))
    assert at_least(found, 20_000)
    assert found[0] < 60_000


def test_the_promise_holds_for_fractions_and_for_any_better_mean(size: Callable[[int, int], int]) -> None:
    draw = np.random.default_rng(3)
    count = size(100_000, 4_000_000)
    assert at_least(run_length(Detector(0.1, 500), draw.beta(0.2, 1.8, count)), 500)
    assert at_least(run_length(Detector(0.1, 500), failures(4, count, 0.08)), 500)


def test_an_alarm_within_n_results_has_a_chance_of_at_most_n_over_the_run_length(size: Callable[[int, int], int]) -> None:
    trials, n = size(400, 10_000), 500
    early = sum(Detector(P0, 5_000).update_many(row) is not None for row in failures(5, trials * n).reshape(trials, n))
    assert early / trials <= 0.1 + 3 * math.sqrt(0.09 / trials)


@pytest.mark.parametrize(("rate", "known"), [(0.02, 950), (0.03, 352), (0.05, 170)])
def test_it_alarms_about_as_soon_as_the_table_says(rate: float, known: float, size: Callable[[int, int], int]) -> None:
    mean, missed = delays(lambda x: Detector(P0, 20_000).update_many(x), rate, size(60, 2_000))
    assert 0.6 * known <= mean <= 1.25 * known
    assert missed == 0


@pytest.mark.parametrize(("p1", "threshold", "rate", "known"), [(0.02, 4.6, 0.02, 885), (0.03, 5.0, 0.03, 265)])
def test_a_cusum_alarms_about_as_soon_as_the_table_says(
    p1: float, threshold: float, rate: float, known: float, size: Callable[[int, int], int]
) -> None:
    mean, missed = delays(lambda x: Cusum(P0, p1, threshold).update_many(x), rate, size(60, 2_000))
    assert 0.7 * known <= mean <= 1.3 * known
    assert missed == 0


@pytest.mark.parametrize(
    ("p0", "p1", "threshold", "rate"),
    [(0.01, 0.02, 4.0, 0.02), (0.01, 0.03, 3.5, 0.01), (0.1, 0.2, 4.0, 0.1), (0.3, 0.5, 4.0, 0.5), (0.9, 0.95, 3.0, 0.9)],
)
def test_the_markov_chain_tells_the_run_length_of_a_simulated_cusum(
    p0: float, p1: float, threshold: float, rate: float, size: Callable[[int, int], int]
) -> None:
    length, alarms = run_length(Cusum(p0, p1, threshold), failures(6, size(300_000, 6_000_000), rate))
    assert alarms > 50
    assert arl(p0, p1, threshold, rate) == pytest.approx(length, rel=0.03 + 3 / math.sqrt(alarms))


def test_a_cusum_of_fractions_keeps_the_run_length_that_holds_for_every_law(size: Callable[[int, int], int]) -> None:
    values = np.random.default_rng(7).beta(0.2, 1.8, size(100_000, 4_000_000))
    assert at_least(run_length(Cusum(0.1, 0.2, 4.0), values), math.exp(4.0))


def test_two_windows_by_count_are_slower_and_rarely_wrong(size: Callable[[int, int], int]) -> None:
    quiet = Quiet(rate=2.0, many=2_000, few=200)
    mean, missed = delays(lambda x: first_quiet_alarm(x, P0, quiet), 0.05, size(40, 1_000))
    assert 350 <= mean <= 700
    assert missed == 0
    control = failures(8, size(400_000, 4_000_000)).reshape(-1, 20_000)
    assert np.mean([first_quiet_alarm(row, P0, quiet) is not None for row in control]) < 0.2


def test_failures_in_spells_break_the_promise_request_by_request_and_blocks_restore_it(size: Callable[[int, int], int]) -> None:
    draw = np.random.default_rng(9)
    count = size(600_000, 6_000_000)
    again = draw.random(count) < 0.71
    again[0] = False
    fresh = (draw.random(count) < P0).astype(np.float64)
    spells = fresh[np.maximum.accumulate(np.where(again, 0, np.arange(count)))]
    assert np.corrcoef(spells[1:], spells[:-1])[0, 1] == pytest.approx(0.71, abs=0.05)
    single, _ = run_length(Detector(P0, 20_000), spells)
    assert single < 5_000
    length, alarms = run_length(Detector(P0, 20_000 / 50, block=50), block_means(spells, 50))
    assert at_least((length * 50, alarms), 20_000)
