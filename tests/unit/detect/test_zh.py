"""Text normalisation for scoring."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilotbase.detect import zh
from pilotbase.detect.zh import normalise, simplify


def test_the_table_is_two_parallel_strings_without_duplicates_or_chains() -> None:
    assert len(zh._TRADITIONAL) == len(zh._SIMPLIFIED) == 1057
    assert len(set(zh._TRADITIONAL)) == len(zh._TRADITIONAL)
    assert not set(zh._TRADITIONAL) & set(zh._SIMPLIFIED)
    assert all("\u4e00" <= c <= "\u9fff" for c in zh._TRADITIONAL + zh._SIMPLIFIED)


def test_every_simplified_form_is_in_the_standard_simplified_set() -> None:
    assert zh._SIMPLIFIED.encode("gb2312").decode("gb2312") == zh._SIMPLIFIED


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("醫療診斷", "医疗诊断"),
        ("機器學習與數據", "机器学习与数据"),
        ("臺灣", "台湾"),
        ("應用測試驗證", "应用测试验证"),
        ("颱風", "台风"),
    ],
)
def test_traditional_and_simplified_are_the_same(traditional: str, simplified: str) -> None:
    assert simplify(traditional) == simplified
    assert normalise(traditional) == normalise(simplified)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ＡＢＣ　１２３", "abc 123"),
        ("  Benign.\n", "benign"),
        ("“良性”。", "良性"),
        ("《答案》：", "答案"),
        ("**Yes!**", "yes"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "CAFÉ"),
        ("a\t\n b", "a b"),
        ("（对）", "对"),
    ],
)
def test_spellings_of_one_answer_agree(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("-5", "5"), ("5%", "5"), (".5", "5"), ("10²", "102"), ("C++", "C"), ("?", "!"), ("a b", "ab"), ("良性", "恶性")],
)
def test_different_answers_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text())
@example("ΐ")
@example("\u0345\u0301")
@example("İ")
@example(".\u0301")
@example(". .5")
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=zh._TRADITIONAL + "abc中文", max_size=30))
def test_simplifying_keeps_the_length_and_is_idempotent(text: str) -> None:
    assert len(simplify(text)) == len(text)
    assert simplify(simplify(text)) == simplify(text)
