"""Incidents in the database: opened once for a cause, changed by compare-and-set, each change in one transaction.

Every function may be called inside a caller's transaction, which it then joins: what the caller undoes is undone here too.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import orjson

from pilotbase.domain.incident import (
    Action,
    Affected,
    Detection,
    Entry,
    FirstBad,
    Incident,
    Regression,
    Subject,
    Technique,
    amended,
    closed,
    contained,
    opened,
    resolved,
)
from pilotbase.domain.scenario import Titles
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database

__all__ = [
    "change",
    "close",
    "contain",
    "count_affected",
    "document_of",
    "find",
    "incident_of",
    "list_incidents",
    "open_incident",
    "resolve",
]

SCHEMA = "pilotbase.incident/1"
Step = Callable[[Incident], Incident]


def open_incident(database: Database, incident: Incident, who: str, now: datetime) -> str:
    """Store an incident and give its id. Where one of the same cause (`same`, and the same route) is open or contained, that
    one's id: it is left as it is, but for a severity that is worse now.
    """
    with database.transaction():
        known = _of_cause(database, incident)
        if known is not None:
            if incident.severity < known.severity:
                change(database, known.id, lambda found: amended(found, {"severity": incident.severity}, who=who, now=now))
            return known.id
        new = opened(replace(incident, id=incident.id or _new_id(now)), who=who, now=now)
        database.execute(
            "INSERT INTO incidents (id, route, kind, severity, state, version, detected, document)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (new.id, new.route, new.kind, new.severity, new.state, new.version, stamp(new.detected), _packed(new)),
        )
        return new.id


def contain(database: Database, incident: str, action: Action, *, expect: int | None = None) -> Incident:
    """Record what contained it. See `domain.incident.contained`."""
    return change(database, incident, lambda found: contained(found, action), expect=expect)


def resolve(
    database: Database, incident: str, who: str, now: datetime, *, cause: str = "", note: str = "", expect: int | None = None
) -> Incident:
    """Record that it is mended. See `domain.incident.resolved`."""
    return change(database, incident, lambda found: resolved(found, who=who, now=now, cause=cause, note=note), expect=expect)


def close(
    database: Database,
    incident: str,
    who: str,
    now: datetime,
    *,
    cause: str = "",
    regression: Regression | None = None,
    expect: int | None = None,
) -> Incident:
    """Close it with its regression cases. See `domain.incident.closed`."""

    def step(found: Incident) -> Incident:
        return closed(found, who=who, now=now, cause=cause, regression=regression)

    return change(database, incident, step, expect=expect)


def change(database: Database, incident: str, step: Step, *, expect: int | None = None) -> Incident:
    """Apply a step to the stored incident, and give what is stored then. A step that returns what it got writes nothing.

    With `expect`, UserError (status 409) where the incident has another version: somebody changed it since it was read.
    """
    with database.transaction():
        found = find(database, incident)
        if expect is not None and found.version != expect:
            raise _overtaken(found, expect)
        after = step(found)
        if after == found:
            return found
        after = replace(after, version=found.version + 1)
        done = database.execute(
            "UPDATE incidents SET severity = ?, state = ?, version = ?, document = ? WHERE id = ? AND version = ?",
            (after.severity, after.state, after.version, _packed(after), after.id, found.version),
        )
        if done != 1:
            raise _overtaken(found, found.version)
        return after


def find(database: Database, incident: str) -> Incident:
    """One incident by its id. UserError (status 404) where there is none."""
    row = database.row("SELECT document FROM incidents WHERE id = ?", (incident,))
    if row is None:
        raise UserError(f"there is no incident `{incident[:80]}`", hint="see: pilotbase incident ls", status=404)
    return incident_of(orjson.loads(row["document"]))


def list_incidents(
    database: Database,
    *,
    route: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    severity: int | None = None,
    before: str | None = None,
    limit: int = 1000,
) -> list[Incident]:
    """The newest first, at most `limit`; of one route, kind, state or severity where they are given.

    `before`: those older than the incident of that id; UserError (status 404) where there is none.
    """
    given = {"route": route, "kind": kind, "state": state, "severity": severity}
    wanted = {name: value for name, value in given.items() if value is not None}
    where, values = [f"{name} = ?" for name in wanted], list(wanted.values())
    if before is not None:
        row = database.row("SELECT detected FROM incidents WHERE id = ?", (before,))
        if row is None:
            raise UserError(f"there is no incident `{before[:80]}`", hint="begin with the newest ones", status=404)
        where.append("(detected, id) < (?, ?)")
        values += [row["detected"], before]
    condition = f"WHERE {' AND '.join(where)} " if where else ""
    rows = database.rows(f"SELECT document FROM incidents {condition}ORDER BY detected DESC, id DESC LIMIT ?", (*values, limit))
    return [incident_of(orjson.loads(row["document"])) for row in rows]


def count_affected(database: Database, release: str, since: datetime | None = None, *, arm: str = "candidate") -> Affected:
    """The requests that an arm of a release answered from a moment on, and the different people behind them, from the ledger."""
    row = database.row(
        "SELECT COUNT(*) AS requests, COUNT(DISTINCT CASE WHEN person <> '' THEN person END) AS people FROM requests"
        " WHERE release_id = ? AND arm = ? AND started >= ?",
        (release, arm, int(since.timestamp() * 1_000_000) if since is not None else 0),
    )
    assert row is not None, "a count is one row"
    return Affected(requests=int(row["requests"]), people=int(row["people"]), group=f"{arm} of release {release}")


def document_of(incident: Incident) -> dict[str, Any]:
    """The incident in JSON's types, with the times and the name of its severity; `incident_of` reads it back."""
    level = SEVERITIES[incident.severity]
    names = {"severity_name": {"en": level.en, "zh": level.zh}}
    body = _plain(asdict(incident))
    assert isinstance(body, dict)
    return {"schema": SCHEMA, **body, **names, "seconds_to": asdict(incident.times)}


