"""A release moves: its state, its route, the record, and what follows from going back, in one transaction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pilotbase.checks.live import LiveCheck, plan_live, tolerated
from pilotbase.context import Context
from pilotbase.domain.alert import Alert
from pilotbase.domain.incident import Action, Detection, FirstBad, Incident, Subject
from pilotbase.domain.release import MOVES, Move, Plan
from pilotbase.domain.scenario import Titles
from pilotbase.domain.traffic import Arm, Route
from pilotbase.errors import UserError
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.operator import announce
from pilotbase.gateway import keys, routes
from pilotbase.release import incidents, records
from pilotbase.release.alerts import raise_alert
from pilotbase.release.exposure import arm_in
from pilotbase.release.leader import Leader
from pilotbase.release.records import Release
from pilotbase.release.steps import Cause
from pilotbase.spec.plan import read_plan
from pilotbase.store import audit
from pilotbase.store.database import Row

__all__ = ["Moved", "begin_anew", "checks_of", "make_move", "plan_of", "require_under_way", "serve_arm"]

CONTROLLER = "pilotbase"
LOGGED = {"back": "rollback", "climb": "promote"}
"""Moves that the audit log calls as the command line does."""
_SEVERITY = {"shadow": 4, "bounded": 3, "canary": 3, "full": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A release after a move; `changed` is false where it was there before. `incident` was opened by going back."""

    release: Release
    changed: bool
    incident: str | None = None


def plan_of(release: Release) -> Plan:
    """The plan that a release began with."""
    return read_plan(release.document["plan"])


def checks_of(release: Release, plan: Plan | None = None) -> tuple[LiveCheck, ...]:
    """The live checks of a release."""
    plan = plan or plan_of(release)
    return plan_live(pilot_of(release.document["pilot"]), plan.checks, len(plan.rungs))


def require_under_way(context: Context, route: str) -> Release:
    """The release of a route that is not over. UserError (status 404) where there is none."""
    found = records.under_way(context.database, route)
    if found is not None:
        return found
    if routes.find_route(context.database, route) is None:
        raise routes.unknown(context.database, route)
    last = records.list_releases(context.database, route=route, limit=1)
    hint = f"the last one, {last[0].id}, is {last[0].state}; " if last else ""
    raise UserError(
        f"the route `{route}` is not under release", hint=f"{hint}start one: pilotbase release start {route}", status=404
    )


def make_move(
    context: Context,
    found: Release,
    move: Move,
    *,
    who: str,
    now: datetime,
    causes: Sequence[Cause] = (),
    why: str = "",
    leader: Leader | None = None,
    plan: Plan | None = None,
) -> Moved | None:
    """Move a release, once. None where it is no longer as it was found, or where `leader` does not lead any more.

    UserError (status 409) where there is no such move from its state. `plan`: another one from now on (raised limits).
    """
    state = MOVES.get((found.state, move))
    if state is None:
        if found.state in {to for (_, word), to in MOVES.items() if word == move}:
            return Moved(release=found, changed=False)
        message = f"release {found.id} of `{found.route}` is {found.state}: it cannot {move}"
        possible = ", ".join(sorted(word for there, word in MOVES if there == found.state))
        raise UserError(message, hint=f"possible now: {possible or 'nothing, it is over'}", status=409)
    declared = plan or plan_of(found)
    rung = found.rung
    document: dict[str, Any] = {**found.document}
    if plan is not None:
        document["plan"] = {**document["plan"], **_limits(plan)}
    if move == "climb":
        rung += 1
    if state == "climbing" and declared.rungs[rung].rung == "full":
        state = "full"
    if move in ("climb", "resume"):
        document["rung_since"] = int(now.timestamp() * 1e6)
    database = context.database
    incident = None
    with database.transaction():
        if leader is not None and not leader.holds(database):
            return None
        new = records.rewrite(database, found, state=state, rung=rung, document=document, now=now)
        if new is None:
            return None
        serve_arm(context, new, declared, who=who, now=now)
        detail = {"from": found.state, "to": state, "rung": rung, "why": why, "causes": [_cause(one) for one in causes]}
        records.note(database, new.id, who=who, action=move, detail=detail, now=now)
        logged = {"release": new.id, "state": state, "rung": rung, "why": why}
        audit.write(database, who=who, action=f"release.{LOGGED.get(move, move)}", subject=new.route, detail=logged, at=now)
        if move == "back":
            incident = _went_back(context, found, declared, causes, who=who, why=why, now=now)
        elif move == "hold":
            for cause in causes:
                raise_alert(database, _alert(found, cause, severity=3), declared.alerts, now)
        if new.over and document.get("purse"):
            keys.revoke(database, document["purse"], why=f"release {new.id} is over", who=who, now=now, cut=True)
    announce(context)
    return Moved(release=new, changed=True, incident=incident)


def begin_anew(context: Context, found: Release, *, now: datetime, leader: Leader) -> Release | None:
    """Let a release stand where it is, and take its evidence from now on. None where it is no longer as it was found, or where
    `leader` does not lead any more.
    """
    document = {**found.document, "rung_since": int(now.timestamp() * 1e6)}
    database = context.database
    with database.transaction():
        if not leader.holds(database):
            return None
        new = records.rewrite(database, found, state=found.state, rung=found.rung, document=document, now=now)
        if new is not None:
            detail = {"why": "the machine's clock was set"}
            records.note(database, new.id, who=CONTROLLER, action="anew", detail=detail, now=now)
        return new


