"""Terms of Chinese and English, and BM25 both ways."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.catalog.similarity import Index, fold, terms

TEXTS = st.lists(st.text(alphabet="abc 肺结节筛查，.", max_size=30), min_size=1, max_size=6)


def test_chinese_is_cut_into_runs_of_two_and_three_and_english_into_words() -> None:
    assert terms("肺结节的筛查") == Counter(["肺结", "结节", "肺结节", "筛查"])
    assert terms("Screening of retinas, bodies and ECG-devices") == Counter(["screening", "retina", "body", "ecg", "device"])
    assert terms("ＡＩ质检AI") == Counter(["ai", "质检", "ai"])
    assert terms("癌") == Counter(["癌"]) and terms("") == terms("的 the，!") == Counter()


def test_full_width_and_traditional_characters_are_the_same_as_plain_ones() -> None:
    assert fold(" ＮＭＰＡ Ⅲ ") == "nmpa iii"
    assert terms("診斷") == terms("诊断")


def test_a_score_is_that_of_the_formula() -> None:
    index = Index([{"a": 2, "b": 1}, {"b": 1}, {"c": 4}])
    idf = math.log1p((3 - 1 + 0.5) / 1.5)
    weight = 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / (8 / 3)))
    forth = idf * 1.0 * weight
    own = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1 / (8 / 3)))
    idf_b = math.log1p((3 - 2 + 0.5) / 2.5)
    self_of_first = idf * weight * 2 * 9 / 10 + idf_b * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / (8 / 3)))
    back = own * 2 * 9 / 10
    assert index.shares({"a": 1})[0] == pytest.approx(0.5 * (forth / own + back / self_of_first))
    assert list(index.shares({"a": 1})[1:]) == [0.0, 0.0]


@given(TEXTS, st.text(alphabet="abc 肺结节筛查", max_size=30))
def test_shares_are_finite_a_text_is_like_itself_and_nothing_is_like_nothing(texts: list[str], other: str) -> None:
    counted = [terms(text) for text in texts]
    index = Index(counted)
    shares = index.shares(terms(other))
    assert shares.shape == (len(texts),) and np.isfinite(shares).all() and (shares >= 0.0).all()
    for row, one in enumerate(counted):
        assert index.shares(one)[row] == pytest.approx(1.0 if one else 0.0)
        assert (shares[row] > 0.0) == bool(one.keys() & terms(other).keys())
        assert set(index.why(terms(other), one)) <= one.keys() & terms(other).keys()


def test_an_index_of_nothing_answers_with_nothing() -> None:
    assert Index([]).shares({"a": 1}).shape == (0,)
    assert list(Index([{}, {}]).shares({"a": 1})) == [0.0, 0.0]


def test_why_names_the_longest_of_terms_within_one_another_and_rare_ones_first() -> None:
    texts = [terms(text) for text in ("肺结节筛查系统", "订单系统", "排产系统", "结节")]
    why = Index(texts).why(terms("肺结节系统"), texts[0])
    assert why[0] == "肺结节" and "结节" not in why and why[-1] in ("系统", "节系统", "统系统") and "系统" in why
