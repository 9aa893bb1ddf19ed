"""One replay: copied requests arrive in simulated time, and the real controller looks at them as the keeper has it look."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.quantity import parse_duration
from pilotbase.flows.drill_arrivals import Arrival, arrivals_of
from pilotbase.flows.drill_copy import Traffic
from pilotbase.flows.drill_stage import SetClock, Stage, staged
from pilotbase.flows.live_drift import watch_drift
from pilotbase.flows.release_control import BREAK, MARGIN, Controller
from pilotbase.gateway import routes
from pilotbase.gateway.arms import SHADOW
from pilotbase.release import records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.drills import Injection

__all__ = ["Alarm", "Replay", "replay"]

ROUND = 0.6
"""Seconds between two looks of a keeper (`server.keeper.APPLY`)."""
FEW = 10
Meter = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What fired: `at` in microseconds, `requests` of the candidate and `seconds` of traffic after the injection began."""

    kind: str
    check: str
    told: tuple[str, str]
    at: int
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay of so many `requests`, of which `hit` met the injection; `seconds` of traffic.

    `alarm` is what fired first, `back` the rollback, `look` how many seconds of this machine the look took that rolled back. What
    clients would have met from the injection on: the candidate `answered` so many requests, `failed` of them failed, and that met
    `people`; all None where it answers nobody (a shadow).
    """

    requests: int
    seconds: float
    hit: int
    alarm: Alarm | None = None
    back: Alarm | None = None
    look: float | None = None
    answered: int | None = None
    failed: int | None = None
    people: int | None = None


async def replay(
    live: Context,
    folder: Path,
    traffic: Traffic,
    injection: Injection | None,
    first: int,
    *,
    seed: int,
    meter: Meter = time.perf_counter,
) -> Replay:
    """Play the traffic once, in a home made in `folder`; the injection begins with number `first` of the candidate's requests."""
    coming = arrivals_of(traffic, injection, first, seed)
    began = [one for one in coming if one.watched][first].started
    clock = SetClock(traffic.release.document["rung_since"] / 1e6)
    look = None
    with staged(live, folder, traffic, clock) as copy:
        stage = Stage(live, copy, traffic, coming, injection, seed)
        controller = Controller(copy, "drill", wall=clock.read, clock=clock.read)
        trips = _Trips(copy, traffic, controller)
        for moment in _looks(traffic, coming):
            clock.seconds = moment / 1e6
            trips.take(stage.advance(moment))
            before = meter()
            controller.step(clock.seconds)
            found = records.find(copy.database, traffic.release.id)
            if found is not None and found.over:
                look = meter() - before
                break
            await _look_for_drift(copy, traffic, stage)
        return _told(copy, traffic, stage, began, look)


class _Trips:
    """Failures in a row, as a worker counts them and tells the keeper."""

    def __init__(self, copy: Context, traffic: Traffic, controller: Controller) -> None:
        stored = routes.find_route(copy.database, traffic.route.name)
        arm = stored.route.arm if stored is not None else None
        self._limit = arm.trip if arm is not None else 0
        self._release, self._controller, self._row = traffic.release.id, controller, 0

    def take(self, settled: Sequence[Arrival]) -> None:
        for one in settled:
            if one.watched and one.row["arm"] != SHADOW:
                self._row = self._row + 1 if one.bad else 0
                if self._limit and self._row >= self._limit:
                    self._controller.trip(self._release, "of the copy", self._row)


def _looks(traffic: Traffic, coming: Sequence[Arrival]) -> list[int]:
    """The moments (microseconds) at which a keeper's look can find something new: when the block of a request of the candidate is
    over and it is settled; and while nothing comes, as often as not to call it a break, until its absence would tell.
    """
    since, block = traffic.release.document["rung_since"], int(parse_duration(traffic.plan.evidence.block) * 1e6)
    late, within = (int(parse_duration(text) * 1e6) for text in (traffic.plan.evidence.late, traffic.plan.evidence.within))
    step = int(ROUND * 1e6)
    wanted: set[int] = set()
    watched = [one for one in coming if one.watched]
    for one in watched:
        end = since + ((one.started - since) // block + 1) * block
        wanted.add(max(end, min(one.settles, one.started + late)) + int(MARGIN * 1e6))
    times = [one.started for one in watched]
    for before, after in pairwise(times):
        usual = bisect_right(times, before) - bisect_left(times, before - within)
        if after - before > within and usual >= FEW:
            wanted |= set(range(before, min(after, before + within + 2 * step), int(BREAK * 1e6 / 2)))
            wanted.add(before + within + step)
    # Twice after the last one: what a sample tells is read once a second only.
    end = max(wanted)
    wanted |= {end + 2 * step, end + 4 * step}
    return sorted({since + ceil((moment - since) / step) * step for moment in wanted})


async def _look_for_drift(copy: Context, traffic: Traffic, stage: Stage) -> None:
    every = traffic.plan.drift.every if traffic.plan.drift is not None else 0
    while every and stage.kept >= every:
        stage.kept -= every
        await watch_drift(copy, _inside)


def _inside(work: Callable[[], Any]) -> Awaitable[Any]:
    async def done() -> Any:
        return work()

    return done()


def _told(copy: Context, traffic: Traffic, stage: Stage, began: int, look: float | None) -> Replay:
    watched = [one for one in stage.coming if one.watched]

    def alarm(kind: str, check: str, told: tuple[str, str], at: datetime) -> Alarm:
        moment = round(at.astimezone(UTC).timestamp() * 1e6)
        requests = sum(1 for one in watched if began <= one.started <= moment)
        return Alarm(kind=kind, check=check, told=told, at=moment, requests=requests, seconds=(moment - began) / 1e6)

    raised = list_alerts(copy.database, limit=1000)
    first = min(raised, key=lambda one: (one.at, one.alert.severity), default=None)
    back = next((e for e in records.events(copy.database, traffic.release.id) if e.action == "back"), None)
    met = [one for one in stage.settled if one.watched and one.started >= began and one.row["arm"] != SHADOW]
    shadow = any(one.row["arm"] == SHADOW for one in watched)
    until = stage.settled[-1].settles if stage.settled else began
    return Replay(
        requests=sum(1 for one in stage.settled if one.watched),
        seconds=(until - watched[0].started) / 1e6,
        hit=sum(1 for one in stage.settled if one.watched and one.hit),
        alarm=_alarm(first, back, alarm),
        back=_back(back, alarm),
        look=look,
        answered=None if shadow else len(met),
        failed=None if shadow else sum(1 for one in met if one.bad),
        people=None if shadow else len({one.row["person"] for one in met if one.bad and one.row["person"]}),
    )


def _back(event: Any, alarm: Callable[[str, str, tuple[str, str], datetime], Alarm]) -> Alarm | None:
    if event is None:
        return None
    cause = event.detail["causes"][0]
    told = (str(cause["told"][0]), str(cause["told"][1]))
    return alarm(cause["kind"], cause["check"] or "", told, datetime.fromisoformat(event.at))


def _alarm(first: Any, event: Any, alarm: Callable[[str, str, tuple[str, str], datetime], Alarm]) -> Alarm | None:
    back = _back(event, alarm)
    if first is None or (back is not None and first.at >= event.at):
        return back
    one = first.alert
    return alarm(one.kind, one.check, (one.title, one.title_zh), datetime.fromisoformat(first.at))
