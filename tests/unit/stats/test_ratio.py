import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from pilotbase.stats.proportion import exact
from pilotbase.stats.ratio import balanced_accuracy, f1, of_sums

counts = st.integers(0, 300)


def test_f1_is_that_of_sklearn() -> None:
    truth = [1] * 40 + [0] * 60
    guess = [1] * 33 + [0] * 7 + [1] * 9 + [0] * 51
    assert f1(33, 9, 7, 0.95).value == pytest.approx(f1_score(truth, guess))


def test_f1_bounds_are_the_images_of_the_exact_jaccard_bounds() -> None:
    jaccard, found = exact(33, 49, 0.95), f1(33, 9, 7, 0.95)
    assert found.low == pytest.approx(2 * jaccard.low / (1 + jaccard.low))
    assert found.high == pytest.approx(2 * jaccard.high / (1 + jaccard.high))


@settings(deadline=None)
@given(tp=counts, fp=counts, fn=counts)
def test_f1_bounds_enclose_the_value(tp: int, fp: int, fn: int) -> None:
    found = f1(tp, fp, fn, 0.95)
    assert 0 <= found.low <= (found.low if found.value is None else found.value) <= found.high <= 1


def test_f1_without_any_positive_has_no_value() -> None:
    found = f1(0, 0, 0, 0.95)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)


def test_balanced_accuracy_is_that_of_sklearn() -> None:
    truth = [0] * 20 + [1] * 10 + [2] * 5
    guess = [0] * 18 + [1] * 2 + [1] * 7 + [0] * 3 + [2] * 5
    assert balanced_accuracy([(18, 20), (7, 10), (5, 5)], 0.95).value == pytest.approx(balanced_accuracy_score(truth, guess))


def test_balanced_accuracy_of_one_class_has_the_exact_bounds() -> None:
    found, alone = balanced_accuracy([(18, 20)], 0.95), exact(18, 20, 0.95)
    assert (found.low, found.high) == (pytest.approx(alone.low), pytest.approx(alone.high))


def test_a_class_without_cases_leaves_balanced_accuracy_undefined() -> None:
    assert balanced_accuracy([(18, 20), (0, 0)], 0.95).value is None


def test_precision_as_a_ratio_of_sums_has_exact_bounds() -> None:
    found, alone = of_sums(np.array([1] * 30 + [0] * 70), np.array([1] * 33 + [0] * 67), 0.95), exact(30, 33, 0.95)
    assert (found.value, found.low, found.high) == (alone.value, alone.low, alone.high)


def test_a_share_of_one_still_has_a_lower_bound_below_one() -> None:
    sizes = np.arange(1.0, 31.0)
    found = of_sums(sizes, sizes, 0.95)
    assert found.value == found.high == 1.0
    assert 0.7 < found.low < 1.0


def test_equal_denominators_give_nearly_the_t_bounds_of_a_mean() -> None:
    x = np.concatenate([np.linspace(-3, 9, 200)])
    found = of_sums(x, np.ones(200), 0.95)
    half = 1.6525 * x.std(ddof=1) / np.sqrt(200)
    assert found.high - found.value == pytest.approx(half, rel=0.01)


def test_a_ratio_does_not_depend_on_the_order_of_the_cases() -> None:
    generator = np.random.default_rng(4)
    b = generator.integers(1, 9, 50).astype(float)
    a = generator.binomial(b.astype(int), 0.8).astype(float)
    turn = generator.permutation(50)
    found, turned = of_sums(a, b, 0.9), of_sums(a[turn], b[turn], 0.9)
    assert found.low == pytest.approx(turned.low)
    assert found.low <= found.value <= found.high


def test_a_denominator_of_zero_is_undefined_and_a_negative_one_refused() -> None:
    assert of_sums(np.zeros(3), np.zeros(3), 0.95).value is None
    with pytest.raises(ValueError, match="denominators >= 0"):
        of_sums(np.ones(2), np.array([1.0, -1.0]), 0.95)
    with pytest.raises(ValueError, match="one of each per case"):
        of_sums(np.ones(2), np.ones(3), 0.95)
