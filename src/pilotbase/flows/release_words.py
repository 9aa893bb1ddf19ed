"""An operator's words on a release: pause, resume, promote, rollback; and what is told of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.release import Exposure, Move, Plan
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.operator import said
from pilotbase.flows.release_moves import Moved, checks_of, make_move, plan_of, require_under_way
from pilotbase.flows.release_sight import status_document
from pilotbase.gateway.ledger_window import exposed
from pilotbase.release import records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.records import Release
from pilotbase.release.steps import Exposed, limits_reached

__all__ = [
    "UNSEEN",
    "describe_release",
    "last_release",
    "pause_release",
    "promote_release",
    "resume_release",
    "roll_back",
]

UNSEEN = 15.0
"""Seconds after which a release that nobody looked at is not watched any more."""
TRIES = 20
_LIMITS = ("people", "requests", "spend", "time")


def last_release(context: Context, route: str) -> Release:
    """The release of a route that is under way, or else its last one. UserError (status 404) where it never had one."""
    found = records.list_releases(context.database, route=route, limit=1)
    return found[0] if found else require_under_way(context, route)


def pause_release(context: Context, route: str, *, who: str, why: str, seen: Release | None = None) -> Moved:
    """Let a release stand on its rung; what speaks against the candidate still sends it back.

    `seen`, here and below: the release as the caller saw it; UserError (status 409) where it has moved since.
    """
    why = said("why", why)
    found = _as_seen(context, require_under_way(context, route), seen)
    if found.state in ("held", "full"):
        able = "resume it" if found.state == "held" else "promote it to end the release, or roll it back"
        raise _refused(f"release {found.id} is {found.state}: it does not climb", able)
    return _move(context, found, "pause", who=who, why=why)


def resume_release(
    context: Context, route: str, *, who: str, why: str, limits: Exposure | None = None, seen: Release | None = None
) -> Moved:
    """Go on after a pause or a hold. `limits`: those that are set anew; None in it leaves one as it was.

    UserError (exit 1, status 409) with the figures, where a limit is still reached.
    """
    why = said("why", why)
    found = _as_seen(context, require_under_way(context, route), seen)
    plan = plan_of(found)
    wanted = limits or Exposure()
    if found.state in ("climbing", "full"):
        if wanted != Exposure():
            hint = f"hold it on its rung first: pilotbase release pause {route} --why ..."
            raise _refused(f"release {found.id} is {found.state}: limits change as it goes on again", hint)
        return Moved(release=found, changed=False)
    raised = _raised(plan, wanted)
    risked = _risked(context, found)
    _check_currency(raised.exposure, risked)
    reached = limits_reached(raised.exposure, risked)
    if reached:
        flags = {"people": "--people", "requests": "--requests", "money": "--spend", "time": "--time"}
        needed = ", ".join(flags[str(cause.figures["limit"])] for cause in reached)
        told = "; ".join(cause.told[0] for cause in reached)
        raise _refused(f"release {found.id} cannot go on: {told}", f"raise it with {needed}, or roll back")
    if wanted == Exposure():
        return _move(context, found, "resume", who=who, why=why)
    new = ", ".join(f"{word} {value}" for word in _LIMITS if (value := getattr(wanted, word)) is not None)
    return _move(context, found, "resume", who=who, why=f"{why} (limits from now on: {new})", plan=raised)


def promote_release(
    context: Context, route: str, *, who: str, why: str, anyway: bool = False, seen: Release | None = None
) -> Moved:
    """On a rung: climb without waiting for evidence. On `full`: end the release, and the candidate is the stable arm from now on.

    UserError (exit 1, status 409) where a mandatory check FAILs, and at the end where the rung's own evidence is not there; the
    end is not refused where `anyway`.
    """
    why = said("why", why)
    found = _as_seen(context, require_under_way(context, route), seen)
    if found.state in ("paused", "held"):
        raise _refused(f"release {found.id} is {found.state}", f"resume it first: pilotbase release resume {route} --why ...")
    sight = _seen(context, found)
    failing = [c["id"] for c in (sight or {}).get("checks", ()) if _fails(c)]
    if failing and not (found.state == "full" and anyway):
        raise _refused(f"release {found.id} cannot be promoted: {', '.join(failing)} FAILS on live traffic", "roll it back")
    if found.state == "full":
        lacking = list(_lacking(plan_of(found), found, sight))
        if lacking and not anyway:
            hint = "wait for it, or end the release all the same with --anyway"
            raise _refused(f"release {found.id} cannot end yet: {'; '.join(lacking)}", hint)
        return _move(context, found, "end", who=who, why=why)
    return _move(context, found, "climb", who=who, why=why)


def roll_back(context: Context, route: str, *, who: str, why: str) -> Moved:
    """Take the candidate off the route now, whoever else moves the release; `changed` is false where it was taken off before."""
    why = said("why", why)
    for _ in range(TRIES):
        found = last_release(context, route)
        if found.state == "rolled-back":
            return Moved(release=found, changed=False)
        found = require_under_way(context, route)  # says what there is to go back from
        moved = make_move(context, found, "back", who=who, now=context.clock.now(), why=why)
        if moved is not None:
            return moved
    raise _overtaken(context, found)


def _move(context: Context, found: Release, move: Move, *, who: str, why: str, plan: Plan | None = None) -> Moved:
    moved = make_move(context, found, move, who=who, now=context.clock.now(), why=why, plan=plan)
    if moved is None:
        raise _overtaken(context, found)
    return moved


def _as_seen(context: Context, found: Release, seen: Release | None) -> Release:
    if seen is not None and (found.id, found.version) != (seen.id, seen.version):
        raise _overtaken(context, found)
    return found


def _overtaken(context: Context, found: Release) -> UserError:
    now = records.find(context.database, found.id) or found
    last = records.events(context.database, found.id)[-1]
    return _refused(
        f"somebody else came first: {last.who} said `{last.action}` at {last.at[11:19]} UTC; release {found.id} is {now.state}",
        f"look at it, then say it again: pilotbase release status {found.route}",
    )


def _refused(message: str, hint: str) -> UserError:
    return UserError(message, hint=hint, code=1, status=409)


def _raised(plan: Plan, wanted: Exposure) -> Plan:
    problems = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in wanted.problems()]
    if problems:
        raise InvalidInput("the new limits are wrong", problems)
    now = plan.exposure
    merged = {word: getattr(wanted, word) or getattr(now, word) for word in _LIMITS}
    return replace(plan, exposure=Exposure(**merged))


def _risked(context: Context, found: Release) -> Exposed:
    people, requests, nanos, currency = exposed(context.database, found.id)
    seen = records.read_sight(context.database, found.id)
    seconds = float(seen[1].get("total", 0.0)) if seen is not None else 0.0
    return Exposed(people=people, requests=requests, nanos=nanos, currency=currency, seconds=seconds)


def _check_currency(limits: Exposure, risked: Exposed) -> None:
    money = limits.money
    if money is not None and risked.currency and risked.nanos and money.currency != risked.currency:
        hint = f"write an amount in {risked.currency}"
        raise UserError(f"the limit is {money}, and the candidate is paid in {risked.currency}", where="spend", hint=hint)


def _seen(context: Context, found: Release) -> Mapping[str, Any] | None:
    """What was seen last, where that was on the rung on which the release stands."""
    seen = records.read_sight(context.database, found.id)
    return seen[1] if seen is not None and seen[1].get("since") == found.document["rung_since"] else None


def _fails(check: Mapping[str, Any]) -> bool:
    return bool(check["mandatory"] and check["role"] == "decide" and check["verdict"] == "fail")


def _lacking(plan: Plan, found: Release, seen: Mapping[str, Any] | None) -> Iterator[str]:
    rung = plan.rungs[found.rung]
    there = seen or {"requests": 0, "seconds": 0.0, "feedback": 0}
    needs = (("requests", rung.requests, "results"), ("seconds", rung.seconds, "s under watch"))
    for word, most, unit in (*needs, ("feedback", rung.feedback, "users' words")):
        if there[word] < most:
            yield f"{there[word]:.0f} of {most:g} {unit}"


def describe_release(context: Context, release: Release) -> dict[str, Any]:
    """The status document with the ladder's own needs, whether anybody watches, the checks that do, and the open alerts."""
    plan = plan_of(release)
    document = status_document(context, release, plan)
    now = context.clock.now()
    last = datetime.fromisoformat(document["seen_at"]) if document["seen_at"] else release.started
    unseen = (now - last).total_seconds()
    current = _seen(context, release)
    return {
        **document,
        "over": release.over,
        "watched": release.over or unseen <= UNSEEN,
        "unseen": round(max(0.0, unseen), 1),
        "current": current is not None,
        "ladder": [
            {
                "rung": str(rung),
                "requests": rung.requests,
                "seconds": rung.seconds,
                "feedback": rung.feedback,
                "climb": rung.climb,
                "users": list(rung.users),
            }
            for rung in plan.rungs
        ],
        "due_diligence": [{"item": d.item, "by": d.by, "on": d.on, "reference": d.reference} for d in plan.due_diligence],
        "budget": {"failures": plan.budget.failures, "over": plan.budget.over} if plan.budget is not None else None,
        "checks": [
            {
                "id": one.id,
                "metric": one.check.metric,
                "mandatory": one.mandatory,
                "role": one.check.role,
                "require": str(one.require) if one.metric.kind == "tail" else one.check.require,
                "limit": one.check.require if one.metric.kind == "tail" else None,
                "confidence": one.confidence,
                "source": one.source,
                "sample": one.sample,
                "against": one.against,
                "windows": [one.windows, one.window] if one.windows else None,
            }
            for one in checks_of(release, plan)
        ],
        "alerts": [
            {"id": a.id, "at": a.at, "last": a.last, "count": a.count, "severity": a.alert.severity, "kind": a.alert.kind,
             "title": a.alert.title}
            for a in list_alerts(context.database, release=release.id, state="open", limit=10)
        ],
    }  # fmt: skip
