"""Tests of counts, against scipy, and their false alarms where the approximation is weak."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pilotbase.stats.contingency import chi_square, chi_square_tail, fisher, homogeneity


def test_chi_square_is_that_of_scipy() -> None:
    a, b = np.array([40, 60, 90, 25]), np.array([55, 48, 70, 30])
    found = chi_square(a, b)
    assert found.p == pytest.approx(stats.chi2_contingency(np.stack([a, b]), correction=False).pvalue)
    assert found.statistic == pytest.approx(np.abs(a / a.sum() - b / b.sum()).max())


@given(degrees=st.integers(1, 400), value=st.floats(0.0, 2000.0))
def test_the_tail_of_chi_square_is_that_of_scipy(degrees: int, value: float) -> None:
    assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-8, abs=1e-290)


@given(n1=st.integers(1, 60), n2=st.integers(1, 60), share1=st.floats(0, 1), share2=st.floats(0, 1))
def test_fisher_is_that_of_scipy(n1: int, n2: int, share1: float, share2: float) -> None:
    h1, h2 = round(n1 * share1), round(n2 * share2)
    table = [[h1, n1 - h1], [h2, n2 - h2]]
    for side in ("two-sided", "less", "greater"):
        assert fisher(h1, n1, h2, n2, side) == pytest.approx(stats.fisher_exact(table, alternative=side)[1], rel=1e-6)


def test_small_categories_become_one_by_their_sums_alone() -> None:
    a, b = np.array([500, 400, 3, 2, 1, 0, 94]), np.array([100, 80, 0, 1, 0, 2, 17])
    # expected in b: under 5 for the four rare ones, which pool to 9 and take the next, 111
    merged = chi_square(np.array([500, 400, 100]), np.array([100, 80, 20]))
    assert chi_square(a, b).p == pytest.approx(merged.p)
    order = np.random.default_rng(1).permutation(a.size)
    assert chi_square(a[order], b[order]) == chi_square(a, b)


def test_two_categories_are_exact_and_one_says_nothing() -> None:
    two = chi_square(np.array([30, 70]), np.array([50, 50]))
    assert two.p == pytest.approx(fisher(30, 100, 50, 100, "two-sided"))
    assert homogeneity(np.array([30, 70]), np.array([50, 50]), seed=1) == two
    assert chi_square(np.array([30, 0]), np.array([50, 0])).p == 1.0


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="same ones"):
        chi_square(np.array([1]), np.array([1, 2]))
    with pytest.raises(ValueError, match="empty sample"):
        chi_square(np.array([0, 0]), np.array([1, 2]))
    with pytest.raises(ValueError, match="never negative nor more"):
        fisher(5, 4, 0, 4, "less")


def test_a_large_move_of_one_category_has_a_p_below_every_floor() -> None:
    a, b = np.array([1000, 600, 300, 100]), np.array([300, 250, 120, 330])
    assert homogeneity(a, b, seed=1).p < 1e-30


def test_many_small_moves_are_found_together() -> None:
    a = np.full(40, 50)
    b = np.where(np.arange(40) % 2 == 0, 66, 34)
    assert homogeneity(a, b, seed=1).p < 0.005
    assert min(fisher(50, 2000, int(k), 2000, "two-sided") for k in b) * 40 > 0.05


@pytest.mark.parametrize(("m", "n", "categories"), [(600, 60, 20), (200, 200, 6)])
def test_false_alarms_of_categories_stay_below_their_level(
    m: int, n: int, categories: int, size: Callable[[int, int], int]
) -> None:
    trials = size(300, 20_000)
    generator = np.random.default_rng(2)
    shares = 1 / np.arange(1, categories + 1)
    shares /= shares.sum()
    first, second = generator.multinomial(m, shares, trials), generator.multinomial(n, shares, trials)
    ps = np.array([homogeneity(a, b, seed=i, permutations=999).p for i, (a, b) in enumerate(zip(first, second, strict=True))])
    for level in (0.2, 0.05, 0.01):
        assert np.mean(ps <= level) <= level + 3 * math.sqrt(level / trials)