def serve_arm(context: Context, release: Release, plan: Plan, *, who: str, now: datetime) -> None:
    """Write into the route what the workers are to do. At the end of a release the candidate takes the route over."""
    stored = routes.find_route(context.database, release.route)
    if stored is None:
        return  # removed meanwhile: nothing is served
    candidate = routes.read_route(release.document["candidate"])
    if release.state == "ended":
        route = replace(stored.route, upstreams=candidate.upstreams, tie=candidate.tie, arm=None)
    else:
        checks = checks_of(release, plan)
        scored = [one for one in checks if one.source in ("sample", "label")]
        base = replace(_base(release, candidate, plan), trip=_trip(checks))
        arm = arm_in(
            base,
            plan,
            release.state,
            release.rung,
            sample=max((one.sample for one in scored), default=0.0),
            sample_stable=max((one.sample for one in scored if one.against), default=0.0),
        )
        route = replace(stored.route, arm=arm)
    if route != stored.route:
        routes.put(context.database, route, who=who, now=now, replace=True, release=True)


def _base(release: Release, candidate: Route, plan: Plan) -> Arm:
    return Arm(
        release=release.id,
        upstreams=candidate.upstreams,
        tie=candidate.tie,
        price=candidate.price,
        purse=release.document.get("purse", ""),
        concurrency=plan.shadow.concurrency,
        tools=plan.shadow.tools,
    )


def _trip(checks: Sequence[LiveCheck]) -> int:
    """How many failures in a row leave no doubt: at the tolerated share of failures, a chance of less than one in a million."""
    shares = [share for one in checks if one.check.metric == "failure-rate" and (share := tolerated(one)) is not None]
    tolerated_ = min(shares, default=0.05)
    return max(5, math.ceil(math.log(1e-6) / math.log(min(0.9, tolerated_))))


def _limits(plan: Plan) -> dict[str, Any]:
    exposure = plan.exposure
    return {
        "exposure": {"people": exposure.people, "requests": exposure.requests, "spend": exposure.spend, "time": exposure.time}
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {"kind": cause.kind, "check": cause.check, "told": list(cause.told), "figures": dict(cause.figures)}


def _alert(release: Release, cause: Cause, *, severity: int) -> Alert:
    evidence = {word: value for word, value in cause.figures.items() if value is not None}
    return Alert(
        kind=cause.kind,
        severity=severity,
        route=release.route,
        title=cause.told[0],
        title_zh=cause.told[1],
        release=release.id,
        check=cause.check or "",
        about=str(cause.figures.get("limit") or cause.figures.get("feature") or ""),
        evidence=evidence,
        first_bad=str(cause.figures.get("first_bad") or ""),
    )


def _went_back(
    context: Context, found: Release, plan: Plan, causes: Sequence[Cause], *, who: str, why: str, now: datetime
) -> str | None:
    """Tell people, and open an incident that the rollback contains. A person who goes back says so himself: no incident."""
    database = context.database
    rung = "full" if found.state == "full" else plan.rungs[found.rung].rung
    severity = _SEVERITY[rung]
    if not causes:
        told = (f"{found.route}: rolled back by {who}: {why}", f"{found.route}：由 {who} 回退：{why}")
        raise_alert(database, _alert(found, Cause(kind="operator", told=told), severity=4), plan.alerts, now)
        return None
    raised = [raise_alert(database, _alert(found, cause, severity=severity), plan.alerts, now) for cause in causes]
    first = causes[0]
    bad = str(first.figures.get("first_bad") or "")
    since = _moment(database.row("SELECT started FROM requests WHERE id = ?", (bad,))) if bad else None
    document = found.document
    incident = Incident(
        route=found.route,
        # A shadow's answers reach nobody: what might have happened is a hazard.
        kind="hazard" if rung == "shadow" else "incident",
        severity=severity,
        detected=now,
        detected_by=Detection(by="alert", ref=raised[0].id),
        title=Titles(en=f"{found.route}: rolled back from {rung}", zh=f"{found.route}：自 {rung} 阶段自动回退"),
        summary=Titles(en="; ".join(c.told[0] for c in causes), zh="；".join(c.told[1] for c in causes)),
        same=f"release {found.id}",
        subject=Subject(
            release=found.id,
            scenario=str(document.get("scenario") or ""),
            candidate=str(document.get("candidate_id") or ""),
            fingerprint=str(document.get("fingerprint") or ""),
            dossier=str(document.get("dossier") or ""),
            packs=tuple(document.get("packs") or ()),
        ),
        first_bad=FirstBad(request=bad, at=since),
        affected=incidents.count_affected(database, found.id, since, arm="shadow" if rung == "shadow" else "candidate"),
    )
    name = incidents.open_incident(database, incident, CONTROLLER, now)
    incidents.contain(database, name, Action(act="rollback", at=now, who=CONTROLLER, note="rolled back by the controller"))
    return name


def _moment(row: Row | None) -> datetime | None:
    return None if row is None else datetime.fromtimestamp(row["started"] / 1e6, UTC)
