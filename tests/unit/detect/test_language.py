"""Scripts of a text."""

import pytest

from pilotbase.detect.language import count_scripts, share


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("中文 and English", {"han": 2, "latin": 10}),
        ("ひらカタ漢", {"kana": 4, "han": 1}),
        ("한국어", {"hangul": 3}),
        ("Привет", {"cyrillic": 6}),
        ("مرحبا", {"arabic": 5}),
        ("Ελλάδα", {"greek": 6}),
        ("ＡＢ１２", {"latin": 2}),
        ("𠀀〇々", {"han": 3}),
        ("Ꭰ", {"other": 1}),
        ("123 !? ，。 😀", {}),
    ],
)
def test_letters_are_counted_by_script_and_nothing_else_is(text: str, counts: dict[str, int]) -> None:
    assert count_scripts(text) == counts


def test_the_share_is_of_letters_alone_and_whole_where_there_are_none() -> None:
    assert share("中文ab 12。", ("han",)) == (0.5, 4)
    assert share("中文ab", ("han", "latin")) == (1.0, 4)
    assert share("12。", ("han",)) == (1.0, 0)
