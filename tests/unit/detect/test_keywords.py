"""Keyword lists: how they are read, and how their words are found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.detect.keywords import GAP, Keywords, read_keywords
from pilotbase.errors import UserError

LIST = Keywords([(1, "敏感词"), (2, "bad word"), (3, "ass"), (4, "感词汇"), (5, "ＶＩＰ")])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("这是敏感词。", "敏感词"),
        ("敏感詞", "敏感詞"),
        ("敏 感 词", "敏 感 词"),
        ("敏\u200b感\u200d词", "敏\u200b感\u200d词"),
        ("敏\n感词", "敏\n感词"),
        ("ＢＡＤ　ＷＯＲＤ!", "ＢＡＤ　ＷＯＲＤ"),
        ("a bad   wórd", "bad   wórd"),
        ("vip", "vip"),
        ("一个𝐚𝐬𝐬。", "𝐚𝐬𝐬"),
    ],
)
def test_a_word_is_found_however_it_is_spelt_and_its_place_is_that_of_the_original(text: str, found: str) -> None:
    (hit,) = LIST.find(text)
    assert text[hit.start : hit.end] == found


@pytest.mark.parametrize(
    "text", ["class", "asset", "passé", "bad sword", "badword", "敏感", "敏感的词", "", "敏" + " " * (GAP + 1) + "感词"]
)
def test_a_word_is_not_found(text: str) -> None:
    assert LIST.find(text) == []


def test_words_that_overlap_are_all_found() -> None:
    assert [(hit.start, hit.end, hit.line) for hit in LIST.find("敏感词汇")] == [(0, 3, 1), (1, 4, 4)]


def test_the_end_of_a_text_is_open_where_a_word_may_begin() -> None:
    assert LIST.open_from("这是敏感") == 2
    assert LIST.open_from("这是敏感度") == 5
    assert LIST.open_from("so bad ") == 3
    assert LIST.open_from("an ass") == 3
    assert LIST.open_from("an ass.") == 7 and LIST.find("an ass.")[0].start == 3


def test_a_list_is_read_with_its_comments_and_line_numbers() -> None:
    read = read_keywords("\ufeff# 说明\n\n敏感词\r\n bad word \n".encode(), "list")
    assert read.words == ((3, "敏感词"), (4, "bad word")) and read.repairs == ()


def test_a_list_in_gb18030_is_read_and_told() -> None:
    read = read_keywords("敏感词\n龘龘\n".encode("gb18030"), "list")
    assert [word for _, word in read.words] == ["敏感词", "龘龘"]
    assert "GB18030" in read.repairs[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xff\xff", "neither UTF-8 nor GB18030"),
        (b"# only a comment\n", "holds no word"),
        (b"ok\n" + b"x" * 129, "list:2: a keyword of 129"),
        ("ok\n\u200b\n".encode(), "without any visible"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_keywords(data, "list")
    assert message in str(error.value)


@given(st.text(st.sampled_from("敏感詞词汇 \u200basbdwor　Ａ"), max_size=40))
@settings(max_examples=300)
def test_what_the_quick_look_passes_by_is_not_there(text) -> None:
    """The slow way alone: every start and every end, spelt out."""
    hits = LIST.find(text)
    assert all(0 <= hit.start < hit.end <= len(text) and hit.end - hit.start <= LIST.longest for hit in hits)
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            part = text[start:end].replace("詞", "词")
            if part in ("敏感词", "感词汇"):
                assert any((hit.start, hit.end) == (start, end) for hit in hits)
