"""Indicators: what is counted, the counts of each period, what they lead to expect, and the funnel of cases."""

from dataclasses import dataclass
from typing import ClassVar

from pilotbase.api.shapes.closed import CLOSED
from pilotbase.domain.indicator import Basis
from pilotbase.domain.journey import Stage
from pilotbase.flows.indicators import Projected
from pilotbase.stats.estimate import Estimate

__all__ = ["CountsWanted", "FunnelOut", "FunnelStep", "IndicatorLine", "IndicatorOut", "IndicatorWanted", "PointOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorWanted:
    """What is counted, of what, of whom, and whence the counts come, in words; it is never changed afterwards."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    title: str
    numerator: str
    denominator: str
    population: str
    source: str
    basis: Basis = "census"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsWanted:
    """The counts of a period that has ended."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorLine:
    """What an indicator declares. `basis`: whether the whole population is counted, or a sample of it."""

    id: str
    title: str
    numerator: str
    denominator: str
    population: str
    source: str
    basis: Basis
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOut:
    """The counts of one period: `2026`, `2026-Q3` or `2026-06`; `recorded` is when they were written down here."""

    period: str
    numerator: int
    denominator: int
    recorded: str
    share: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorOut(IndicatorLine):
    """An indicator with its points in the order of their periods. `projected`: what the programme asks for by the end of a year,
    and what the points lead to expect then, without a value where they are too few.
    """

    points: tuple[PointOut, ...]
    projected: tuple[Projected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """A stage: how many cases came to it or beyond, their share of the stage before, how many are there now, and ended there."""

    stage: Stage
    reached: int
    share: Estimate | None
    here: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelOut:
    """What became of all cases. `first_verdict` is in days; `replicated` of cases that passed; `reused` of their capabilities."""

    steps: tuple[FunnelStep, ...]
    first_verdict: Estimate
    replicated: Estimate
    reused: Estimate
