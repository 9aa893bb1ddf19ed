"""Indicators of the base: penetration beside the programme's lines and its projection, and what became of the cases."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilotbase.catalog import indicators
from pilotbase.catalog.journeys import read_journeys
from pilotbase.context import Context
from pilotbase.domain.account import Member, may
from pilotbase.domain.funnel import Funnel, funnel
from pilotbase.domain.indicator import LINES, Indicator, Point, in_years
from pilotbase.errors import UserError
from pilotbase.stats.estimate import Estimate, census
from pilotbase.stats.proportion import exact
from pilotbase.stats.substitution import project

__all__ = ["Projected", "Series", "cases", "declare", "list_series", "record", "series"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """What the programme asks for by the end of `year`, and what the series leads to expect then (undefined with few points)."""

    year: int
    line: float
    expected: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An indicator with its points, each with its share and bounds (a census has none), and the projections.

    `ahead` are (time in years, estimate) for drawing, from the last point to the last line.
    """

    indicator: Indicator
    points: tuple[tuple[Point, Estimate], ...]
    projected: tuple[Projected, ...]
    ahead: tuple[tuple[float, Estimate], ...]


def declare(context: Context, member: Member, indicator: Indicator, *, who: str = "") -> Indicator:
    """Declare an indicator. InvalidInput where its denominator, or anything else that has to be said, is missing.

    `who` is what the audit log says, the member where it is empty.
    """
    _refuse(member)
    return indicators.create(context.database, indicator, who=who or _who(member), now=context.clock.now())


def record(context: Context, member: Member, indicator: str, point: Point, *, who: str = "") -> Point:
    """Record or correct the counts of a period that has ended. `who` as in `declare`."""
    _refuse(member)
    return indicators.put(context.database, indicator, point, who=who or _who(member), now=context.clock.now())


def series(context: Context, indicator: str) -> Series:
    """One indicator with all that is drawn of it. UserError (404) where there is none."""
    return _series(context, indicators.require(context.database, indicator))


def list_series(context: Context, *, before: str = "", limit: int = 20) -> tuple[Sequence[Series], bool]:
    """(a page of indicators, the newest first, whether there are more)."""
    found = indicators.list_indicators(context.database, before=before or None, limit=limit + 1)
    return [_series(context, one) for one in found[:limit]], len(found) > limit


def cases(context: Context) -> Funnel:
    """The funnel and the other figures of all cases."""
    return funnel(list(read_journeys(context.database)), context.clock.now())


def _series(context: Context, indicator: Indicator) -> Series:
    found = indicators.points(context.database, indicator.id)
    sampled = indicator.basis == "sample"
    counts = [(in_years(one.period), float(one.numerator), float(one.denominator)) for one in found]

    def expected(at: float) -> Estimate:
        return project(counts, at, CONFIDENCE, sampled=sampled)

    ends = [float(year + 1) for year, _ in LINES]  # the end of a year is the beginning of the next
    start = counts[-1][0] if counts else ends[0]
    times = [start + (ends[-1] - start) * step / 12 for step in range(13)] if start < ends[-1] else []
    return Series(
        indicator=indicator,
        points=tuple((one, _share(one, sampled)) for one in found),
        projected=tuple(
            Projected(year=year, line=line, expected=expected(end)) for (year, line), end in zip(LINES, ends, strict=True)
        ),
        ahead=tuple((at, estimate) for at in times if (estimate := expected(at)).value is not None),
    )


def _share(point: Point, sampled: bool) -> Estimate:
    if sampled:
        return exact(point.numerator, point.denominator, CONFIDENCE)
    return census(point.share, point.denominator, CONFIDENCE)


def _refuse(member: Member) -> None:
    if not may(member, "indicators.write"):
        raise UserError("you may not do this", hint="ask an operator of this base", status=403)


def _who(member: Member) -> str:
    return f"member:{member.login}"
