"""`pilotbase drill`: would anybody notice? Degradation is injected into a copy of live traffic, and the alarm is timed."""

import asyncio
import shutil
import time
from dataclasses import dataclass, replace

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.drill_arrivals import injected_from
from pilotbase.flows.drill_copy import ARMS, Traffic, copy_traffic, kept_of
from pilotbase.flows.drill_record import record
from pilotbase.flows.drill_replay import Meter, Replay, replay
from pilotbase.flows.drill_words import advice
from pilotbase.release.drift import LEAST_ROWS
from pilotbase.release.drift_reference import read_reference
from pilotbase.release.drills import Injection, Kind, read_injection

__all__ = ["Drill", "Wish", "drill"]

MOST_PASSES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to inject into which traffic. `at` is the share of the copy that comes before; `last` a number of requests or a time;
    `arm` whose requests are copied (the candidate's where there are some); `record` keeps an incident of kind `exercise`.
    """

    route: str
    kind: Kind
    strength: str | None = None
    at: float = 1 / 3
    last: str | None = None
    arm: str | None = None
    repeat: int = 1
    seed: int = 0
    record: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What came of it. `first` is the number (from 0) of the first of the candidate's requests to meet the injection; `injected`
    is None where the `control` raised an alarm by itself. `words` would help where nothing fired.
    """

    traffic: Traffic
    injection: Injection
    first: int
    control: Replay
    injected: Replay | None = None
    words: tuple[str, ...] = ()
    incident: str | None = None

    @property
    def proved(self) -> bool:
        """Whether there was an alarm where there should be one, and none where there should not."""
        return self.control.alarm is None and self.injected is not None and self.injected.alarm is not None


def drill(context: Context, wish: Wish, *, who: str, meter: Meter = time.perf_counter) -> Drill:
    """Replay the copy as it was, then with the injection. The live release, its route and its people are not touched.

    UserError where there is nothing that could be drilled. The copy is removed at the end, whatever happens.
    """
    injection = read_injection(wish.kind, wish.strength)
    _check(wish)
    traffic = copy_traffic(context, wish.route, last=wish.last, arm=wish.arm, repeat=wish.repeat)
    samples = _check_possible(context, traffic, injection)
    first = injected_from(traffic, wish.at)
    root = context.scratch() / "drill"

    def play(name: str, what: Injection | None) -> Replay:
        folder = root / name
        folder.mkdir(parents=True, mode=0o700)  # it holds requests and answers of people
        return asyncio.run(replay(context, folder, traffic, what, first, seed=wish.seed, meter=meter))

    shutil.rmtree(root, ignore_errors=True)
    try:
        control = play("control", None)
        done = Drill(traffic=traffic, injection=injection, first=first, control=control)
        if control.alarm is None:
            done = replace(done, injected=play("injected", injection))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if done.injected is not None and done.injected.alarm is None:
        done = replace(done, words=tuple(advice(traffic, injection, samples=samples)))
    if wish.record and done.injected is not None:
        done = replace(done, incident=record(context, traffic, injection, done.injected, who=who))
    return done


def _check(wish: Wish) -> None:
    if not 0.0 < wish.at < 1.0:
        raise UserError(
            f"--at {wish.at:g}: the injection begins within the copy", hint="use a share, as in `1/3` or 30 %", status=422
        )
    if not 1 <= wish.repeat <= MOST_PASSES:
        raise UserError(f"--repeat {wish.repeat} is out of range", hint=f"use 1 to {MOST_PASSES}", status=422)
    if wish.arm is not None and wish.arm not in ARMS:
        raise UserError(f"there is no arm `{wish.arm[:40]}`", hint=f"use {', '.join(ARMS)}", status=422)


def _check_possible(context: Context, traffic: Traffic, injection: Injection) -> int:
    """How many kept answers the copy replays. UserError where the injection would meet nothing that anybody looks at."""
    kept = kept_of(context, traffic.release.id, [row["id"] for row in traffic.rows])
    bodies = traffic.repeat * sum(1 for row in kept.samples.values() if row["answered"] is not None)
    if injection.kind == "quality":
        scored = [one for one in traffic.checks if one.source in ("sample", "label")]
        if not scored:
            raise UserError(
                f"no live check of release {traffic.release.id} scores answers, so bad ones cannot be noticed",
                hint="mark a check `live: {sample: 5 %}` in the pilot, or add one to the plan's `checks`",
                status=409,
            )
        if not bodies and not kept.scores:
            raise UserError(
                f"none of the {len(traffic.rows)} requests has an answer that was kept or scored",
                hint=f"raise the sample of {scored[0].id}, or copy more with --last",
                status=409,
            )
    if injection.kind == "drift":
        _check_drift(traffic, bodies)
    return bodies


def _check_drift(traffic: Traffic, bodies: int) -> None:
    declared, name = traffic.plan.drift, traffic.release.id
    if declared is None:
        raise UserError(
            f"the plan of release {name} does not look for drift", hint="leave `drift: null` out of the plan", status=409
        )
    if traffic.reference is None:
        raise UserError(
            f"release {name} has no reference: what inputs and outputs looked like in the pilot is not known",
            hint="start the release on the home that holds the pilot's run and data",
            status=409,
        )
    rows = read_reference(traffic.reference).rows
    if rows < LEAST_ROWS:
        raise UserError(
            f"the reference of release {name} has {rows} cases, and a comparison needs {LEAST_ROWS}",
            hint="try the candidate on more cases, and release it anew",
            status=409,
        )
    if bodies < declared.every:
        needed = f"--repeat {-(-2 * declared.every * traffic.repeat // bodies)}" if bodies else "--last with more requests"
        raise UserError(
            f"drift is looked at every {declared.every} kept answers, and the copy has {bodies}",
            hint=f"try {needed}, or a smaller `every` in the plan",
            status=409,
        )
