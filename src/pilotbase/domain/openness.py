"""How open a scenario is, from what happened: six components, each a share or without evidence, and never both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from pilotbase.domain.entry import DataAccess, Need
from pilotbase.domain.journey import STAGES, Journey
from pilotbase.stats.estimate import Estimate
from pilotbase.stats.proportion import exact
from pilotbase.stats.waiting import median_wait

__all__ = ["ACCESS", "COMPONENTS", "QUICK", "SLOW", "SOLVERS", "Component", "Name", "Openness", "openness"]

Name = Literal["gates", "access", "days", "admitted", "solvers", "disclosed"]
COMPONENTS: tuple[Name, ...] = get_args(Name)
ACCESS: Mapping[DataAccess, float] = {"open": 1.0, "application": 0.6, "enclave": 0.3, "none": 0.0}
QUICK, SLOW = 7.0, 90.0
"""Days from application to access that count fully, and not at all; between them it is linear."""
SOLVERS = 3
"""Independent organisations that count fully."""
_CHECKS = 0.75
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component. `score` is 0 to 1, or None where nothing that was recorded speaks for or against it.

    `n` counts what it rests on, `measured` is the figure behind it with its bounds where it has them, `since` and `until` are the
    first and the last event.
    """

    name: Name
    score: float | None
    n: int = 0
    measured: Estimate | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Openness:
    """The mean of the components with evidence, and what it would be were all the others 0, or 1. None where nothing is known."""

    components: tuple[Component, ...]

    @property
    def known(self) -> int:
        """How many components have evidence."""
        return sum(one.score is not None for one in self.components)

    @property
    def score(self) -> float | None:
        """The mean of those that have evidence."""
        found = [one.score for one in self.components if one.score is not None]
        return sum(found) / len(found) if found else None

    @property
    def span(self) -> tuple[float, float]:
        """What the mean of all could be: with what has no evidence at 0, and at 1."""
        low = sum(one.score or 0.0 for one in self.components) / len(self.components)
        return low, low + (len(self.components) - self.known) / len(self.components)


def openness(need: Need, journeys: Sequence[Journey], now: datetime) -> Openness:
    """The openness of a need from its publication and from the cases that were submitted for it."""
    outside = [one for one in journeys if one.vendor != need.organisation]
    makers: Mapping[Name, Callable[[], Component]] = {
        "gates": lambda: _gates(need),
        "access": lambda: _access(need),
        "days": lambda: _days(outside, now),
        "admitted": lambda: _admitted(outside),
        "solvers": lambda: _solvers(outside),
        "disclosed": lambda: _disclosed(outside),
    }
    return Openness(components=tuple(makers[name]() for name in COMPONENTS))


def _gates(need: Need) -> Component:
    """What must be passed is public: as a pack, which anybody can run, or as single checks."""
    if need.published is None:
        return Component(name="gates", score=None)
    score = 1.0 if need.pack else _CHECKS if need.acceptance else None
    return Component(name="gates", score=score, n=len(need.acceptance) + bool(need.pack), since=need.published)


def _access(need: Need) -> Component:
    known = need.published is not None and need.access in ACCESS
    score = ACCESS[need.access] if known else None
    return Component(name="access", score=score, n=int(known), since=need.published if known else None)


def _days(journeys: Sequence[Journey], now: datetime) -> Component:
    """The median from application to access; who waits still counts with the time so far."""
    waits = [wait for one in journeys if (wait := one.wait("submitted", "provisioned", now)) is not None]
    found = median_wait([days for days, ended in waits if ended], [days for days, ended in waits if not ended], _CONFIDENCE)
    times = [one.reached["provisioned"] for one in journeys if "provisioned" in one.reached]
    if found.value is None:
        return Component(name="days", score=None, n=len(waits), measured=found if waits else None)
    score = min(1.0, max(0.0, (SLOW - found.value) / (SLOW - QUICK)))
    return Component(name="days", score=score, n=len(waits), measured=found, since=min(times), until=max(times))


def _admitted(journeys: Sequence[Journey]) -> Component:
    """Of the applications that were decided: admitted, or ended before."""
    place = STAGES.index("admitted")
    taken = [one for one in journeys if one.furthest() >= place]
    return _share("admitted", len(taken), [one for one in journeys if one in taken or one.ended is not None])


def _solvers(journeys: Sequence[Journey]) -> Component:
    place = STAGES.index("admitted")
    makers = {one.vendor for one in journeys if one.furthest() >= place}
    if not journeys:
        return Component(name="solvers", score=None)
    return Component(name="solvers", score=min(1.0, len(makers) / SOLVERS), n=len(makers), since=_first(journeys))


def _disclosed(journeys: Sequence[Journey]) -> Component:
    """Of the cases with a verdict: those whose verdict every member may read."""
    judged = [one for one in journeys if "verdict" in one.reached]
    return _share("disclosed", sum("published" in one.reached for one in judged), judged)


def _share(name: Name, count: int, of: Sequence[Journey]) -> Component:
    if not of:
        return Component(name=name, score=None)
    return Component(
        name=name, score=count / len(of), n=len(of), measured=exact(count, len(of), _CONFIDENCE), since=_first(of)
    )  # fmt: skip


def _first(journeys: Sequence[Journey]) -> datetime | None:
    return min((moment for one in journeys for moment in one.reached.values()), default=None)
