"""How often bounds miss the truth: at most alpha a side, within Monte Carlo error, or as far as a docstring admits.

`ADMITTED` is what asymptotic methods may miss above alpha at the sizes simulated; exact methods get none.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from pilotbase.stats import agreement, cluster, compare, groups, judge, mean, proportion, rank, ratio, tail
from pilotbase.stats.estimate import Estimate

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA
ADMITTED = 0.02

Size = Callable[[int, int], int]


def misses(draw: Callable[[], Estimate], true: float, trials: int) -> tuple[float, float]:
    """How often the lower bound is above the truth, and the upper one below it; absent bounds miss nothing."""
    found = [draw() for _ in range(trials)]
    above = sum(e.low is not None and e.low > true + 1e-12 for e in found)
    below = sum(e.high is not None and e.high < true - 1e-12 for e in found)
    return above / trials, below / trials


def allowed(trials: int, admitted: float = 0.0) -> float:
    rate = ALPHA + admitted
    return rate + 3 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("p", [0.02, 0.5, 0.95])
@pytest.mark.parametrize("n", [10, 60])
def test_shares_f1_and_differences_of_shares_cover(n: int, p: float, size: Size) -> None:
    trials = size(800, 20_000)
    r = np.random.default_rng(1)
    assert max(misses(lambda: proportion.exact(r.binomial(n, p), n, CONFIDENCE), p, trials)) <= allowed(trials)
    true = 2 * p / (1 + p)
    assert max(misses(lambda: f1_of(r.binomial(n, p), n), true, trials)) <= allowed(trials)

    def difference() -> Estimate:
        return compare.unpaired(r.binomial(n, p), n, r.binomial(2 * n, 0.6), 2 * n, CONFIDENCE)

    assert max(misses(difference, p - 0.6, trials)) <= allowed(trials, 0.005)


def f1_of(tp: int, n: int) -> Estimate:
    return ratio.f1(tp, (n - tp) // 2, n - tp - (n - tp) // 2, CONFIDENCE)


@pytest.mark.parametrize("n", [10, 60])
def test_balanced_accuracy_and_ratios_of_sums_cover(n: int, size: Size) -> None:
    trials = size(800, 10_000)
    r = np.random.default_rng(2)

    def balanced() -> Estimate:
        return ratio.balanced_accuracy([(r.binomial(n, 0.95), n), (r.binomial(3 * n, 0.8), 3 * n)], CONFIDENCE)

    def pooled() -> Estimate:
        lengths = r.integers(1, 9, n)
        return ratio.of_sums(r.binomial(lengths, r.beta(9, 1, n)).astype(float), lengths.astype(float), CONFIDENCE)

    assert max(misses(balanced, 0.875, trials)) <= allowed(trials, 0.01)
    assert max(misses(pooled, 0.9, trials)) <= allowed(trials, ADMITTED)


@pytest.mark.parametrize(("n", "admitted"), [(10, 0.05), (30, 0.02), (200, 0.015)])
def test_unbounded_losses_miss_no_more_than_their_docstring_admits(n: int, admitted: float, size: Size) -> None:
    trials = size(800, 20_000)
    r = np.random.default_rng(3)
    assert max(misses(lambda: mean.student(r.exponential(1, n), CONFIDENCE), 1.0, trials)) <= allowed(trials, admitted)
    squared = misses(lambda: mean.root_mean_square(r.normal(0, 1, n) ** 2, CONFIDENCE), 1.0, trials)
    assert max(squared) <= allowed(trials, admitted)


@pytest.mark.parametrize("area", [0.7, 0.9, 0.99])
@pytest.mark.parametrize(("positives", "negatives"), [(10, 50), (30, 30), (200, 200)])
def test_areas_cover_with_few_positives_and_near_one(area: float, positives: int, negatives: int, size: Size) -> None:
    trials = size(400, 10_000)
    r = np.random.default_rng(4)
    shift = NormalDist().inv_cdf(area) * math.sqrt(2)
    labels = np.arange(positives + negatives) < positives

    def draw() -> Estimate:
        return rank.auroc(r.normal(size=labels.size) + shift * labels, labels, CONFIDENCE)

    assert max(misses(draw, area, trials)) <= allowed(trials, 0.005)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_areas_over_clusters_cover(correlation: float, size: Size) -> None:
    trials = size(300, 5000)
    r = np.random.default_rng(5)

    def draw() -> Estimate:
        labels = np.repeat(np.arange(30), 1 + r.geometric(0.15, 30))
        positive = r.random(labels.size) < 0.3
        noise = r.normal(0, math.sqrt(correlation), 30)[labels] + r.normal(0, math.sqrt(1 - correlation), labels.size)
        return rank.auroc_clustered(noise + 2 * positive, positive, labels, CONFIDENCE)

    assert max(misses(draw, NormalDist().cdf(math.sqrt(2)), trials)) <= allowed(trials, ADMITTED)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("count", [20, 60, 200])
@pytest.mark.parametrize("icc", [0.0, 0.1, 0.5])
def test_clustered_shares_of_unequal_clusters_cover(icc: float, count: int, p: float, size: Size) -> None:
    trials = size(300, 5000)
    r = np.random.default_rng(6)

    def draw() -> Estimate:
        sizes = r.geometric(0.1, count)
        spread = (1 - icc) / icc if icc else 0.0
        rates = r.beta(p * spread, (1 - p) * spread, count) if icc else np.full(count, p)
        hits = r.binomial(sizes, rates)
        # within a cluster the order of cases is of no account
        x = np.concatenate([np.arange(n) < k for n, k in zip(sizes, hits, strict=True)]).astype(float)
        alone = proportion.exact(int(hits.sum()), x.size, CONFIDENCE)
        labels = np.repeat(np.arange(count), sizes)
        return cluster.ratio(x, np.ones(x.size), labels, CONFIDENCE, alone, lower=0.0, upper=1.0)

    assert max(misses(draw, p, trials)) <= allowed(trials, ADMITTED)


def test_the_cluster_bootstrap_covers_a_mean_within_what_it_admits(size: Size) -> None:
    trials = size(150, 2000)
    r = np.random.default_rng(7)

    def draw() -> Estimate:
        labels = np.repeat(np.arange(30), 5)
        x = r.normal(size=30)[labels] + r.normal(size=150)
        return cluster.bootstrap(lambda rows: float(x[rows].mean()), labels, CONFIDENCE, int(r.integers(1 << 30)), 200)

    assert max(misses(draw, 0.0, trials)) <= allowed(trials, ADMITTED)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.95])
@pytest.mark.parametrize(("sensitivity", "specificity", "labels"), [(0.9, 0.95, 50), (0.8, 0.8, 50), (0.99, 0.99, 100)])
def test_judged_rates_cover_with_both_uncertainties(
    rate: float, sensitivity: float, specificity: float, labels: int, size: Size
) -> None:
    trials = size(500, 10_000)
    r = np.random.default_rng(8)
    seen = rate * sensitivity + (1 - rate) * (1 - specificity)

    def draw() -> Estimate:
        hits, rejections = r.binomial(labels, sensitivity), r.binomial(labels, specificity)
        return judge.rogan_gladen(r.binomial(500, seen), 500, hits, labels, rejections, labels, CONFIDENCE)

    assert max(misses(draw, rate, trials)) <= allowed(trials, 0.005)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("accuracy", [0.6, 0.95])
def test_prediction_powered_means_cover(accuracy: float, n: int, p: float, size: Size) -> None:
    trials = size(400, 10_000)
    r = np.random.default_rng(9)

    def draw() -> Estimate:
        truth = r.random(600) < p
        judged = np.where(r.random(600) < accuracy, truth, ~truth).astype(float)
        return judge.prediction_powered(judged, judged[:n], truth[:n].astype(float), CONFIDENCE)

    assert max(misses(draw, p, trials)) <= allowed(trials, 0.01)


@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
def test_latency_shares_cover_under_short_dependence(autocorrelation: float, size: Size) -> None:
    trials = size(300, 5000)
    r = np.random.default_rng(10)

    def draw() -> Estimate:
        # a moving average keeps dependence within a few arrivals
        e = r.normal(size=1002)
        x = e[2:] + autocorrelation * e[1:-1] + autocorrelation**2 * e[:-2]
        return tail.share_over(x / math.sqrt(1 + autocorrelation**2 + autocorrelation**4), 1.644854, CONFIDENCE)

    assert max(misses(draw, 0.05, trials)) <= allowed(trials, 0.01)


def test_order_statistics_cover_a_quantile(size: Size) -> None:
    trials = size(1000, 20_000)
    r = np.random.default_rng(11)
    found = misses(lambda: tail.quantile_bounds(r.exponential(1, 80), 0.9, CONFIDENCE), math.log(10), trials)
    assert max(found) <= allowed(trials)


@pytest.mark.parametrize("n", [20, 100])
def test_kappa_and_ac1_cover(n: int, size: Size) -> None:
    trials = size(400, 10_000)
    r = np.random.default_rng(12)
    share, right = 0.3, 0.9
    same = right**2 + (1 - right) ** 2
    marked = share * right + (1 - share) * (1 - right)

    def rated() -> tuple[list[bool], list[bool]]:
        truth = r.random(n) < share
        first, second = (np.where(r.random(n) < right, truth, ~truth).tolist() for _ in range(2))
        return first, second

    chance = marked**2 + (1 - marked) ** 2
    assert max(misses(lambda: agreement.kappa(*rated(), CONFIDENCE), (same - chance) / (1 - chance), trials)) <= allowed(
        trials, 0.01
    )
    chance = 2 * marked * (1 - marked)
    assert max(misses(lambda: agreement.ac1(*rated(), CONFIDENCE), (same - chance) / (1 - chance), trials)) <= allowed(
        trials, 0.01
    )


@pytest.mark.parametrize("rates", [(0.9, 0.9, 0.9, 0.9), (0.95, 0.8, 0.9, 0.7)])
def test_gaps_ratios_and_worst_groups_cover(rates: tuple[float, ...], size: Size) -> None:
    trials = size(500, 10_000)
    r = np.random.default_rng(13)
    part = groups.part_confidence(CONFIDENCE, len(rates))

    def parts() -> list[Estimate]:
        return [proportion.exact(r.binomial(40, p), 40, part) for p in rates]

    for draw, true in (
        (lambda: groups.gap(parts(), CONFIDENCE), max(rates) - min(rates)),
        (lambda: groups.ratio(parts(), CONFIDENCE), min(rates) / max(rates)),
        (lambda: groups.worst(parts(), CONFIDENCE, False), min(rates)),
    ):
        assert max(misses(draw, true, trials)) <= allowed(trials)
