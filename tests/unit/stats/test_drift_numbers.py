"""KS and the stability index, against scipy, against all permutations, and against what chance alone makes of them."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pilotbase.stats.drift import look_share, psi, psi_of_counts, psi_p
from pilotbase.stats.two_sample import ks, permutation_p, thinned

small = st.lists(st.integers(-3, 3), min_size=1, max_size=4)


@pytest.mark.parametrize(("m", "n", "shift"), [(5, 7, 0.0), (30, 41, 1.0), (100, 80, 0.7), (300, 300, 1.0), (3, 200, 2.0)])
def test_without_ties_the_exact_p_is_that_of_scipy(m: int, n: int, shift: float) -> None:
    generator = np.random.default_rng(m)
    x, y = generator.normal(size=m), generator.normal(shift, size=n)
    found, wanted = ks(x, y), stats.ks_2samp(x, y, method="exact")
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)


@settings(max_examples=40)
@given(x=small, y=small)
def test_with_ties_the_p_is_the_share_of_all_assignments_that_are_as_far_apart(x: list[int], y: list[int]) -> None:
    pooled = np.array(x + y, dtype=float)

    def gap(first: np.ndarray, second: np.ndarray) -> float:
        return float(max(abs((first <= v).mean() - (second <= v).mean()) for v in pooled))

    observed = gap(np.array(x), np.array(y))
    gaps = []
    for chosen in combinations(range(pooled.size), len(x)):
        mask = np.zeros(pooled.size, dtype=bool)
        mask[list(chosen)] = True
        gaps.append(gap(pooled[mask], pooled[~mask]))
    found = ks(np.array(x, dtype=float), np.array(y, dtype=float))
    assert found.statistic == pytest.approx(observed)
    assert found.p == pytest.approx(np.mean(np.array(gaps) >= observed - 1e-12))


def test_a_tiny_p_keeps_its_digits() -> None:
    found = ks(np.arange(60.0), np.arange(60.0) + 1000)
    assert found.p == pytest.approx(2 / math.comb(120, 60), rel=1e-9)


def test_many_values_go_by_the_limit_law() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=12_000), generator.normal(0.03, size=12_000)
    found = ks(x, y)
    assert found.method.endswith("limit law")
    assert found.p == pytest.approx(stats.ks_2samp(x, y, method="asymp").pvalue, rel=0.02)


def test_equal_samples_are_not_apart_and_infinite_values_rank() -> None:
    x = np.array([-np.inf, 0.0, 1.0, np.inf])
    assert (ks(x, x).statistic, ks(x, x).p) == (0.0, 1.0)


def test_missing_values_and_empty_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="leave missing values out"):
        ks(np.array([1.0, np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="values on both sides"):
        ks(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="leave missing values out"):
        psi(np.array([np.nan]), np.array([1.0]))


def test_the_index_is_the_sum_by_hand_and_symmetric() -> None:
    a, b = np.array([30, 50, 20]), np.array([10, 60, 30])
    r, w = (a + 0.5) / 101.5, (b + 0.5) / 101.5
    found = psi_of_counts(a, b)
    assert found.value == pytest.approx(((w - r) * np.log(w / r)).sum())
    assert psi_of_counts(b, a).value == pytest.approx(found.value)
    assert (found.chance, found.bins) == (pytest.approx(2 * (1 / 100 + 1 / 100)), 3)


@pytest.mark.parametrize(("shift", "reading"), [(0.0, "small"), (0.4, "moderate"), (1.0, "large")])
def test_the_index_reads_by_the_usual_limits(shift: float, reading: str) -> None:
    generator = np.random.default_rng(6)
    assert psi(generator.normal(size=4000), generator.normal(shift, size=4000)).reading == reading


def test_chance_alone_takes_the_index_of_a_small_window_over_the_usual_limit() -> None:
    generator = np.random.default_rng(7)
    found = [psi(generator.normal(size=2000), generator.normal(size=60)) for _ in range(200)]
    assert np.mean([one.value for one in found]) == pytest.approx(found[0].chance, rel=0.15)
    assert np.mean([one.value >= 0.1 for one in found]) > 0.5


def test_an_empty_bin_and_equal_quantiles_leave_the_index_finite() -> None:
    assert psi(np.zeros(100), np.ones(100)).value > 1
    assert math.isfinite(psi(np.arange(100.0), np.full(50, 1e9)).value)


def test_the_index_has_a_p_of_its_own() -> None:
    generator = np.random.default_rng(8)
    x = generator.normal(size=300)
    assert psi_p(x, generator.normal(0.8, size=100), seed=1, permutations=199) == 1 / 200
    found = [psi_p(generator.normal(size=120), generator.normal(size=60), seed=s, permutations=19) for s in range(150)]
    assert np.mean(np.array(found) <= 0.1) <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 150)


def test_all_looks_together_spend_one_alpha() -> None:
    shares = [look_share(k) for k in range(1, 20_000)]
    assert shares[0] == pytest.approx(0.6079, abs=1e-4)
    assert 0.9999 < sum(shares) < 1
    with pytest.raises(ValueError, match="counted from 1"):
        look_share(0)


def test_drawing_stops_after_twenty_as_large_and_never_gives_zero() -> None:
    asked: list[int] = []

    def never(count: int) -> np.ndarray:
        asked.append(count)
        return np.zeros(count, dtype=bool)

    assert permutation_p(never, 999) == 1 / 1000
    assert sum(asked) == 999
    assert permutation_p(lambda count: np.arange(count) % 4 == 3, 999) == 20 / 80
    assert permutation_p(lambda count: np.ones(count, dtype=bool), 10) == 1.0


@given(count=st.integers(0, 50), most=st.integers(1, 60), seed=st.integers(0, 5))
def test_a_sample_keeps_the_order_and_the_bound(count: int, most: int, seed: int) -> None:
    rows = thinned(count, most, np.random.default_rng(seed)).tolist()
    assert rows == sorted(set(rows)) and len(rows) == min(count, most)
    assert rows == thinned(count, most, np.random.default_rng(seed)).tolist()
