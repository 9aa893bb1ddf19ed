"""What a drill does to copied traffic: errors, slowness, worse answers, or inputs and outputs that are others than before.

Pure: a row or a value in, the spoilt one out, with all chance drawn from a generator that the caller seeded.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

from pilotbase.domain.quantity import parse_duration, parse_share
from pilotbase.errors import UserError
from pilotbase.release.drift_reference import Column

__all__ = ["KINDS", "Injection", "Kind", "read_injection", "shifted", "spoilt"]

Kind = Literal["errors", "latency", "quality", "drift"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_USUAL: Mapping[Kind, str] = {"errors": "20 %", "latency": "x3", "quality": "50 %", "drift": "1"}
_FACTOR = re.compile(r"[x×]?\s*(\d+(?:\.\d+)?)\s*[x×]?")
_HIGHEST = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What is injected, and how much of it. `told` says so in English and Chinese.

    errors and quality: `share` of requests, or of scored answers, in (0, 1]. latency: seconds are multiplied by `factor` (>= 1)
    and `added` (seconds) to. drift: numbers are shifted by `deviations` standard deviations; so large a share of texts and
    categories (at most all) are replaced.
    """

    kind: Kind
    told: tuple[str, str]
    share: float = 1.0
    factor: float = 1.0
    added: float = 0.0
    deviations: float = 0.0

    def falls(self, chance: Random) -> bool:
        """Whether the next request is a spoilt one."""
        return chance.random() < self.share


def read_injection(kind: Kind, strength: str | None) -> Injection:
    """`20 %` for errors and quality, `x3` or `+2s` for latency, a number of standard deviations for drift.

    None takes the usual strength. UserError (status 422) for anything else.
    """
    text = (strength if strength is not None else _USUAL[kind]).strip()
    if kind in ("errors", "quality"):
        share = _share(kind, text)
        whom = ("requests fail", "请求失败") if kind == "errors" else ("scored answers are bad", "已评分回答变差")
        return Injection(kind=kind, share=share, told=(f"{100 * share:g} % of {whom[0]}", f"{100 * share:g}% 的{whom[1]}"))
    if kind == "drift":
        return _drift(text)
    if text.startswith("+"):
        try:
            added = parse_duration(text[1:])
        except ValueError as error:
            raise _refused(kind, text, str(error)) from None
        if not 0.0 < added <= 86400.0:
            raise _refused(kind, text, "more than nothing is added, and at most a day")
        return Injection(kind=kind, added=added, told=(f"answers take {added:g} s longer", f"回答耗时增加 {added:g} 秒"))
    found = _FACTOR.fullmatch(text)
    factor = float(found[1]) if found else 0.0
    if not 1.0 < factor <= _HIGHEST:
        raise _refused(kind, text, f"a factor lies over 1 and is at most {_HIGHEST:g}")
    return Injection(kind=kind, factor=factor, told=(f"answers take {factor:g} times as long", f"回答耗时变为 {factor:g} 倍"))


def spoilt(row: Mapping[str, Any], injection: Injection) -> dict[str, Any]:
    """A settled row of the ledger that the injection met: failed, or slower. Other kinds leave the row as it is."""
    if injection.kind == "errors":
        return {**row, "outcome": "failed", "status": 502, "tokens_out": 0}
    if injection.kind != "latency":
        return dict(row)

    def slower(seconds: float | None) -> float | None:
        return None if seconds is None else seconds * injection.factor + injection.added

    return {**row, "seconds": slower(row["seconds"]), "ttft": slower(row["ttft"])}


def shifted(columns: Sequence[Column], values: Mapping[str, Any], injection: Injection, chance: Random) -> dict[str, Any]:
    """Inputs and outputs by their names, moved away from what the pilot saw (`columns`). What is missing stays missing.

    Numbers move by so many standard deviations of the pilot's own, texts are shuffled, a category becomes another one.
    """
    found = dict(values)
    for column in columns:
        value = found.get(column.name)
        if value is None:
            continue
        if column.kind == "numeric":
            number = _number(value)
            # As text where it came as text: a chat message carries its numbers so.
            moved = None if number is None else number + injection.deviations * _spread(column)
            found[column.name] = value if moved is None else f"{moved:.6g}" if isinstance(value, str) else moved
        elif chance.random() < injection.deviations:
            found[column.name] = _another(column, value, chance) if column.kind == "categorical" else _garbled(str(value), chance)
    return found


def _share(kind: Kind, text: str) -> float:
    try:
        share = parse_share(text)
    except ValueError as error:
        raise _refused(kind, text, str(error)) from None
    if share <= 0.0:
        raise _refused(kind, text, "nothing would be injected")
    return share


def _drift(text: str) -> Injection:
    number = _number(text)
    if number is None or not 0.0 < number <= _HIGHEST:
        raise _refused("drift", text, f"a number over 0, and at most {_HIGHEST:g}, is needed")
    part, many = f"{100 * min(1.0, number):g}", "" if number == 1.0 else "s"
    told = (
        f"numbers move by {number:g} standard deviation{many}, {part} % of texts and categories become others",
        f"数值偏移 {number:g} 个标准差，{part}% 的文本和类别被替换",
    )
    return Injection(kind="drift", deviations=number, told=told)


def _refused(kind: Kind, text: str, why: str) -> UserError:
    ways = {"latency": "write `x3` to multiply, or `+2s` to add", "drift": "write standard deviations, as in `1`"}
    return UserError(
        f"`{text[:40]}` is no strength of {kind}: {why}", hint=ways.get(kind, "write a share, as in `20 %`"), status=422
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _spread(column: Column) -> float:
    """The standard deviation of a column of numbers; 1 where they are all the same."""
    numbers = [value for value in column.values if isinstance(value, float)]
    if len(numbers) < 2:
        return 1.0
    mean = math.fsum(numbers) / len(numbers)
    found = math.sqrt(math.fsum((value - mean) ** 2 for value in numbers) / (len(numbers) - 1))
    return found if 0.0 < found < math.inf else 1.0


def _another(column: Column, value: object, chance: Random) -> str:
    others = sorted({str(one) for one in column.values if one is not None and str(one) != str(value)})
    return chance.choice(others) if others else f"not {value}"


def _garbled(text: str, chance: Random) -> str:
    """The same characters in another order: nothing that the pilot's texts have in a row is left."""
    letters = list(text)
    chance.shuffle(letters)
    return "".join(letters)
