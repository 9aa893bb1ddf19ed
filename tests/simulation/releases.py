"""Releases on simulated traffic: the engine's own evidence, verdicts and steps, and two usual policies on the same streams.

Time is a number here. Left out are the database, the gateway and the workers' own breaker. A look comes every `EVERY` seconds
at first, and later after each `GROWTH` of the time on a rung (or since a change for the worse), which keeps long rungs cheap;
the real controller looks every second, so that it is never later.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tests.fakes.boards import pilot

from pilotbase.checks.live import LiveCheck, conclude_live, plan_live
from pilotbase.checks.live_feed import LiveFeed
from pilotbase.domain.gate import Check
from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.release import MOVES, Budget, Evidence, Exposure, Plan, Rung, State
from pilotbase.flows.live_alarms import against
from pilotbase.ports import Results
from pilotbase.release.steps import Exposed, Facts, Step, decide_step

__all__ = [
    "ALPHA",
    "LADDER",
    "TRIP",
    "Ended",
    "World",
    "checks_of",
    "plan_with",
    "release",
    "shares_policy",
    "z_policy",
]

EVERY, GROWTH = 5.0, 0.1
MARGIN = 1.0
SLOW = 3.0
MEDIAN, SPREAD = 0.8, 0.568  # seconds; 1 % of answers take more than SLOW
ALPHA = 0.05
TRIP = 5

LADDER = (
    Rung(rung="shadow", requests=200, time="30m"),
    Rung(rung="canary", share="1 %", requests=100, time="1h"),
    Rung(rung="canary", share="5 %", requests=200, time="1h"),
    Rung(rung="canary", share="25 %", requests=500, time="2h"),
    Rung(rung="full", requests=1000, time="1h"),
)
CHECKS = (
    Check(metric="failure-rate", require="<= 2 %"),
    Check(metric="latency.p95", require=f"<= {SLOW:g} s"),
    Check(metric="failure-rate", compare_to="stable", require="<= 1 %"),
)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A route of `rate` requests a second, and two applications with their shares of failures.

    `spell`: failures come only within spells of so many seconds on average, in which every second request fails; else they are
    independent. `bursts`: a tenth of the time has ten times the traffic, and failures with `in_bursts`. `turns`: on this rung,
    so many seconds after it began, the candidate's failures become `after`.
    """

    rate: float
    failures: float
    stable: float = 0.01
    spell: float = 0.0
    in_bursts: float | None = None
    turns: tuple[int, float] | None = None
    after: float = 0.0
    users: int = 2000

    @property
    def span(self) -> float:
        """Seconds of one chunk: about 5,000 requests."""
        return 5000.0 / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a release ended: back, held or full. `seconds` to that, `waited` from the change for the worse, `served` requests of
    the candidate to clients and `failed` of them (after the change, where there was one); `kinds` of causes; the last rung.
    """

    how: str
    rung: int
    seconds: float
    waited: float
    served: int
    failed: int
    kinds: tuple[str, ...] = ()
    promoted: float | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of requests: when they came, whom they are of (a sticky number in [0, 1)), and what each arm makes of them."""

    number: int
    started: Floats
    caller: Floats
    luck: Floats
    inside: Bools | None
    took: Floats
    stable_bad: Bools
    stable_took: Floats

    def bad(self, world: World, change: float) -> Bools:
        """Whether the candidate fails, where it turns at the moment `change`."""
        if self.inside is not None and world.in_bursts is not None:
            return self.luck < np.where(self.inside, world.in_bursts, world.failures)
        if self.inside is not None:
            return self.inside & (self.luck < 0.5)
        return self.luck < np.where(self.started >= change, world.after, world.failures)


