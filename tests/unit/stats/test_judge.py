import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.stats.judge import prediction_powered, rogan_gladen
from pilotbase.stats.proportion import exact


def test_the_point_is_the_formula_of_rogan_and_gladen() -> None:
    found = rogan_gladen(320, 1000, 90, 100, 190, 200, 0.95)
    assert found.value == pytest.approx((0.32 + 0.95 - 1) / (0.9 + 0.95 - 1))
    assert found.low < found.value < found.high


def test_a_nearly_perfect_judge_adds_nearly_nothing() -> None:
    found, direct = rogan_gladen(800, 1000, 10**7, 10**7, 10**7, 10**7, 0.95), exact(800, 1000, 0.95)
    assert (found.low, found.high) == (pytest.approx(direct.low, abs=1e-4), pytest.approx(direct.high, abs=1e-4))


def test_fewer_labels_widen_the_bounds() -> None:
    few, many = rogan_gladen(500, 1000, 45, 50, 45, 50, 0.95), rogan_gladen(500, 1000, 900, 1000, 900, 1000, 0.95)
    assert few.low < many.low < many.high < few.high


def test_a_judge_no_better_than_chance_says_nothing() -> None:
    found = rogan_gladen(500, 1000, 6, 10, 6, 10, 0.95)
    assert (found.low, found.high) == (0.0, 1.0)
    unmeasured = rogan_gladen(500, 1000, 0, 0, 6, 10, 0.95)
    assert (unmeasured.value, unmeasured.low, unmeasured.high) == (None, 0.0, 1.0)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 40), st.integers(0, 40))
def test_the_bounds_enclose_the_value_within_zero_and_one(judged: int, hits: int, rejections: int) -> None:
    found = rogan_gladen(judged, 50, hits, 40, rejections, 40, 0.95)
    assert 0 <= found.low <= found.high <= 1
    assert found.value is None or found.low <= found.value <= found.high


def test_a_judge_without_information_leaves_the_mean_of_the_labels() -> None:
    labels = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    found = prediction_powered(np.full(100, 0.5), np.full(6, 0.5), labels, 0.95)
    assert found.value == pytest.approx(labels.mean())


def test_an_informative_judge_narrows_the_bounds() -> None:
    generator = np.random.default_rng(1)
    truth = (generator.random(5000) < 0.7).astype(float)
    judged = np.where(generator.random(5000) < 0.97, truth, 1 - truth)
    powered, plain = prediction_powered(judged, judged[:200], truth[:200], 0.95), exact(truth[:200].sum(), 200, 0.95)
    assert powered.high - powered.low < 0.6 * (plain.high - plain.low)


def test_tuning_removes_a_judges_bias_in_the_mean() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(3, 1, 4000)
    found = prediction_powered(truth + 2, truth[:300] + 2, truth[:300], 0.95)
    assert found.value == pytest.approx(3.0, abs=0.15)


def test_no_labels_are_undefined_and_unpaired_ones_refused() -> None:
    assert prediction_powered(np.ones(5), np.array([]), np.array([]), 0.95).value is None
    assert prediction_powered(np.ones(5), np.ones(1), np.ones(1), 0.95).low is None
    with pytest.raises(ValueError, match="per labelled answer"):
        prediction_powered(np.ones(5), np.ones(2), np.ones(3), 0.95)
