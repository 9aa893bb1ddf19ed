"""Numbers in texts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.detect.numbers import read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5),
        ("the answer is 42.", 42.0),
        ("12%", 0.12),
        ("12 %", 0.12),
        ("３．５", 3.5),
        ("－７", -7.0),
        ("−7", -7.0),
        ("6.02e23 per mole", 6.02e23),
        ("1E-3", 0.001),
        (".5", 0.5),
        ("3.5万", 35000.0),
        ("1.2亿", 1.2e8),
        ("5‰", 0.005),
        ("between 3-5", 3.0),
        ("B12 is 7", 7.0),
        ("约3.5元", 3.5),
        ("一千二百", 1200.0),
        ("三点五", 3.5),
        ("百分之五", 0.05),
        ("百分之12.5", 0.125),
        ("负三", -3.0),
        ("十五", 15.0),
        ("二十", 20.0),
        ("一百零五", 105.0),
        ("三百五", 350.0),
        ("一万二", 12000.0),
        ("一万零二", 10002.0),
        ("二〇二六", 2026.0),
        ("三亿五千万", 350_000_000.0),
        ("一万亿", 1e12),
        ("壹仟贰佰", 1200.0),
        ("两百", 200.0),
        ("三点五万", 35000.0),
        ("一般来说，是四十二", 42.0),
        ("一般来说，是42", 42.0),
        ("十分满意", None),
        ("no number", None),
        ("", None),
        ("1e999", None),
        ("10² or so", 10.0),
        ("½ or so", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float | None) -> None:
    assert read_number(text) == (pytest.approx(value, rel=1e-12) if value is not None else None)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_that_is_written_is_read_back(value: float) -> None:
    assert read_number(f"it is {value!r} then") == value


@given(st.integers(-(10**12), 10**12))
def test_thousands_may_be_grouped(value: int) -> None:
    assert read_number(f"{value:,}") == value


UNITS = ["", "十", "百", "千"]


def chinese(value: int) -> str:
    """The standard Chinese spelling of 1..9999, as an oracle."""
    out, gap = "", False
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit:
            out += ("零" if gap and out else "") + "零一二三四五六七八九"[digit] + UNITS[place]
            gap = False
        else:
            gap = True
    return out


@given(st.integers(1, 9999), st.integers(0, 9999))
def test_chinese_numerals_are_read_back(high: int, low: int) -> None:
    assert read_number(chinese(high)) == high
    text = chinese(high) + "万" + (("零" if low < 1000 else "") + chinese(low) if low else "")
    assert read_number(text) == high * 10_000 + low


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    value = read_number(text)
    assert value is None or math.isfinite(value)
