"""Texts as vectors, and whether two samples of them are told apart."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.stats.classifier import classifier_test, logistic_weights
from pilotbase.stats.kernel import mmd
from pilotbase.stats.ngrams import LONGEST, vectors


@given(texts=st.lists(st.text(max_size=20), max_size=8))
def test_a_text_has_the_same_vector_of_length_one_in_any_company(texts: list[str]) -> None:
    rows = vectors(texts, width=64)
    assert rows.shape == (len(texts), 64)
    for text, row in zip(texts, rows, strict=True):
        assert np.array_equal(row, vectors([text], width=64)[0])
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5) or not row.any()


def test_more_texts_than_a_block_are_hashed_like_fewer() -> None:
    texts = [f"text {i}" for i in range(600)]
    assert np.array_equal(vectors(texts)[300:310], vectors(texts[300:310]))


def test_full_width_and_capital_letters_read_like_plain_ones() -> None:
    rows = vectors(["ＡＢＣ１２３ 退款", "abc123 退款", "abc124 退款"])
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[1], rows[2])


def test_an_empty_text_is_zero_and_a_long_one_is_cut() -> None:
    rows = vectors(["", "a" * LONGEST, "a" * LONGEST + "b"])
    assert not rows[0].any()
    assert np.array_equal(rows[1], rows[2])


def test_near_texts_are_nearer_than_far_ones_in_both_tongues() -> None:
    rows = vectors(["我要预约专家门诊", "我想预约专家门诊", "发票什么时候开", "book a doctor", "booking a doctor", "tax refund"])
    alike = rows @ rows.T
    assert alike[0, 1] > alike[0, 2] + 0.2
    assert alike[3, 4] > alike[3, 5] + 0.2


def test_the_discrepancy_is_the_unbiased_sum_by_hand() -> None:
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(6, 3)).astype(np.float32), generator.normal(1, size=(5, 3)).astype(np.float32)
    pooled = np.concatenate([x, y]).astype(float)
    squares = np.square(pooled[:, None] - pooled[None]).sum(axis=2)
    table = np.exp(-squares / (2 * np.median(squares[np.triu_indices(11, 1)])))
    xx = (table[:6, :6].sum() - 6) / 30
    yy = (table[6:, 6:].sum() - 5) / 20
    wanted = xx + yy - 2 * table[:6, 6:].mean()
    assert mmd(x, y, seed=1, permutations=20).statistic == pytest.approx(wanted, abs=1e-5)


def test_a_moved_mean_and_a_changed_correlation_are_both_found() -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=(150, 2)).astype(np.float32)
    moved = (generator.normal(size=(150, 2)) + 0.7).astype(np.float32)
    tied = generator.normal(size=(150, 1)).repeat(2, axis=1).astype(np.float32)
    assert mmd(x, moved, seed=1).p == mmd(x, tied, seed=1).p == 1 / 1000


def test_equal_rows_are_not_apart_and_too_few_are_refused() -> None:
    same = np.ones((5, 3), dtype=np.float32)
    assert mmd(same, same, seed=1).p == 1.0
    assert classifier_test(same, same, seed=1).p == 1.0
    with pytest.raises(ValueError, match="two on each side"):
        mmd(same[:1], same, seed=1)
    with pytest.raises(ValueError, match="four on each side"):
        classifier_test(same[:3], same, seed=1)


def test_the_logistic_classifier_finds_the_direction_and_balances_the_sides() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(-0.5, 0.2, (400, 2)), generator.normal(0.5, 0.2, (20, 2))
    weights, offset = logistic_weights((x / 3).astype(np.float32), (y / 3).astype(np.float32))
    assert (weights > 0).all()
    assert (x / 3 @ weights + offset < 0).mean() > 0.97 and (y / 3 @ weights + offset > 0).mean() > 0.9


def test_a_classifier_that_always_knows_has_a_p_without_a_floor() -> None:
    generator = np.random.default_rng(4)
    x, y = np.abs(generator.normal(size=(200, 4))), -np.abs(generator.normal(size=(200, 4)))
    found = classifier_test(*((z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32) for z in (x, y)), seed=1)
    assert found.statistic > 0.98
    assert found.p < 1e-40


def test_equal_seeds_give_equal_answers() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(60, 8)).astype(np.float32) / 9, generator.normal(size=(50, 8)).astype(np.float32) / 9
    assert classifier_test(x, y, seed=3) == classifier_test(x, y, seed=3)
    assert mmd(x, y, seed=3) == mmd(x, y, seed=3)


@pytest.mark.parametrize(("m", "n"), [(40, 40), (120, 30)])
def test_false_alarms_of_both_tests_stay_below_their_level(m: int, n: int, size: Callable[[int, int], int]) -> None:
    trials = size(200, 10_000)
    generator = np.random.default_rng(6)
    ps = np.empty((trials, 2))
    for trial in range(trials):
        rows = generator.standard_t(3, size=(m + n, 6)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ps[trial] = classifier_test(rows[:m], rows[m:], seed=trial).p, mmd(rows[:m], rows[m:], seed=trial, permutations=199).p
    for level in (0.2, 0.05):
        assert (ps <= level).mean(axis=0).max() <= level + 3 * math.sqrt(level / trials)