@lru_cache(maxsize=64)
def chunk(world: World, seed: int, number: int) -> Chunk:
    """The same for the same numbers, whoever asks and in whatever order."""
    draw = np.random.default_rng((seed, number))
    peak = world.rate if world.in_bursts is None else world.rate * 10 / 1.9
    count = int(draw.poisson(peak * world.span))
    started = np.sort(draw.random(count)) * world.span
    inside = None
    if world.in_bursts is not None:
        inside = _within(draw, started, 0.1, 120.0, world.span)
        kept = inside | (draw.random(count) < 0.1)
        started, inside = started[kept], inside[kept]
    elif world.spell:
        inside = _within(draw, started, 2.0 * world.failures, world.spell, world.span)
    count = len(started)
    callers = np.random.default_rng((seed, 2**31)).random(world.users)
    took = MEDIAN * np.exp(SPREAD * draw.standard_normal((2, count)))
    return Chunk(
        number,
        started + number * world.span,
        callers[draw.integers(world.users, size=count)],
        draw.random(count),
        inside,
        took[0],
        draw.random(count) < world.stable,
        took[1],
    )


def _within(draw: np.random.Generator, moments: Floats, share: float, mean: float, span: float) -> Bools:
    """Which moments fall into spells that take `share` of the time and last `mean` seconds, both exponential."""
    inside = bool(draw.random() < share)
    ends: list[float] = []
    states: list[bool] = []
    at = 0.0
    while at < span:
        at += draw.exponential(mean if inside else mean * (1.0 - share) / share)
        ends.append(at)
        states.append(inside)
        inside = not inside
    return np.array(states)[np.searchsorted(np.array(ends), moments)]


