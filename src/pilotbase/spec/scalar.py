"""Plain scalars by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3.2): `yes`, `no` and `on` are text."""

import re
from dataclasses import dataclass

__all__ = ["Refused", "resolve"]

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_DIGITS = 400  # int() takes quadratic time, and anything longer is out of range anyway


@dataclass(frozen=True, slots=True)
class Refused:
    """A scalar that has no value here, and why."""

    message: str
    hint: str | None = None


def resolve(text: str) -> str | int | float | bool | Refused | None:
    """The value of a plain (unquoted) scalar. Numbers are finite, whole numbers fit in 64 bits; others are Refused."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return _whole(text, 10)
    if _OCTAL.fullmatch(text):
        return _whole(text[2:], 8)
    if _HEX.fullmatch(text):
        return _whole(text[2:], 16)
    if _NOT_FINITE.fullmatch(text):
        return Refused(f"`{text}` is not a finite number", "write a finite number, or quote it if it is text")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            return Refused(f"`{text[:60]}` is out of range", "numbers run to 1.7e308")
        return number
    return text


def _whole(digits: str, base: int) -> int | Refused:
    number = int(digits, base) if len(digits) <= _MOST_DIGITS else 2**64
    if not -(2**63) <= number < 2**63:
        return Refused("the whole number is out of range", "use 64 bits at most, or quote it if it is text")
    return number
