"""Amounts as people write them: money, durations, rates, and the one threshold word `require`."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Literal

__all__ = [
    "Money",
    "Op",
    "Require",
    "parse_daily",
    "parse_duration",
    "parse_money",
    "parse_rate",
    "parse_require",
    "parse_scale",
    "parse_share",
]

Op = Literal[">=", "<=", "=", "in"]
NANO = 1_000_000_000  # one currency unit in the integers that evidence keeps

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PER = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in billionths of one unit of `currency` (ISO 4217). Never a float."""

    nanos: int
    currency: str

    def __str__(self) -> str:
        text = f"{Decimal(self.nanos) / NANO:f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {self.currency}"


def parse_money(text: str) -> Money:
    """`0.0001 CNY` -> Money. Raises ValueError with what is allowed."""
    match = re.fullmatch(rf"({_NUMBER})\s*([A-Za-z]{{3}})", text.strip())
    if not match:
        raise ValueError(f"`{text}` is not an amount; write a number and a currency, as in `0.0001 CNY`")
    try:
        nanos = Decimal(match[1]) * NANO
    except DecimalException:  # Overflow is no InvalidOperation: 1e999999 CNY
        raise ValueError(f"`{text}` is not an amount") from None
    if nanos < 0 or nanos > 10**18 or nanos != nanos.to_integral_value():
        raise ValueError(f"`{text}` is out of range: amounts run from 0 to 1,000,000,000 in steps of 0.000000001")
    return Money(int(nanos), match[2].upper())


def parse_daily(text: str) -> Money:
    """`1 CNY/day` -> what may be spent a day, more than nothing. Raises ValueError with what is allowed."""
    match = re.fullmatch(r"(.*[A-Za-z])\s*/\s*(?:day|d)", text.strip())
    if not match:
        raise ValueError(f"`{text}` is not an amount a day; write a number, a currency and `/day`, as in `1 CNY/day`")
    money = parse_money(match[1])
    if not money.nanos:
        raise ValueError(f"`{text}` lets nothing be spent; write more than 0")
    return money


def parse_share(text: str) -> float:
    """`5 %` or `0.05` -> 0.05, more than 0 and at most 1. Raises ValueError with what is allowed."""
    match = re.fullmatch(rf"({_NUMBER})\s*(%)?", text.strip())
    if not match:
        raise ValueError(f"`{text}` is not a share; write per cent, as in `5 %`")
    share = float(match[1]) / 100 if match[2] else float(match[1])
    if not 0 < share <= 1:
        near = f"; did you mean `{match[1]} %`?" if not match[2] and 1 < share <= 100 else ""
        raise ValueError(f"`{text}` is out of range: a share is more than 0 and at most 100 %{near}")
    return share


def parse_duration(text: str) -> float:
    """`50 ms`, `5s`, `10m`, `2h` -> seconds (> 0). Raises ValueError."""
    match = re.fullmatch(rf"({_NUMBER})\s*([a-z]+)", text.strip())
    if not match or match[2] not in _SECONDS:
        raise ValueError(f"`{text}` is not a duration; write a number with ms, s, m, h or d, as in `10m`")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= 366 * 86400:
        raise ValueError(f"`{text}` is out of range: a duration is more than 0 and at most 366 d")
    return seconds


def parse_rate(text: str) -> float:
    """`50/s` -> per second (> 0). Raises ValueError."""
    match = re.fullmatch(rf"({_NUMBER})\s*/\s*([a-z]+)", text.strip())
    if not match or match[2] not in _PER:
        raise ValueError(f"`{text}` is not a rate; write a number per s, m or h, as in `50/s`")
    rate = float(match[1]) / _PER[match[2]]
    if not 0 < rate <= 100_000:
        raise ValueError(f"`{text}` is out of range: a rate is more than 0 and at most 100000/s")
    return rate


def parse_scale(text: str) -> tuple[float, str]:
    """`0.1 sd` or `0.5` -> (0.1, "sd") or (0.5, ""). Raises ValueError."""
    match = re.fullmatch(rf"({_NUMBER})\s*(sd)?", text.strip())
    if not match or float(match[1]) < 0 or not math.isfinite(float(match[1])):
        raise ValueError(
            f"`{text}` is not a strength; write a number, or a share of a column's standard deviation as in `0.1 sd`"
        )
    return float(match[1]), match[2] or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """A threshold: `op`, `value` in base units (seconds, units of currency, plain numbers), and the unit as written."""

    op: Op
    value: float
    unit: str = ""
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.op == "in":
            return f"in [{', '.join(self.members)}]"
        shown = self.value / _SECONDS[self.unit] if self.unit in _SECONDS else self.value
        return f"{self.op} {shown:.12g}{' ' + self.unit if self.unit else ''}"


def parse_require(text: str) -> Require:
    """Read `OP VALUE [UNIT]`, OP one of `>= <= = in`.

    Durations become seconds, `%` becomes a share. Raises ValueError with what is allowed.
    """
    text = text.strip()
    listed = re.fullmatch(r"in\s*\[(.*)\]", text)
    if listed:
        members = tuple(part.strip().strip("'\"") for part in listed[1].split(",") if part.strip())
        if not members:
            raise ValueError("`in []` allows nothing; name at least one member")
        return Require(op="in", value=0.0, members=members)
    match = re.fullmatch(rf"(>=|<=|=)\s*({_NUMBER})\s*(%|[A-Za-z]+(?:/[a-z]+)?|/[a-z]+)?", text)
    if not match:
        raise ValueError(
            f"`{text}` is not a requirement; write `OP VALUE [UNIT]` with OP one of >= <= = in, as in `>= 0.95` or `<= 50 ms`"
        )
    op, number, unit = match[1], float(match[2]), match[3] or ""
    if not math.isfinite(number):
        raise ValueError(f"`{text}`: the value must be finite")
    if unit == "%":
        return Require(op=op, value=number / 100, unit="")  # type: ignore[arg-type]
    if unit in _SECONDS:
        return Require(op=op, value=number * _SECONDS[unit], unit=unit)  # type: ignore[arg-type]
    return Require(op=op, value=number, unit=unit)  # type: ignore[arg-type]
