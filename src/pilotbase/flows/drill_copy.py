"""What a drill copies: a release with its route, plan and reference, the requests of one arm, and all that was kept of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pilotbase.checks.live import LiveCheck
from pilotbase.context import Context
from pilotbase.domain.alert import Channel
from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.release import Exposure, Plan, State
from pilotbase.domain.traffic import Route
from pilotbase.errors import UserError
from pilotbase.flows.release_moves import checks_of, plan_of
from pilotbase.gateway import routes
from pilotbase.gateway.arms import CANDIDATE, SHADOW, STABLE
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.spec.plan import plan_document

__all__ = ["ARMS", "LEAST", "USUAL", "Kept", "Traffic", "copy_traffic", "kept_of"]

ARMS = (CANDIDATE, SHADOW, STABLE)
"""The first of these that answered anything is copied: who is nearest to the candidate under load."""
USUAL = 2000
LEAST = 100
MOST = 20_000
MOST_BESIDE = 100_000
AT_ONCE = 200
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The copy. `release` is as the copy's controller gets it; `rows` are settled requests of `arm` in the order in which they
    came, `beside` those of the stable arm in the same time.
    """

    release: Release
    plan: Plan
    route: Route
    checks: tuple[LiveCheck, ...]
    arm: str
    rows: Sequence[Row]
    beside: Sequence[Row] = ()
    reference: Mapping[str, Any] | None = None
    repeat: int = 1

    @property
    def requests(self) -> int:
        """How many are replayed."""
        return len(self.rows) * self.repeat

    @property
    def start(self) -> int:
        """Microseconds of the first one."""
        return min(int(row["started"]) for row in (*self.rows[:1], *self.beside[:1]))

    @property
    def span(self) -> int:
        """Microseconds of one pass: from the first request to where the next pass begins, a usual distance after the last."""
        length = int(self.rows[-1]["started"]) - self.start
        return length + max(1, length // max(1, len(self.rows) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was kept of requests, by their ids: bodies, scores by check, and users' words."""

    samples: Mapping[str, Row] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    feedback: Mapping[str, Row] = field(default_factory=dict)


def copy_traffic(context: Context, route: str, *, last: str | None, arm: str | None, repeat: int) -> Traffic:
    """Choose what to replay; nothing is written. UserError where there is no route, no release, or not enough traffic."""
    stored = routes.find_route(context.database, route)
    if stored is None:
        raise routes.unknown(context.database, route)
    found = records.under_way(context.database, route) or next(
        iter(records.list_releases(context.database, route=route, limit=1)), None
    )
    if found is None:
        raise UserError(
            f"the route `{route}` was never under release, so nothing watches it that could raise an alarm",
            hint=f"start one: pilotbase release start {route} --dossier DOSSIER",
            status=404,
        )
    count, seconds = _window(last)
    names = (arm,) if arm is not None else ARMS
    taken, rows = next(
        ((name, rows) for name in names if (rows := _rows(context, found.id, name, count, seconds))), (names[0], [])
    )
    _check_enough(found, taken, rows, repeat, named=arm is not None)
    plan, release = _as_copied(found)
    beside = _beside(context, found.id, rows)
    return Traffic(
        release=replace(
            release, document={**release.document, "rung_since": min(int(r[0]["started"]) for r in (rows, beside) if r)}
        ),
        plan=plan,
        route=stored.route,
        checks=checks_of(release, plan),
        arm=taken,
        rows=rows,
        beside=beside,
        reference=records.read_reference(context.database, found.id),
        repeat=repeat,
    )


def kept_of(context: Context, release: str, names: Sequence[str]) -> Kept:
    """What was kept of some requests of a release."""
    samples: dict[str, Row] = {}
    scores: dict[str, dict[str, float | None]] = {}
    feedback: dict[str, Row] = {}
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        places = ", ".join("?" * len(part))
        query = context.database.rows
        samples |= {r["request"]: dict(r) for r in query(f"SELECT * FROM samples WHERE request IN ({places})", part)}
        feedback |= {r["request"]: dict(r) for r in query(f"SELECT * FROM feedback WHERE request IN ({places})", part)}
        told = f"SELECT request, check_id, value FROM live_scores WHERE release_id = ? AND request IN ({places})"
        for row in query(told, (release, *part)):
            scores.setdefault(row["request"], {})[row["check_id"]] = row["value"]
    return Kept(samples=samples, scores=scores, feedback=feedback)


def _window(last: str | None) -> tuple[int, float | None]:
    """(how many requests at most, of how many seconds before the last one)."""
    if last is None:
        return USUAL, None
    if last.strip().isdecimal():
        count = int(last)
        if not LEAST <= count <= MOST:
            raise UserError(f"--last {count}: a drill copies {LEAST} to {MOST:,} requests", hint="say how many", status=422)
        return count, None
    try:
        return MOST, parse_duration(last)
    except ValueError:
        hint = "write a number of requests, as in 1000, or a time, as in 1h"
        raise UserError(f"--last: `{last[:40]}` is neither a number nor a duration", hint=hint, status=422) from None


def _rows(context: Context, release: str, arm: str, count: int, seconds: float | None) -> list[Row]:
    """The newest settled requests of an arm, in the order in which they came."""
    newest = context.database.row(
        "SELECT MAX(started) AS at FROM requests WHERE release_id = ? AND arm = ? AND state <> 'open'", (release, arm)
    )
    if newest is None or newest["at"] is None:
        return []
    since = int(newest["at"]) - int(seconds * 1e6) if seconds is not None else 0
    rows = context.database.rows(
        "SELECT * FROM requests WHERE release_id = ? AND arm = ? AND state <> 'open' AND started >= ?"
        " ORDER BY started DESC, id DESC LIMIT ?",
        (release, arm, since, count),
    )
    return [dict(row) for row in reversed(rows)]


def _beside(context: Context, release: str, rows: Sequence[Row]) -> list[Row]:
    found = context.database.rows(
        "SELECT * FROM requests WHERE release_id = ? AND arm = ? AND state <> 'open' AND started >= ? AND started <= ?"
        " ORDER BY started, id LIMIT ?",
        (release, STABLE, rows[0]["started"], rows[-1]["started"], MOST_BESIDE + 1),
    )
    if len(found) > MOST_BESIDE:
        raise UserError(
            f"the stable arm answered over {MOST_BESIDE:,} requests in the time that is to be copied",
            hint="copy less of it, as in --last 30m",
            status=422,
        )
    return [dict(row) for row in found]


def _check_enough(release: Release, arm: str, rows: Sequence[Row], repeat: int, *, named: bool) -> None:
    if len(rows) * repeat >= LEAST:
        return
    whose = f"the {arm} arm of release {release.id}" if rows or named else f"release {release.id}, in any of its arms,"
    count = f"only {len(rows)} request{'s' if len(rows) > 1 else ''}" if rows else "no request"
    needed = -(-LEAST // len(rows)) if rows else 0
    raise UserError(
        f"{whose} has {count} to copy, and a drill needs {LEAST}",
        hint=f"copy them several times with --repeat {needed}, or wait for traffic" if rows else "wait for traffic",
        status=409,
    )


def _as_copied(found: Release) -> tuple[Plan, Release]:
    """The release on its rung, moved back only: no limit holds it, nobody is told, nobody pays, and it climbs no further.

    One that is over stands where it stood last.
    """
    plan = replace(plan_of(found), alerts=(Channel(log=True),), exposure=Exposure())
    document = {**found.document, "plan": plan_document(plan), "purse": ""}
    state: State = "full" if plan.rungs[found.rung].rung == "full" else "paused"
    return plan, replace(found, state=state, version=1, changed=found.started, document=document)