def incident_of(document: dict[str, Any]) -> Incident:
    """The incident that a document of the store says. Members that are not its fields are left out."""
    body = {name: document[name] for name in Incident.__dataclass_fields__ if name in document}
    for name in ("detected", "contained", "resolved", "closed"):
        body[name] = _moment(body.get(name))
    bad = body["first_bad"]
    return Incident(
        **{
            **body,
            "title": Titles(**body["title"]),
            "summary": Titles(**body["summary"]),
            "detected_by": Detection(**body["detected_by"]),
            "subject": Subject(**{**body["subject"], "packs": tuple(body["subject"]["packs"])}),
            "first_bad": FirstBad(request=bad["request"], at=_moment(bad["at"])),
            "affected": Affected(**body["affected"]),
            "harms": tuple(body["harms"]),
            "techniques": tuple(Technique(**one) for one in body["techniques"]),
            "actions": tuple(Action(**{**one, "at": _moment(one["at"])}) for one in body["actions"]),
            "regressions": tuple(_regression(one) for one in body["regressions"]),
            "pending": _regression(body["pending"]) if body["pending"] is not None else None,
            "history": tuple(Entry(**{**one, "at": _moment(one["at"])}) for one in body["history"]),
        }
    )


def _regression(found: dict[str, Any]) -> Regression:
    return Regression(**{**found, "cases": tuple(found["cases"])})


def _of_cause(database: Database, incident: Incident) -> Incident | None:
    if not incident.same:
        return None
    rows = database.rows(
        "SELECT document FROM incidents WHERE route = ? AND state IN ('open', 'contained') ORDER BY detected, id",
        (incident.route,),
    )
    known = (incident_of(orjson.loads(row["document"])) for row in rows)
    return next((one for one in known if one.same == incident.same), None)


def _overtaken(found: Incident, expect: int) -> UserError:
    return UserError(
        f"it is at version {found.version}, and version {expect} was to be changed: somebody was faster",
        where=f"incident {found.id}",
        hint=f"look again, then decide: pilotbase incident show {found.id}",
        status=409,
    )


def _new_id(now: datetime) -> str:
    return f"inc-{now.astimezone(UTC):%Y%m%d}-{token_hex(4)}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _packed(incident: Incident) -> str:
    return orjson.dumps(document_of(incident)).decode()
