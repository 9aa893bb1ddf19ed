import math

import pytest

from pilotbase.stats.estimate import Estimate, census, unbounded, undefined


def build(value: float | None, low: float | None, high: float | None, confidence: float = 0.95) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=3, method="m", confidence=confidence)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(bad: float) -> None:
    for numbers in ((bad, None, None), (None, bad, None), (None, None, bad)):
        with pytest.raises(ValueError, match="only finite numbers or None"):
            build(*numbers)


def test_crossed_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"low 0\.6 is above high 0\.5"):
        build(0.55, 0.6, 0.5)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5, -0.1])
def test_a_confidence_outside_zero_and_one_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        build(0.5, 0.4, 0.6, confidence)


def test_a_census_has_no_sampling_error() -> None:
    found = census(7, 7, 0.95)
    assert (found.value, found.low, found.high, found.method) == (7.0, 7.0, 7.0, "census")


def test_an_undefined_estimate_holds_no_number() -> None:
    found = undefined(4, "m", 0.95)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 4)


def test_an_infinite_value_is_left_out() -> None:
    assert unbounded(math.inf, 4, "m", 0.95).value is None


def test_widening_takes_the_outer_bounds_and_keeps_the_value() -> None:
    found = build(0.5, 0.4, 0.55).widened(build(0.5, 0.45, 0.7))
    assert (found.value, found.low, found.high) == (0.5, 0.4, 0.7)


def test_widening_by_an_estimate_without_bounds_loses_them() -> None:
    found = build(0.5, 0.4, 0.55).widened(build(0.5, None, 0.7))
    assert (found.low, found.high) == (None, 0.7)
