"""How far cases come: the funnel, the time to a first verdict, what was replicated, what was used again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pilotbase.domain.journey import STAGES, Journey, Stage
from pilotbase.stats.estimate import Estimate
from pilotbase.stats.proportion import exact
from pilotbase.stats.waiting import median_wait

__all__ = ["Funnel", "Step", "funnel"]

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage: how many came to it or beyond, which share that is of those of the stage before, how many are there now, and how
    many ended there.
    """

    stage: Stage
    reached: int
    share: Estimate | None
    here: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """`first_verdict`: days from application to the first verdict, with those that wait still; `replicated` of those that passed;
    `reused`: of the capabilities with a pass those that passed for needs of two organisations or more.
    """

    steps: tuple[Step, ...]
    first_verdict: Estimate
    replicated: Estimate
    reused: Estimate


def funnel(journeys: Sequence[Journey], now: datetime) -> Funnel:
    """All figures of the cases that were submitted. Bounds are one-sided at 95 %; a share of nothing has no value."""
    places = [one.furthest() for one in journeys]
    steps: list[Step] = []
    for number, stage in enumerate(STAGES):
        reached = sum(place >= number for place in places)
        there = [one for one, place in zip(journeys, places, strict=True) if place == number]
        ended = sum(one.ended is not None for one in there)
        share = exact(reached, steps[-1].reached, _CONFIDENCE) if steps and steps[-1].reached else None
        steps.append(Step(stage=stage, reached=reached, share=share, here=len(there) - ended, ended=ended))
    waits = [wait for one in journeys if (wait := one.wait("submitted", "verdict", now)) is not None]
    passed = [one for one in journeys if "passed" in one.reached]
    owners: dict[str, set[str]] = {}
    for one in passed:
        owners.setdefault(one.capability, set()).add(one.owner)
    return Funnel(
        steps=tuple(steps),
        first_verdict=median_wait(
            [days for days, done in waits if done], [days for days, done in waits if not done], _CONFIDENCE
        ),
        replicated=exact(sum(one.replicated for one in passed), len(passed), _CONFIDENCE),
        reused=exact(sum(len(found) > 1 for found in owners.values()), len(owners), _CONFIDENCE),
    )
