"""Personal data in a text: where it stands and of which kind it is. Nothing that was found is kept.

Full-width characters count as their half-width forms, and single spaces or hyphens between the groups of a number are seen
through. A number inside a longer run of digits is none. Every rule looks at one place by itself: what stands more than
`reach(kinds)` characters away from a finding has no part in it.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pilotbase.detect.check_digits import is_card, is_credit_code, is_resident_id
from pilotbase.detect.zh import fold_width

__all__ = ["KINDS", "MASKS", "Kind", "Span", "find", "masked", "open_from", "reach"]

Kind = Literal["id-number", "credit-code", "bank-card", "mobile", "passport", "plate", "email", "ip", "us-ssn", "us-phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Where two kinds fit the same characters, the earlier one is told."""

MASKS: dict[Kind, str] = {
    "id-number": "[身份证]",
    "credit-code": "[统一社会信用代码]",
    "bank-card": "[银行卡]",
    "mobile": "[手机号]",
    "passport": "[护照]",
    "plate": "[车牌]",
    "email": "[邮箱]",
    "ip": "[IP地址]",
    "us-ssn": "[SSN]",
    "us-phone": "[phone]",
}
"""What stands in place of a finding: the name of its kind and nothing of itself."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start <= i < end` of the text are of this kind."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern that matches the first character of a candidate and captures the rest, and the test that decides.

    Only one character is consumed, so candidates that overlap are all tried, wherever the search began; and the pattern begins
    with a set of characters, which the search skips to quickly.
    """

    pattern: re.Pattern[str]
    longest: int
    right: Callable[[str], bool] = lambda _: True


_DASHES = "\u2010-\u2015\u2212-"
_S = f"[ \u00a0{_DASHES}]?"
_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_IN_CODE = "0-9A-HJ-NPQRTUWXYa-hj-npqrtuwxy"
_PLATE = "A-HJ-NP-Z0-9"


def _at(first: str, rest: str, before: str = "0-9", after: str = "[0-9]") -> re.Pattern[str]:
    return re.compile(rf"[{first}](?<![{before}][{first}])(?=({rest})(?!{after}))")


