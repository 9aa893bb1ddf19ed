"""Incidents as people meet them: reported, described, contained and resolved; `regression_case` closes them."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pilotbase.context import Context
from pilotbase.domain.incident import (
    ANONYMOUS,
    Act,
    Action,
    Affected,
    Detection,
    FirstBad,
    Incident,
    Kind,
    Subject,
    amended,
)
from pilotbase.domain.scenario import Titles
from pilotbase.errors import UserError
from pilotbase.flows.incident_facts import Facts, fields_of, prose
from pilotbase.flows.moment import moment
from pilotbase.flows.operator import said
from pilotbase.gateway import routes
from pilotbase.release import incidents
from pilotbase.release.alerts import close_alerts

__all__ = ["Report", "contain_incident", "report_incident", "reporter", "resolve_incident"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A new incident. `first_bad` is a request of the ledger, `since` a moment instead of it; noticed by an alert, an audit, or
    else by a person, whom `by` names.
    """

    route: str
    kind: Kind = "incident"
    facts: Facts = field(default_factory=Facts)
    first_bad: str | None = None
    since: str | None = None
    release: str | None = None
    alert: str | None = None
    audit: str | None = None
    by: str | None = None


def report_incident(context: Context, report: Report, *, who: str) -> Incident:
    """Open an incident. A near miss keeps no name, unless `by` gives one. UserError where the report cannot be right."""
    now = context.clock.now().astimezone(UTC)
    name = reporter(report.kind, report.by, who)
    _check(context, report)
    bad = _first_bad(context, report, now)
    incident = Incident(
        route=report.route,
        kind=report.kind,
        severity=3 if report.kind == "incident" else 4,
        detected=now,
        detected_by=_detection(report, name),
        title=Titles(en=f"{report.kind} on route {report.route}"),
        same=f"alert {report.alert}" if report.alert is not None else "",
        subject=_subject(context, report),
        first_bad=bad,
        affected=incidents.count_affected(context.database, report.release, bad.at) if report.release else Affected(),
    )
    told = replace(incident, **fields_of(incident, report.facts))
    return incidents.find(context.database, incidents.open_incident(context.database, told, name, now))


def contain_incident(
    context: Context, incident: str, act: Act, *, who: str, by: str | None = None, note: str = "", facts: Facts | None = None
) -> Incident:
    """Record what was done about it, and what more is known."""
    with context.database.transaction():
        name = _tell(context, incident, facts or Facts(), who, by)
        action = Action(act=act, at=context.clock.now().astimezone(UTC), who=name, note=prose("note", note) if note else "")
        return incidents.contain(context.database, incident, action)


def resolve_incident(
    context: Context,
    incident: str,
    *,
    who: str,
    by: str | None = None,
    cause: str = "",
    note: str = "",
    facts: Facts | None = None,
) -> Incident:
    """Record that what was wrong is mended, and what more is known."""
    cause, note = (prose(word, text) if text else "" for word, text in (("cause", cause), ("note", note)))
    with context.database.transaction():
        name = _tell(context, incident, facts or Facts(), who, by)
        now = context.clock.now().astimezone(UTC)
        found = incidents.resolve(context.database, incident, name, now, cause=cause, note=note)
        if found.subject.release:
            # What was warned of is mended: a cause that comes back is a new alert.
            why = f"incident {found.id} is resolved"
            close_alerts(context.database, who=name, why=why, now=now, release=found.subject.release)
        return found


def reporter(kind: str, by: str | None, who: str) -> str:
    """The name that goes into the record: none for a near miss, unless one is given."""
    if by is not None:
        return said("by", by)
    return ANONYMOUS if kind == "near-miss" else who


def _tell(context: Context, incident: str, facts: Facts, who: str, by: str | None) -> str:
    found = incidents.find(context.database, incident)
    name, now = reporter(found.kind, by, who), context.clock.now().astimezone(UTC)
    fields = fields_of(found, facts)
    incidents.change(context.database, incident, lambda one: amended(one, fields, who=name, now=now))
    return name


def _check(context: Context, report: Report) -> None:
    if context.database.row("SELECT 1 FROM routes WHERE name = ?", (report.route,)) is None:
        raise routes.unknown(context.database, report.route)
    for table, word, value in (("releases", "release", report.release), ("alerts", "alert", report.alert)):
        if value is None:
            continue
        row = context.database.row(f"SELECT route FROM {table} WHERE id = ?", (value,))
        if row is None or row["route"] != report.route:
            raise UserError(f"route `{report.route}` has no {word} `{value[:80]}`", hint=f"check the {word}'s id", status=404)


def _first_bad(context: Context, report: Report, now: datetime) -> FirstBad:
    if report.first_bad is None:
        at = moment("since", report.since, now, back=True) if report.since is not None else None
        if at is not None and at > now:
            raise UserError(f"since: {at.isoformat()} is yet to come", hint="say when it began", status=422)
        return FirstBad(at=at)
    row = context.database.row("SELECT route, started FROM requests WHERE id = ?", (report.first_bad,))
    if row is None or row["route"] != report.route:
        hint = "take the id from the ledger, or say when it began: --since WHEN"
        raise UserError(f"the ledger has no request `{report.first_bad[:80]}` on route `{report.route}`", hint=hint, status=404)
    return FirstBad(request=report.first_bad, at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(row["started"])))


def _detection(report: Report, name: str) -> Detection:
    if report.alert is not None:
        return Detection(by="alert", ref=report.alert)
    if report.audit is not None:
        return Detection(by="audit", ref=said("audit", report.audit))
    return Detection(by="user", ref="" if name == ANONYMOUS else name)


def _subject(context: Context, report: Report) -> Subject:
    """What the route rests on; of a release only its id, for its candidate is not what the route rests on yet."""
    stored = routes.find_route(context.database, report.route)
    if stored is None:
        return Subject(release=report.release or "")
    tie = stored.route.tie
    if report.release is not None:
        return Subject(release=report.release, scenario=tie.scenario or "")
    return Subject(
        scenario=tie.scenario or "",
        candidate=tie.candidate or "",
        fingerprint=tie.fingerprint or "",
        dossier=tie.dossier or "",
    )
