"""The controller of releases: one loop that reads the state, decides, and writes. Its restart is its recovery.

Everything it decides on is in the database; what it keeps in memory is a reading of that, begun anew when it is gone. While it
leads and sees, workers are told so (`step` returns True); where nobody tells them they answer everyone from the stable arm.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pilotbase.checks.live import LiveCheck
from pilotbase.checks.live_feed import LiveFeed
from pilotbase.context import Context
from pilotbase.domain.quantity import parse_duration, parse_share
from pilotbase.domain.release import Plan
from pilotbase.domain.verdict import CheckResult
from pilotbase.errors import UserError
from pilotbase.flows.live_alarms import against, missing_of
from pilotbase.flows.live_drift import drift_causes
from pilotbase.flows.live_evidence import advance, arm_of, feedback_count, first_bad, results_of
from pilotbase.flows.live_scoring import score_samples
from pilotbase.flows.release_moves import CONTROLLER, begin_anew, checks_of, make_move, plan_of
from pilotbase.flows.release_sight import sight_document
from pilotbase.gateway.ledger_window import exposed
from pilotbase.release import records
from pilotbase.release.budget import burn_document
from pilotbase.release.leader import Leader
from pilotbase.release.records import Release
from pilotbase.release.steps import Cause, Exposed, Facts, Step, decide_step
from pilotbase.stats.burn import Burn

__all__ = ["Controller", "Watched"]

TRIPPED = "tripped"
MOST = 10_000
MARGIN = 1.5
"""Seconds that a request may take from its arrival to its row in the database, over another gateway too, and be counted."""
LONGEST = 2.0
"""At most so much of a gap between two looks counts as time under watch."""
BREAK = 10.0
"""After so many seconds without a look workers have left the candidates (`server.keeper.WATCH`), and watching begins anew."""
SET = 5.0
"""By so many seconds the wall clock must move against the monotonic one between two looks to count as set."""
SIGHT = 1.0
SLOW = 1.0


@dataclass(slots=True)
class Watched:
    """One release on one rung, as it is being watched. `seconds` are those under watch on this rung, `total` in all; `awake` is
    when watching without a break began.
    """

    release: Release
    plan: Plan
    checks: tuple[LiveCheck, ...]
    feed: LiveFeed
    since: int
    seconds: float = 0.0
    total: float = 0.0
    last: float = 0.0
    awake: float = 0.0
    told: float = 0.0
    slow: float = 0.0
    results: list[tuple[CheckResult, bool]] = field(default_factory=list)
    exposed: Exposed = field(default_factory=Exposed)
    feedback: int = 0
    missing: list[Cause] = field(default_factory=list)
    drift: list[Cause] = field(default_factory=list)
    burns: tuple[Burn, ...] = ()

    @property
    def arm(self) -> str:
        """Whose requests are the evidence."""
        return arm_of(self.release, self.plan)


class Controller:
    """Watches every release of a base. `wall` is seconds since the epoch, by the clock that workers date requests with, which
    may be set; `clock` is monotonic seconds.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._context = context
        self._wall = wall
        self._clock = clock
        self._say = say
        self.leader = Leader(name, clock)
        self.watched: dict[str, Watched] = {}
        self._tripped: dict[str, tuple[str, int]] = {}
        self._offset: float | None = None

    def trip(self, release: str, worker: str, count: int) -> None:
        """A worker tells that so many requests in a row, meant for a release's candidate, were not served by it."""
        self._tripped[release] = (worker, count)

    def step(self, applied: float) -> bool:
        """One look at every release. `applied` is the moment (wall seconds) up to which the ledger is in the database.

        Whether releases are being watched, by this one or by another that leads and does its work. False also where one cannot be
        taken back: then nobody is to be sent to it. UserError where the database cannot be used.
        """
        database = self._context.database
        was_set = self._was_set()
        open_ = records.list_releases(database, open_only=True, limit=MOST)
        if not open_:
            # Nothing to lead: a base without releases writes nothing for them.
            self.watched.clear()
            return True
        if not self.leader.campaign(database):
            self.watched.clear()
            self._pass_on()
            return self.leader.alive
        names = {one.id for one in open_}
        for name in [name for name in self.watched if name not in names]:
            del self.watched[name]
        looks = [self._look(release, applied, was_set) for release in open_]  # every one, whatever became of those before
        sound = all(looks)
        self._tripped.clear()
        if sound:
            self.leader.beat(database)
        return sound

    def _was_set(self) -> bool:
        """Whether the wall clock was set since the last look, or the machine slept."""
        before, self._offset = self._offset, self._wall() - self._clock()
        return before is not None and abs(self._offset - before) > SET

    def _look(self, release: Release, applied: float, was_set: bool) -> bool:
        """Whether it is in good hands: what had to be done could be done."""
        if (was_set or int(release.document["rung_since"]) / 1e6 > self._wall() + SET) and release.state != "held":
            # Moments before and after cannot be told in one order any more: evidence begins anew, and nothing is held against
            # the candidate that the clock did.
            found = begin_anew(self._context, release, now=self._context.clock.now(), leader=self.leader)
            if found is None:
                return True  # somebody else came first: the next look sees what is
            self._say(f"release {release.id}: the machine's clock was set; evidence on this rung begins anew")
            release = found
        one = self._watch(release)
        now = self._clock()
        passed = min(max(0.0, now - one.last), LONGEST) if one.last else 0.0
        one.awake = now if not one.last or now - one.last > BREAK else one.awake
        one.last = now
        if release.state == "held":
            self._tell(one, Step(), applied)
            return True
        one.seconds += passed
        one.total += passed
        caught_up = self._read(one, applied)
        step = decide_step(self._facts(one, caught_up))
        if step.move is None:
            self._tell(one, step, applied)
            return True
        return self._move(one, step, applied)

    def _watch(self, release: Release) -> Watched:
        """What is known of a release; begun anew where it stands on another rung than before."""
        one = self.watched.get(release.id)
        if one is not None and one.release.version == release.version:
            return one
        plan = plan_of(release)
        since = int(release.document["rung_since"])
        if one is not None and one.since == since:
            one.release, one.plan = release, plan
            return one
        checks = checks_of(release, plan)
        feed = LiveFeed(
            checks,
            since,
            int(parse_duration(plan.evidence.block) * 1e6),
            run_length=plan.monitor.run_length,
            shift=parse_share(plan.monitor.shift) if plan.monitor.shift is not None else None,
        )
        new = Watched(release, plan, checks, feed, since)
        seen = records.read_sight(self._context.database, release.id)
        if seen is not None:
            new.total = float(seen[1].get("total", 0.0))
            new.seconds = float(seen[1].get("seconds", 0.0)) if seen[1].get("since") == since else 0.0
        self.watched[release.id] = new
        return new

    def _read(self, one: Watched, applied: float) -> bool:
        """Bring what is known up to date. Whether all evidence that there is has been read."""
        context, release = self._context, one.release
        moment = int(self._wall() * 1e6)
        late = parse_duration(one.plan.evidence.late)
        until = min(int(applied * 1e6), moment) - int(MARGIN * 1e6)
        whole = advance(context, release, one.feed, one.arm, until=until, now=moment, late=late)
        now = self._clock()
        if now - one.slow >= SLOW:
            began = self._clock()
            score_samples(context, release, one.checks, moment)
            one.results = results_of(context, release, one.checks, one.feed, one.arm, since=one.since)
            one.exposed = self._exposed(one)
            one.feedback = feedback_count(context, release, one.since)
            one.missing = missing_of(
                context, release, one.plan, one.checks, one.feed, one.arm, now=moment, applied=applied, awake=now - one.awake
            )
            one.drift = drift_causes(context, release, one.plan)
            # A release with very much evidence is looked at less often, so that it never keeps others waiting.
            one.slow = now + 20 * (self._clock() - began)
        return whole

    def _exposed(self, one: Watched) -> Exposed:
        people, requests, nanos, currency = exposed(self._context.database, one.release.id)
        return Exposed(people=people, requests=requests, nanos=nanos, currency=currency, seconds=one.total)

    def _facts(self, one: Watched, caught_up: bool) -> Facts:
        causes, one.burns = against(one.plan, one.checks, one.feed, self._wall())
        return Facts(
            state=one.release.state,
            rung=one.plan.rungs[one.release.rung],
            checks=one.results,
            requests=one.feed.requests,
            seconds=one.seconds,
            feedback=one.feedback,
            exposed=one.exposed,
            limits=one.plan.exposure,
            alarms=[*self._down(one), *causes, *one.drift],
            missing=one.missing,
            caught_up=caught_up,
        )

    def _pass_on(self) -> None:
        """What workers of a base that does not lead tell of candidates goes on record, where the leader sees it."""
        for name, (worker, count) in self._tripped.items():
            detail = {"worker": worker, "count": count}
            now = self._context.clock.now()
            records.note(self._context.database, name, who=CONTROLLER, action=TRIPPED, detail=detail, now=now)
        self._tripped.clear()

    def _down(self, one: Watched) -> list[Cause]:
        found = self._tripped.get(one.release.id)
        if found is None:
            since = int(one.since / 1e6)
            noted = [
                event
                for event in records.events(self._context.database, one.release.id, action=TRIPPED)
                if datetime.fromisoformat(event.at).timestamp() >= since
            ]
            if not noted:
                return []
            found = (str(noted[-1].detail["worker"]), int(noted[-1].detail["count"]))
        worker, count = found
        told = (
            f"{count} requests in a row, meant for the candidate, failed or found it out of order in worker {worker}",
            f"在工作进程 {worker} 中，发往被测应用的请求连续 {count} 个失败或发现其不可用",
        )
        return [Cause(kind="breaker", told=told, figures={"n": count, "method": "failures in a row"})]

    def _move(self, one: Watched, step: Step, applied: float) -> bool:
        """Make a move. False where the candidate must answer nobody any more, and that could not be written."""
        release = one.release
        causes = [self._with_first(one, cause) for cause in step.causes]
        now = self._context.clock.now()
        assert step.move is not None
        try:
            moved = make_move(self._context, release, step.move, who=CONTROLLER, now=now, causes=causes, leader=self.leader)
        except UserError as error:
            self._say(f"release {release.id}: {error}")
            return step.move == "climb"
        if moved is None:
            return True  # somebody else came first: the next look sees what is
        why = "; ".join(cause.told[0] for cause in causes)
        where = str(one.plan.rungs[moved.release.rung]) if moved.release.state == "climbing" else moved.release.state
        self._say(f"release {release.id} of {release.route}: {step.move} to {where}{f': {why}' if why else ''}")
        self._tell(one, step, applied, release=moved.release)
        return True

    def _with_first(self, one: Watched, cause: Cause) -> Cause:
        """A cause that names the first request that speaks against the candidate on this rung."""
        if cause.kind not in ("failing-check", "worse", "burn"):
            return cause
        check = next((check for check in one.checks if check.id == cause.check), None)
        bad = one.feed.first_bad if check is None else first_bad(self._context, one.release, check, one.feed, one.arm)
        return replace(cause, figures={**cause.figures, "first_bad": bad}) if bad else cause

    def _tell(self, one: Watched, step: Step, applied: float, release: Release | None = None) -> None:
        """Keep what is seen for those who look on, about once a second."""
        now = self._clock()
        if release is None and now - one.told < SIGHT:
            return
        one.told = now
        budget = one.plan.budget
        document: dict[str, Any] = sight_document(
            release or one.release,
            one.plan,
            one.results,
            one.feed,
            one.exposed,
            step,
            seconds=one.seconds,
            total=one.total,
            feedback=one.feedback,
            since=one.since,
            lag=max(0.0, self._wall() - applied),
            burn=None if budget is None else burn_document(budget, one.burns, one.feed.failed, one.feed.requests),
        )
        records.write_sight(self._context.database, one.release.id, document, self._context.clock.now())