def _bare(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _few_letters(plate: str) -> bool:
    return sum(c.isdigit() for c in plate) >= 3


def _version_4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _version_6(text: str) -> bool:
    # `std::byte` and `12:30` are spelt with the same characters: the first group of a routed address has four.
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return any(c.isdigit() for c in text)


_CARD = (
    _Rule(_at("2-9", "[0-9]{15,18}"), 19, is_card),
    _Rule(_at("2-9", rf"[0-9]{{3}}(?:{_S}[0-9]{{4}}){{3}}{_S}[0-9]{{1,3}}"), 23, lambda t: is_card(_bare(t))),
    _Rule(_at("2-9", rf"[0-9]{{3}}(?:{_S}[0-9]{{4}}){{3}}"), 19, lambda t: is_card(_bare(t))),
    _Rule(_at("2-9", rf"[0-9]{{5}}{_S}[0-9]{{10,13}}"), 20, lambda t: is_card(_bare(t))),
)
_MOBILE = rf"[3-9][0-9]{_S}[0-9]{{4}}{_S}[0-9]{{4}}"
_LETTER = "[0-9A-Za-z]"
_RULES: dict[Kind, tuple[_Rule, ...]] = {
    "id-number": (_Rule(_at("1-8", rf"(?:{_S}[0-9]){{16}}{_S}[0-9Xx]", after=_LETTER), 35, lambda t: is_resident_id(_bare(t))),),
    "credit-code": (
        _Rule(
            _at(_IN_CODE, rf"[{_IN_CODE}]{_S}[0-9]{{6}}{_S}[{_IN_CODE}]{{10}}", "0-9A-Za-z", _LETTER),
            20,
            lambda t: is_credit_code(_bare(t)),
        ),
    ),
    "bank-card": _CARD,
    "mobile": (
        _Rule(_at("1", _MOBILE), 13),
        _Rule(_at("8+", rf"(?:(?<=8)6|(?<=\+)86){_S}1{_MOBILE}"), 17),
    ),
    "passport": (
        _Rule(_at("EeGg", "[0-9]{8}", "0-9A-Za-z", _LETTER), 9),
        _Rule(_at("Ee", "[A-HJ-NP-Za-hj-np-z][0-9]{7}", "0-9A-Za-z", _LETTER), 9),
        _Rule(_at("DSPdsp", "[Ee][0-9]{7}", "0-9A-Za-z", _LETTER), 9),
    ),
    "plate": (
        _Rule(
            re.compile(
                rf"[{_PROVINCE}](?=([A-HJ-NP-Z][ ·•.-]?"
                rf"(?:[{_PLATE}]{{4}}[{_PLATE}挂学警港澳]|[DF][{_PLATE}][0-9]{{4}}|[0-9]{{5}}[DF]))(?![A-Za-z0-9]))"
            ),
            9,
            _few_letters,
        ),
    ),
    "ip": (
        _Rule(re.compile(r"[0-9](?<![0-9.][0-9])(?=([0-9]{0,2}(?:\.[0-9]{1,3}){3})(?![0-9]|\.[0-9]))"), 15, _version_4),
        _Rule(
            re.compile(
                # A colon before it is no part of it where no group stands before the colon: 地址：fe80::1.
                r"[0-9A-Fa-f](?<![0-9A-Za-z].)(?<![0-9A-Fa-f]:.)(?<!::.)"
                r"(?=([0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,34})(?![0-9A-Za-z:]))"
            ),
            39,
            _version_6,
        ),
    ),
    "us-ssn": (
        _Rule(
            _at("0-8", "[0-9]{2}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}", "0-9-", "[0-9-]"), 11, lambda t: t[:3] not in ("000", "666")
        ),
    ),
    "us-phone": (
        _Rule(_at("(2-9", r"(?:(?<=\()[2-9][0-9]{2}\) ?|[0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"), 14),
        _Rule(_at("1+", r"(?:(?<=\+)1)?[ .-]?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}", "0-9+"), 18),
    ),
}
# RFC 5321 section 4.5.3.1: at most 64 characters before the sign; of the domain 128 are read.
_LOCAL, _DOMAIN = 64, 128
_BEFORE_AT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-")
_AFTER_AT = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_DIGIT = re.compile("[0-9]")
_ANY = re.compile("[0-9@０-９＠]")
# Every numeric rule but these two needs at least six digits with no more than two other characters between them.
_MANY_DIGITS = re.compile("[0-9](?:[^0-9]{0,2}[0-9]){5}")
_FEW_DIGITS = ("plate", "ip")
_SPACES = " \u00a0\u3000"
_HALF = frozenset(_BEFORE_AT | set("@:()·•挂学警港澳") | set(_PROVINCE) | {"\u2212"} | {chr(c) for c in range(0x2010, 0x2016)})
_INSIDE = _HALF | {chr(ord(c) + 0xFEE0) for c in _HALF if "!" <= c <= "~"}


def find(text: str, kinds: Collection[Kind] = KINDS) -> list[Span]:
    """Everything of these kinds in `text`, in order of `start`; what lies inside another finding is left out."""
    if _ANY.search(text) is None:
        return []
    plain = fold_width(text)
    found: list[tuple[int, int, int, Kind]] = []
    if _DIGIT.search(plain):
        many = _MANY_DIGITS.search(plain) is not None
        for rank, kind in enumerate(KINDS):
            if kind in kinds and (many or kind in _FEW_DIGITS):
                for rule in _RULES.get(kind, ()):
                    spans = ((m.start(), m.end(1)) for m in rule.pattern.finditer(plain))
                    found += [(start, -end, rank, kind) for start, end in spans if rule.right(plain[start:end])]
    if "email" in kinds and "@" in plain:
        found += [(start, -end, KINDS.index("email"), "email") for start, end in _emails(plain)]
    return list(_outermost(found)) if found else []


def masked(text: str) -> str:
    """The text with every finding replaced by the name of its kind."""
    parts, at = [], 0
    for span in find(text):
        parts += [text[at : span.start], MASKS[span.kind]]
        at = span.end
    return "".join([*parts, text[at:]])


def reach(kinds: Collection[Kind] = KINDS) -> int:
    """How many characters of a growing text a finding of these kinds may still need: see `ports.Guard`."""
    longest = [rule.longest for kind in kinds for rule in _RULES.get(kind, ())]
    return max([*longest, _LOCAL + 1 + _DOMAIN if "email" in kinds else 0], default=0) + 2


def open_from(text: str) -> int:
    """Where the run of characters begins that ends the text and that more of it could make personal data.

    Everything that `find` reports before it stands for good, and nothing new can begin there.
    """
    i = len(text)
    while i and (text[i - 1] in _INSIDE or (text[i - 1] in _SPACES and _joins(text, i - 1))):
        i -= 1
    return i


def _joins(text: str, i: int) -> bool:
    """Whether the space at `i` may stand between two groups of one number, or of a plate."""
    before = fold_width(text[i - 1]) if i else ""
    after = fold_width(text[i + 1]) if i + 1 < len(text) else "0"
    return bool(_DIGIT.match(before) or _DIGIT.match(after) or "A" <= before <= "Z")


def _emails(plain: str) -> Iterator[tuple[int, int]]:
    at = plain.find("@")
    while at >= 0:
        start = at
        while start and at - start < _LOCAL and plain[start - 1] in _BEFORE_AT:
            start -= 1
        domain = _AFTER_AT.match(plain, at + 1, at + 1 + _DOMAIN)
        if start < at and domain:
            yield start, domain.end()
        at = plain.find("@", at + 1)


def _outermost(found: Sequence[tuple[int, int, int, Kind]]) -> Iterator[Span]:
    last = -1
    for start, end, _, kind in sorted(found):
        if -end > last:
            last = -end
            yield Span(kind, start, last)
