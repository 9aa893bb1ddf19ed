"""Penetration as it may be shown: a share with its numerator, denominator, population and period declared, or not at all."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal, get_args

from pilotbase.domain.problem import Problem

__all__ = ["BASES", "LINES", "Basis", "Indicator", "Point", "in_years", "span_of"]

Basis = Literal["census", "sample"]
"""Whether the counts are of the whole population, or of a sample of it."""
BASES: tuple[Basis, ...] = get_args(Basis)
LINES: Final[tuple[tuple[int, float], ...]] = ((2027, 0.70), (2030, 0.90))
"""(year, share): new-generation terminals and agents are to be beyond it by the end of that year, says the programme (official).
There is no official formula, which is why each figure declares its own.
"""
_PERIOD = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?")
_MOST: Final = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """What is counted. It is never changed afterwards: another definition is another indicator, and no series mixes two.

    `numerator`, `denominator` and `population` say in words what is counted, of what, and of whom; `source` whence.
    """

    id: str
    title: str
    numerator: str
    denominator: str
    population: str
    source: str
    basis: Basis
    created: datetime

    def problems(self) -> Iterator[Problem]:
        """What has to be declared and is not."""
        hints = {
            "title": "name it, as in `Terminals with an assistant, Hebei`",
            "numerator": "say what is counted, as in `smartphones in use with an on-device assistant`",
            "denominator": "say of what: a share without its denominator is no figure",
            "population": "say of whom or where, as in `households of the province`",
            "source": "say where the counts come from",
        }
        for word, hint in hints.items():
            if not 1 <= len(getattr(self, word).strip()) <= 400:
                yield Problem((word,), "this is 1 to 400 characters", hint)
        if self.basis not in BASES:
            yield Problem(("basis",), f"there is no `{self.basis[:40]}`", f"one of {', '.join(BASES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The counts of one period: `2026`, `2026-Q3` or `2026-06`. `recorded` is when they were written down here."""

    period: str
    numerator: int
    denominator: int
    recorded: datetime

    def problems(self, today: date) -> Iterator[Problem]:
        """What cannot be a share of a period that has ended."""
        if (span := span_of(self.period)) is None:
            yield Problem(("period",), f"`{self.period[:40]}` is no period", "as in 2026, 2026-Q3 or 2026-06")
        elif span[1] > today:
            yield Problem(
                ("period",), f"{self.period} has not ended", "record it when it has: parts of periods are not comparable"
            )
        if not 0 < self.denominator <= _MOST:
            yield Problem(("denominator",), "the denominator is more than 0", "count the whole population, or the whole sample")
        if not 0 <= self.numerator <= max(self.denominator, 0):
            yield Problem(("numerator",), "the numerator is 0 to the denominator", "count them in the same population")

    @property
    def share(self) -> float:
        """The numerator by the denominator."""
        return self.numerator / self.denominator


def span_of(period: str) -> tuple[date, date] | None:
    """The first day of a period, and the first day after it; None where the text is no period from 1900 to 2999."""
    found = _PERIOD.fullmatch(period)
    if found is None or not 1900 <= int(found[1]) < 3000:
        return None
    year = int(found[1])
    first, months = (3 * int(found[2]) - 2, 3) if found[2] else (int(found[3]), 1) if found[3] else (1, 12)
    end = first + months
    return date(year, first, 1), date(year + (end > 12), end - 12 if end > 12 else end, 1)


def in_years(period: str) -> float:
    """The middle of a period in years, as 2026.5. ValueError for a text that is no period."""
    span = span_of(period)
    if span is None:
        raise ValueError(f"`{period}` is no period")
    middle = span[0] + (span[1] - span[0]) / 2
    start = date(middle.year, 1, 1)
    return middle.year + (middle - start) / timedelta(days=366 if middle.year % 4 == 0 else 365)
