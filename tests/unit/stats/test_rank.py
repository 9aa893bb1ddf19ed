import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pilotbase.stats.rank import auroc, auroc_clustered

rankings = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=4, max_size=60).filter(
    lambda rows: 0 < sum(flag for _, flag in rows) < len(rows)
)


@settings(max_examples=100, deadline=None)
@given(rows=rankings)
def test_the_area_is_that_of_sklearn_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows], dtype=float), np.array([flag for _, flag in rows])
    found = auroc(scores, positive, 0.95)
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert 0 <= found.low <= found.value <= found.high <= 1


@settings(max_examples=60, deadline=None)
@given(rows=rankings)
def test_order_and_monotone_changes_of_the_scores_do_not_matter(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows], dtype=float), np.array([flag for _, flag in rows])
    found, turned = auroc(scores, positive, 0.95), auroc(np.exp(scores[::-1]), positive[::-1], 0.95)
    assert (found.low, found.high) == (pytest.approx(turned.low), pytest.approx(turned.high))


def test_a_perfect_ranking_is_believed_only_as_far_as_its_smaller_class() -> None:
    scores, positive = np.arange(30.0), np.arange(30) >= 20
    found = auroc(scores, positive, 0.95)
    assert found.value == found.high == 1.0
    assert found.low < 0.05 ** (1 / 10)


def test_more_confidence_gives_wider_bounds() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(200) < 0.3
    scores = generator.normal(size=200) + positive
    wide, narrow = auroc(scores, positive, 0.99), auroc(scores, positive, 0.9)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_class_alone_has_no_area() -> None:
    assert auroc(np.arange(5.0), np.ones(5, dtype=bool), 0.95).value is None


def test_a_single_positive_still_has_honest_bounds() -> None:
    found = auroc(np.arange(5.0), np.arange(5) == 4, 0.95)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low <= 0.05 + 1e-12


def test_infinite_scores_rank_and_nan_is_refused() -> None:
    assert auroc(np.array([-np.inf, 0, np.inf]), np.array([False, False, True]), 0.95).value == 1.0
    with pytest.raises(ValueError, match="rank failed cases last"):
        auroc(np.array([np.nan, 1.0]), np.array([True, False]), 0.95)


def test_clustered_bounds_are_never_narrower_and_widen_when_cases_are_copied() -> None:
    generator = np.random.default_rng(2)
    positive = generator.random(150) < 0.4
    scores = generator.normal(size=150) + 1.5 * positive
    alone = auroc(scores, positive, 0.95)
    single = auroc_clustered(scores, positive, np.arange(150), 0.95)
    assert single.low <= alone.low
    assert single.high >= alone.high
    copied = auroc_clustered(np.tile(scores, 6), np.tile(positive, 6), np.tile(np.arange(150), 6), 0.95)
    assert copied.low == pytest.approx(single.low, abs=0.02)
    assert copied.low < auroc(np.tile(scores, 6), np.tile(positive, 6), 0.95).low


def test_one_cluster_has_a_value_without_bounds() -> None:
    found = auroc_clustered(np.arange(4.0), np.arange(4) > 1, np.zeros(4, dtype=int), 0.95)
    assert (found.value, found.low, found.high) == (1.0, None, None)
