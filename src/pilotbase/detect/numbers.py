"""The first number in a text, in Arabic digits of any width or in Chinese numerals."""

import math
import re

from pilotbase.detect.zh import fold_width

__all__ = ["read_number"]

_ARABIC = re.compile(
    r"(?P<per>百分之|千分之)?"
    r"(?P<sign>(?<!\w)[-+]|负|負)?"
    r"(?P<number>(?<![A-Za-z_\d.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+)"
    r"(?P<power>[eE][-+]?\d+)?"
    r"\s?(?P<unit>%|‰|[千万萬亿億]{1,2})?"
)
_DIGITS = {
    c: i
    for i, row in enumerate(("零〇", "一壹", "二贰貳两兩", "三叁參", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖"))
    for c in row
}
_TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_NUMERALS = "".join((*_DIGITS, *_TENS, *_LARGE))
# Words that hold a numeral and mean no number. 十分 ("very") follows no digit.
_IDIOMS = re.compile(
    r"一(?:般|些|起|样|樣|定|直|下|切|边|邊|旦|致)|[统統唯]一|(?<![一二三四五六七八九十百千])[万萬]一|(?<![一二三四五六七八九百])十分(?!之)"
)
_CHINESE = re.compile(
    rf"(?P<per>百分之|千分之)?(?P<sign>负|負)?(?P<whole>[{_NUMERALS}]+)"
    rf"(?:[点點](?P<part>[{''.join(_DIGITS)}]+)(?P<unit>[万萬亿億]?))?"
)
_SHARES = {"百分之": 0.01, "千分之": 0.001, "%": 0.01, "‰": 0.001}


def read_number(text: str) -> float | None:
    """The first number of `text`; None where there is none, or where it is too large for a float.

    `1,234.5`, `-3e5`, `１２` and `3.5万` are read, and shares as fractions: `12%` and `百分之十二` are 0.12. Digits inside a word
    (`B12`) are no number. Chinese numerals (一千二百, 三点五, 二〇二六, 一万二 for 12,000) count only where
    no Arabic number stands, because many ordinary words hold one.
    """
    plain = fold_width(text).replace("−", "-")
    found = _ARABIC.search(plain)
    value = _arabic(found) if found else None
    if found is None and (chinese := _CHINESE.search(_IDIOMS.sub(" ", plain))):
        value = _chinese(chinese)
    return value if value is not None and math.isfinite(value) else None


def _arabic(found: re.Match[str]) -> float:
    value = float(found["number"].replace(",", "") + (found["power"] or ""))
    for char in found["unit"] or "":
        value = value / (100 if char == "%" else 1000) if char in _SHARES else value * (_TENS.get(char) or _LARGE[char])
    if found["per"]:
        value /= 100 if found["per"] == "百分之" else 1000
    return -value if found["sign"] in {"-", "负", "負"} else value


def _chinese(found: re.Match[str]) -> float:
    value: float = _whole(found["whole"])
    if part := found["part"]:
        value = float(f"{int(value)}.{''.join(str(_DIGITS[c]) for c in part)}")
    if unit := found["unit"]:
        value *= _LARGE[unit]
    if found["per"]:
        value /= 100 if found["per"] == "百分之" else 1000
    return -value if found["sign"] else value


def _whole(numeral: str) -> int:
    """Chinese positional numerals; digits alone are read one by one, and 三百五 is 350: the last counts in tenths of its unit."""
    if all(c in _DIGITS for c in numeral):
        return int("".join(str(_DIGITS[c]) for c in numeral))
    total = section = digit = 0
    unit = 1
    pending = False
    for char in numeral:
        if char in _DIGITS:
            digit, pending = _DIGITS[char], True
            if digit == 0:
                unit = 1
        elif char in _TENS:
            section += (digit if pending else 1) * _TENS[char]
            unit, digit, pending = _TENS[char], 0, False
        else:
            scale = _LARGE[char]
            section += digit
            if section == 0 and total == 0:
                section = 1
            if scale > 10**4 and total:
                total = (total + section) * scale
            else:
                total += section * scale
            unit, section, digit, pending = scale, 0, 0, False
    return total + section + (digit * unit // 10 if unit >= 100 else digit)
