"""Shares projected from few points."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm

from pilotbase.stats.special import logistic
from pilotbase.stats.substitution import project


def test_fewer_than_three_points_or_times_are_not_projected() -> None:
    for points in ([], [(2024.5, 1, 10)], [(2024.5, 1, 10), (2025.5, 2, 10)], [(1.0, 1, 10), (1.0, 2, 10), (2.0, 3, 10)]):
        found = project(points, 2028.0, 0.95)
        assert found.value is found.low is found.high is None and found.n == len(points)


def test_the_line_and_its_bounds_are_those_of_least_squares_elsewhere() -> None:
    points = [(2021.5, 100.0, 1000.0), (2022.5, 180.0, 1000.0), (2023.5, 330.0, 1000.0), (2024.5, 400.0, 1000.0)]
    found = project(points, 2028.0, 0.95, sampled=False)
    y = np.array([math.log((k + 0.5) / (n - k + 0.5)) for _, k, n in points])
    fit = sm.OLS(y, sm.add_constant(np.array([time for time, _, _ in points]) - 2023.0)).fit()
    row = fit.get_prediction(np.array([[1.0, 5.0]])).summary_frame(alpha=0.10).iloc[0]
    expected = [logistic(row[name]) for name in ("mean", "obs_ci_lower", "obs_ci_upper")]
    assert [found.value, found.low, found.high] == pytest.approx(expected, rel=1e-6)


def test_counts_that_lie_on_a_line_by_luck_keep_the_spread_of_their_sampling() -> None:
    points = [(t, 20 * logistic(t - 2.0), 20.0) for t in (0.0, 1.0, 2.0, 3.0)]
    narrow, wide = (project(points, 6.0, 0.95, sampled=sampled) for sampled in (False, True))
    assert narrow.low is not None and wide.low is not None and wide.low < narrow.low - 0.1
    assert 0.0 <= wide.low <= wide.value <= wide.high <= 1.0  # type: ignore[operator]


def test_bounds_of_a_new_period_hold_as_often_as_they_say(size: Callable[[int, int], int]) -> None:
    chance, rounds, missed = random.Random(3), size(400, 4000), [0, 0]
    for _ in range(rounds):
        truth = [logistic(-1.5 + 0.5 * t + chance.gauss(0.0, 0.2)) for t in range(6)]
        found = project([(float(t), truth[t] * 10_000, 10_000.0) for t in range(5)], 5.0, 0.9, sampled=False)
        assert found.low is not None and found.high is not None
        missed[0] += truth[5] < found.low
        missed[1] += truth[5] > found.high
    assert all(abs(count / rounds - 0.1) <= 0.05 for count in missed), missed


@pytest.mark.parametrize("point", [(0.0, 2.0, 1.0), (0.0, -1.0, 1.0), (0.0, 0.0, 0.0)])
def test_what_is_no_share_is_refused(point: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="no share"):
        project([point] * 3, 1.0, 0.95)
