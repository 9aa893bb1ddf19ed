import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as oracle_mcnemar
from statsmodels.stats.multitest import multipletests

from pilotbase.stats.compare import holm, mcnemar, paired, unpaired
from pilotbase.stats.proportion import exact


@settings(deadline=None)
@given(b=st.integers(0, 200), c=st.integers(0, 200))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_is_that_of_statsmodels() -> None:
    assert mcnemar(12, 3) == pytest.approx(oracle_mcnemar([[50, 12], [3, 40]], exact=True).pvalue)
    with pytest.raises(ValueError, match="never negative"):
        mcnemar(-1, 3)


@pytest.mark.parametrize("pvalues", [[0.04], [0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.02, 1.0, 0.0], [0.2] * 6])
def test_holm_is_that_of_statsmodels(pvalues: list[float]) -> None:
    # A few, since each call of that library's collects all garbage of this process.
    assert holm(pvalues) == pytest.approx(list(multipletests(pvalues, method="holm")[1]))


@given(pvalues=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_steps_down_from_the_smallest_p_value(pvalues: list[float]) -> None:
    """Holm (1979): the j-th smallest of m is taken (m - j + 1)-fold, and none comes below one before it."""
    expected, least = {}, 0.0
    for j, i in enumerate(sorted(range(len(pvalues)), key=pvalues.__getitem__)):
        least = expected[i] = max(least, min(1.0, (len(pvalues) - j) * pvalues[i]))
    assert holm(pvalues) == pytest.approx([expected[i] for i in range(len(pvalues))])


def test_holm_refuses_what_is_no_p_value_and_takes_none() -> None:
    assert holm([]) == []
    with pytest.raises(ValueError, match="outside"):
        holm([0.5, 1.5])


def test_paired_differences_stay_in_their_range_and_anytime_bounds_are_further_apart() -> None:
    x = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 300, p=[0.05, 0.85, 0.1])
    once, always = paired(x, 0.95, False), paired(x, 0.95, True)
    for found in (once, always):
        assert -1 <= found.low <= found.value <= found.high <= 1
    assert once.high - once.low < always.high - always.low


def test_paired_differences_take_a_range() -> None:
    found = paired(np.array([3.0, -4.0, 2.0]), 0.95, True, lower=-5, upper=5)
    assert -5 <= found.low <= found.value <= found.high <= 5


@settings(deadline=None)
@given(s1=st.integers(0, 40), s2=st.integers(0, 60))
def test_an_unpaired_difference_is_enclosed_and_turns_round_with_its_sides(s1: int, s2: int) -> None:
    found, turned = unpaired(s1, 40, s2, 60, 0.95), unpaired(s2, 60, s1, 40, 0.95)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(-turned.high)


def test_mover_adds_distances_in_squares() -> None:
    first, second, found = exact(45, 50, 0.95), exact(30, 50, 0.95), unpaired(45, 50, 30, 50, 0.95)
    assert found.low == pytest.approx(0.3 - np.hypot(0.9 - first.low, second.high - 0.6))


def test_a_side_without_cases_leaves_no_value() -> None:
    found = unpaired(0, 0, 3, 9, 0.95)
    assert (found.value, found.low, found.high) == (None, -1.0, 1.0)
