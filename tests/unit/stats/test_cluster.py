import numpy as np
import pytest
from statsmodels.api import OLS

from pilotbase.stats.cluster import MINIMUM, bootstrap, ratio
from pilotbase.stats.estimate import unbounded
from pilotbase.stats.mean import student
from pilotbase.stats.proportion import exact


def shares(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), generator.integers(2, 9, count))
    return (generator.random(labels.size) < generator.beta(8, 2, count)[labels]).astype(float), labels


def test_under_twenty_clusters_the_value_stands_without_bounds() -> None:
    x, labels = shares(MINIMUM - 1, 1)
    found = ratio(x, np.ones(x.size), labels, 0.95, exact(int(x.sum()), x.size, 0.95))
    assert found.value == pytest.approx(x.mean())
    assert (found.low, found.high) == (None, None)
    assert "19 clusters, needs 20" in found.method


def test_the_variance_is_near_that_of_statsmodels_for_many_even_clusters() -> None:
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(400), 4)
    x = 50 + generator.normal(size=400)[labels] + generator.normal(size=1600)
    robust = OLS(x, np.ones(1600)).fit(cov_type="cluster", cov_kwds={"groups": labels})
    found = ratio(x, np.ones(1600), labels, 0.95, unbounded_nowhere(x))
    assert found.high - found.value == pytest.approx(1.6487 * robust.bse[0], rel=0.03)


def unbounded_nowhere(x: np.ndarray):
    return student(np.full(3, x.mean()), 0.95)


def test_clustered_bounds_are_never_narrower_than_the_unclustered_ones() -> None:
    for seed in range(20):
        x, labels = shares(25, seed)
        alone = exact(int(x.sum()), x.size, 0.95)
        found = ratio(x, np.ones(x.size), labels, 0.95, alone, lower=0.0, upper=1.0)
        assert 0 <= found.low <= alone.low <= found.value <= alone.high <= found.high <= 1


def test_copies_of_a_case_within_its_cluster_add_no_certainty() -> None:
    x = np.array([1.0] * 36 + [0.0] * 4)
    once = ratio(x, np.ones(40), np.arange(40), 0.95, exact(36, 40, 0.95))
    ten = ratio(np.repeat(x, 10), np.ones(400), np.repeat(np.arange(40), 10), 0.95, exact(360, 400, 0.95))
    assert ten.low <= once.low + 1e-9


def test_an_unclustered_estimate_without_bounds_leaves_none() -> None:
    x, labels = shares(30, 1)
    found = ratio(x, np.ones(x.size), labels, 0.95, unbounded(0.5, x.size, "m", 0.95))
    assert (found.low, found.high) == (None, None)


def test_no_denominator_is_undefined_and_uneven_inputs_are_refused() -> None:
    none = unbounded(0.5, 3, "m", 0.95)
    assert ratio(np.zeros(3), np.zeros(3), np.arange(3), 0.95, none).value is None
    with pytest.raises(ValueError, match="give one per case"):
        ratio(np.zeros(3), np.zeros(3), np.arange(2), 0.95, none)


def test_the_bootstrap_repeats_with_its_seed_and_encloses_the_value() -> None:
    x, labels = shares(40, 3)
    first, again = (bootstrap(lambda rows: float(x[rows].mean()), labels, 0.95, 11, 400) for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high


def test_the_bootstrap_draws_whole_clusters() -> None:
    x, labels = shares(30, 4)
    sizes = np.bincount(labels)

    def whole(rows: np.ndarray) -> float:
        assert np.all(np.bincount(labels[rows], minlength=30) % sizes == 0)
        return float(x[rows].mean())

    assert bootstrap(whole, labels, 0.95, 1, 50).value == pytest.approx(x.mean())


def test_a_statistic_that_is_lost_in_resamples_has_no_bounds() -> None:
    labels = np.arange(30)
    found = bootstrap(lambda rows: 1.0 if np.array_equal(rows, labels) else float("nan"), labels, 0.95, 1, 50)
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert bootstrap(lambda rows: 1.0, np.arange(5), 0.95, 1, 50).low is None


def test_a_constant_amount_that_is_no_share_is_known_whatever_the_clusters() -> None:
    cost = np.full(1200, 1e-4)
    found = ratio(cost, np.ones(1200), np.arange(1200) // 2, 0.95, student(cost, 0.95), share=False)
    assert found.low == pytest.approx(1e-4)
    assert found.high == pytest.approx(1e-4)
