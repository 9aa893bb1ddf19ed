"""How numbers, times and texts of a record are written for readers."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

__all__ = ["DASH", "count", "figure", "interval", "listed", "mapped", "moment", "number", "percent", "share", "tidy"]

DASH = "—"

# What no report may carry: characters that XML 1.0 refuses, lone surrogates (no UTF-8), and the controls of writing direction,
# which can make a line read as something else than it says (Boucher and Anderson 2021, "Trojan Source").
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def tidy(data: Any) -> Any:
    """The same JSON-like data with every unfit character replaced by U+FFFD, keys included, and non-finite numbers by None."""
    if isinstance(data, str):
        return _UNFIT.sub("\ufffd", data)
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {tidy(str(key)): tidy(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [tidy(value) for value in data]
    return data


def mapped(data: Any) -> dict[str, Any]:
    """The mapping, or an empty one where the record has none."""
    return data if isinstance(data, dict) else {}


def listed(data: Any) -> list[Any]:
    """The list, or an empty one where the record has none."""
    return data if isinstance(data, list) else []


def count(value: Any) -> int | None:
    """The whole number, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def figure(value: Any) -> float | None:
    """The number, or None for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def number(value: Any, unit: str = "", digits: int = 4) -> str:
    """`12,345`, `0.952`, `48 ms`, `0.12 CNY`: up to `digits` significant digits, thousands apart, seconds under "
    "1 in ms; a dash for None."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return DASH if value is None else str(value) or DASH
    if unit == "s" and value != 0 and abs(value) < 1:
        return f"{_plain(value * 1000, digits)} ms"
    text = _plain(value, digits)
    if not unit:
        return text
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"


def _plain(value: float, digits: int) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if value.is_integer() and size < 1e15:
        return f"{int(value):,}"
    if size >= 1e15 or size < 1e-6:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: Any, threshold: float | None, unit: str = "") -> str:
    """A figure beside its threshold: more digits where rounding would put it on the other side, or on the line."""
    if not isinstance(value, (int, float)) or threshold is None:
        return number(value, unit)
    texts = (number(value, unit, digits) for digits in range(4, 16))
    if value == threshold:
        return next(texts)
    limit = [number(threshold, unit, digits) for digits in range(4, 16)]
    return next((text for text, other in zip(texts, limit, strict=True) if text != other), limit[-1])


def interval(low: Any, high: Any, threshold: float | None, unit: str = "") -> str:
    """`[0.93, 0.97]`; an open end is a dash; one dash where neither end is known."""
    if low is None and high is None:
        return DASH
    return f"[{share(low, threshold, unit)}, {share(high, threshold, unit)}]"


def percent(value: Any) -> str:
    """A confidence or probability: 0.95 -> `95 %` that no line breaks, up to 4 significant digits."""
    return DASH if not isinstance(value, (int, float)) else f"{_plain(round(value * 100, 10), 4)}\u00a0%"


def moment(text: Any) -> str:
    """An ISO 8601 time as `2026-11-21 18:44:08 UTC`; what is no such time is shown as it is."""
    if not text:
        return DASH
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    zone = at.strftime("%Z")
    return f"{at:%Y-%m-%d %H:%M:%S}{' ' + zone if zone else ''}"