def between(world: World, seed: int, since: float, until: float, change: float) -> Iterator[tuple[Chunk, slice, Bools]]:
    """Every request that comes in since <= moment < until, with whether the candidate fails."""
    for number in range(int(since // world.span), math.ceil(until / world.span)):
        one = chunk(world, seed, number)
        first, last = np.searchsorted(one.started, (since, until))
        if last > first:
            yield one, slice(int(first), int(last)), one.bad(world, change)


def checks_of(rungs: int) -> tuple[LiveCheck, ...]:
    """Failures, a latency's tail and the difference from the stable arm, as a release plans them."""
    return plan_live(pilot(), CHECKS, rungs)


def plan_with(rungs: Sequence[Rung] = LADDER, *, most: str = "7d", block: str = "5s") -> Plan:
    """A plan of these rungs that is held after `most`."""
    return Plan(
        bearer="Li Lei",
        rungs=tuple(rungs),
        exposure=Exposure(time=most),
        drift=None,
        budget=Budget(),
        evidence=Evidence(block=block, within="1d"),
    )


@dataclass(slots=True)
class Course:
    """A release under way; `change` is when the candidate turns for the worse."""

    world: World
    seed: int
    plan: Plan
    checks: tuple[LiveCheck, ...]
    trip: int | None
    rung: int = -1
    state: State = "climbing"
    now: float = 0.0
    since: float = 0.0
    change: float = math.inf
    served: int = 0
    failed: int = 0
    in_a_row: int = 0
    promoted: float | None = None
    feed: LiveFeed = field(init=False)

    def enter(self, rung: int) -> None:
        self.rung, self.since = rung, self.now
        plan = self.plan
        block = int(parse_duration(plan.evidence.block) * 1e6)
        self.feed = LiveFeed(self.checks, int(self.now * 1e6), block, run_length=plan.monitor.run_length)
        if self.world.turns is not None and self.world.turns[0] == rung:
            self.change = self.now + self.world.turns[1]
        if plan.rungs[rung].rung == "full":
            self.state, self.promoted = "full", self.now

    @property
    def share(self) -> float:
        """The part of callers whom the candidate answers."""
        one = self.plan.rungs[self.rung]
        return {"shadow": 0.0, "canary": one.part}.get(one.rung, 1.0)

    def pass_time(self, until: float) -> float | None:
        """Serve what comes up to a moment. The moment at which so many in a row failed, where that is watched."""
        for one, part, bad in between(self.world, self.seed, self.now, until, self.change):
            ours = one.caller[part] < self.share
            mine, moments = bad[part][ours], one.started[part][ours]
            tripped = self._row(mine)
            if tripped is not None:
                mine, moments = mine[: tripped + 1], moments[: tripped + 1]
            counted = moments >= self.change if self.world.turns is not None else np.ones(len(mine), dtype=bool)
            self.served += int(counted.sum())
            self.failed += int(mine[counted].sum())
            if tripped is not None:
                self.now = float(moments[-1])
                return self.now
        self.now = until
        return None

    def _row(self, bad: Bools) -> int | None:
        if self.trip is None or not len(bad):
            return None
        places = np.arange(1, len(bad) + 1)
        row = places - np.maximum.accumulate(np.where(bad, -self.in_a_row, places))
        if (row >= self.trip).any():
            return int((row >= self.trip).argmax())
        self.in_a_row = int(row[-1])
        return None

    def look(self) -> Step:
        """Read the evidence, conclude and decide: as the controller does, in the same order of causes."""
        feed, rung = self.feed, self.plan.rungs[self.rung]
        until = int((self.now - MARGIN) * 1e6)
        if until > feed.frontier:
            feed.take(*self._results(feed.frontier / 1e6, until / 1e6, shadow=rung.rung == "shadow"), until, whole=True)
        causes, _ = against(self.plan, self.checks, feed, self.now)
        found = [
            (
                conclude_live(one, feed.units(one.id), feed.requests, failed=feed.failed, plain=feed.plain(one.id)),
                one.mandatory,
            )
            for one in self.checks
        ]
        return decide_step(
            Facts(
                state=self.state,
                rung=rung,
                checks=found,
                requests=feed.requests,
                seconds=self.now - self.since,
                feedback=0,
                exposed=Exposed(requests=self.served, seconds=self.now),
                limits=self.plan.exposure,
                alarms=causes,
            )
        )

    def _results(self, since: float, until: float, *, shadow: bool) -> tuple[Results, Results]:
        """The candidate's (or the copies') and the stable arm's requests."""
        arm: list[tuple[Floats, Bools, Floats]] = []
        stable: list[tuple[Floats, Bools, Floats]] = []
        for one, part, bad in between(self.world, self.seed, since, until, self.change):
            ours = np.full(part.stop - part.start, True) if shadow else one.caller[part] < self.share
            theirs = np.full(len(ours), True) if shadow else ~ours
            arm.append((one.started[part][ours], bad[part][ours], one.took[part][ours]))
            stable.append((one.started[part][theirs], one.stable_bad[part][theirs], one.stable_took[part][theirs]))
        return self._columns(arm, copies=shadow), self._columns(stable, named=shadow)

    def _columns(self, parts: list[tuple[Floats, Bools, Floats]], *, copies: bool = False, named: bool = False) -> Results:
        empty = np.empty(0)
        started, bad, took = (
            (np.concatenate([part[i] for part in parts]) for i in range(3)) if parts else (empty, empty.astype(bool), empty)
        )
        pending = started + np.where(bad, 0.2, took) > self.now
        known = np.where(pending, np.nan, bad)
        n = len(started)
        names = [repr(moment) for moment in started.tolist()] if copies or named else [""] * n
        nothing = np.full(n, np.nan)
        return Results(
            ids=[f"copy {name}" for name in names] if copies else names,
            copy_of=names if copies else [""] * n,
            started=(started * 1e6).astype(np.int64),
            bad=known,
            pending=pending,
            seconds=np.where(pending, np.nan, np.where(bad, np.inf, took)),
            ttft=nothing,
            cost=nothing,
            tokens_in=nothing,
            tokens_out=nothing,
        )

    def ended(self, how: str, kinds: tuple[str, ...] = ()) -> Ended:
        return Ended(
            how=how,
            rung=self.rung,
            seconds=self.now,
            waited=self.now - (self.change if math.isfinite(self.change) else 0.0),
            served=self.served,
            failed=self.failed,
            kinds=kinds,
            promoted=self.promoted,
        )


def release(world: World, seed: int, plan: Plan | None = None, *, trip: int | None = None) -> Ended:
    """One release to its end: back, held by the limit of time, or full and watched for the time of its last rung."""
    plan = plan or plan_with()
    course = Course(world, seed, plan, checks_of(len(plan.rungs)), trip)
    course.enter(0)
    while True:
        anchor = course.change if course.since <= course.change <= course.now else course.since
        due = course.now + max(EVERY, 1.0 / (world.rate * (course.share or 1.0)), GROWTH * (course.now - anchor))
        if course.now < course.change < due:
            due = course.change + EVERY
        if course.pass_time(due) is not None:
            return course.ended("back", ("breaker",))
        step = course.look()
        if step.move == "climb":
            assert MOVES[(course.state, "climb")]
            course.enter(course.rung + 1)
        elif step.move is not None:
            return course.ended("held" if step.move == "hold" else "back", tuple(sorted({c.kind for c in step.causes})))
        elif course.state == "full" and course.now - course.since >= plan.rungs[-1].seconds:
            return course.ended("full")


@dataclass(frozen=True, slots=True)
class Minutes:
    """Counts of each minute of a climb at fixed times: results and failures of both arms, and what counts as after the change."""

    rungs: NDArray[np.int64]
    candidate: Floats
    candidate_bad: Floats
    stable: Floats
    stable_bad: Floats
    change: float

    def ended(self, at: int | None, full: int) -> Ended:
        last = len(self.rungs) if at is None else at + 1
        since = 0 if not math.isfinite(self.change) else int(self.change // 60)
        return Ended(
            how="full" if at is None else "back",
            rung=int(self.rungs[last - 1]),
            seconds=last * 60.0,
            waited=last * 60.0 - (self.change if math.isfinite(self.change) else 0.0),
            served=int(self.candidate[since:last].sum()),
            failed=int(self.candidate_bad[since:last].sum()),
            promoted=full * 60.0 if last > full else None,
        )


@lru_cache(maxsize=8)
def minutes(world: World, seed: int, rungs: tuple[Rung, ...]) -> Minutes:
    """The same stream under a climb by the clock: each canary and full for its time, without a shadow."""
    lengths = [int(one.seconds // 60) for one in rungs]
    places = [i for i, one in enumerate(rungs) if one.rung != "shadow"]
    of = np.repeat(np.array(places), [lengths[i] for i in places])
    change = math.inf
    if world.turns is not None:
        change = float(np.flatnonzero(of == world.turns[0])[0]) * 60.0 + world.turns[1]
    shares = np.array([one.part if one.rung == "canary" else 1.0 for one in rungs])[of]
    counts = np.zeros((4, len(of)))
    for one, part, bad in between(world, seed, 0.0, len(of) * 60.0, change):
        minute = (one.started[part] // 60).astype(np.int64)
        ours = one.caller[part] < shares[minute]
        for row, kept in enumerate((ours, ours & bad[part], ~ours, ~ours & one.stable_bad[part])):
            counts[row] += np.bincount(minute[kept], minlength=len(of))
    return Minutes(of, *counts, change)


def shares_policy(world: World, seed: int, limit: int, *, most: float = 0.02, rungs: tuple[Rung, ...] = LADDER) -> Ended:
    """Each minute the share of failures of the last five is compared with `most`; more than `limit` such minutes send it back.

    A window without a request says nothing.
    """
    found = minutes(world, seed, rungs)
    window = np.ones(5)
    n, bad = (np.convolve(column, window)[: len(found.rungs)] for column in (found.candidate, found.candidate_bad))
    over = np.cumsum(bad > most * n + 1e-9)
    hits = np.flatnonzero(over > limit)
    return found.ended(int(hits[0]) if hits.size else None, int(np.flatnonzero(found.rungs == found.rungs[-1])[0]))


def z_policy(world: World, seed: int, *, rungs: tuple[Rung, ...] = LADDER) -> Ended:
    """Each minute a two-sample z-test at 5 % (two-sided) on all requests of both arms so far; significantly worse sends it back.

    On full there is nothing left to compare with. At least 30 requests of the candidate and a failure in either arm are needed.
    """
    found = minutes(world, seed, rungs)
    n1, x1, n2, x2 = (np.cumsum(column) for column in (found.candidate, found.candidate_bad, found.stable, found.stable_bad))
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x1 + x2) / (n1 + n2)
        z = (x1 / n1 - x2 / n2) / np.sqrt(pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2))
    full = int(np.flatnonzero(found.rungs == found.rungs[-1])[0])
    known = (n1 >= 30) & (n2 >= 30) & (np.arange(len(n1)) < full)
    hits = np.flatnonzero(known & (np.nan_to_num(z) > 1.959964))
    return found.ended(int(hits[0]) if hits.size else None, full)
