"""Incidents: the list, one incident with its times and its history, its export to others, and the steps from open to resolved."""

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote, urlencode

from pilotbase.console.incident_view import affected, choices, close_command, in_short, what
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.spans import span
from pilotbase.domain import incident as domain
from pilotbase.domain.incident import ACTIONS, KINDS, Incident
from pilotbase.errors import UserError
from pilotbase.flows.audited import audited_change, audited_report
from pilotbase.flows.incident import Report, contain_incident, report_incident, resolve_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.incident_list import Asked, list_asked
from pilotbase.flows.regression_case import close_incident
from pilotbase.gateway.routes import list_routes
from pilotbase.release import incidents
from pilotbase.release.incident_exports import FORMS, Form, export

__all__ = ["PAGES"]

Words = Mapping[str, str]
_FILTERS = ("state", "severity", "kind", "route")
_TYPES: Mapping[str, tuple[str, str]] = {
    "json": ("application/json", "json"),
    "csv": ("text/csv", "csv"),
    "atlas": ("application/yaml", "yaml"),
    "aiid": ("application/json", "aiid.json"),
}
_LONGEST_LINK = 1 << 20


def _show_list(visit: Visit) -> Shown:
    asked = {word: visit.query.get(word, "").strip() for word in _FILTERS}
    found = list_asked(visit.context, Asked(**asked, before=visit.query.get("before", "").strip()))
    wanted = {word: value for word, value in asked.items() if value}
    last = found.incidents[-1].id if found.more else ""
    values = {
        **choices(visit),
        "rows": [{**in_short(one, visit), "span": span(one.times.contain, visit.t)} for one in found.incidents],
        "asked": asked,
        "filtered": bool(wanted),
        "older": f"/console/incidents?{urlencode({**wanted, 'before': last})}" if last else "",
        "reportable": [(name, told) for name, told in choices(visit)["kinds"] if name != "exercise"],
        "routes": [(stored.route.name, stored.route.name) for stored in list_routes(visit.context.database)],
        "wish": {word: visit.query.get(word, "") for word in ("open", "route", "release", "alert")},
    }
    return Shown(template="incidents.html.j2", values=values)


def _show_incident(visit: Visit) -> Shown:
    found = incidents.find(visit.context.database, visit.place["incident"])
    t = visit.t
    values = {
        **choices(visit),
        "one": incidents.document_of(found),
        "told": in_short(found, visit),
        "summary": found.summary.text(visit.language),
        "times": [
            (name, span(seconds, t))
            for name, seconds in (
                (t("From the first bad request to detection"), found.times.detect),
                (t("From detection to containment"), found.times.contain),
                (t("From detection to resolution"), found.times.resolve),
            )
        ],
        "affected": affected(found, visit),
        "history": [{"at": e.at, "who": e.who, "what": what(e.what, visit), "note": e.note} for e in reversed(found.history)],
        "command": close_command(found),
        "forms": FORMS,
    }
    return Shown(template="incident.html.j2", values=values)


def _show_export(visit: Visit) -> Shown:
    """The text on a page of its own, and the same as a download where it is short enough for a link."""
    form = visit.place["form"]
    if form not in FORMS:
        raise UserError(f"there is no export `{form[:40]}`", hint=f"one of {', '.join(FORMS)}", status=404)
    found = incidents.find(visit.context.database, visit.place["incident"])
    done = export([found], cast(Form, form))
    kind, suffix = _TYPES[form]
    link = f"data:{kind};charset=utf-8,{quote(done.text)}" if len(done.text) <= _LONGEST_LINK else ""
    exported = {"form": form, "text": done.text.removeprefix("\ufeff"), "notes": done.notes, "link": link}
    return Shown(
        template="incident.html.j2",
        values={"one": incidents.document_of(found), "exported": exported, "file": f"{found.id}.{suffix}"},
    )


def _open(visit: Visit, form: Words) -> To:
    kind = form.get("kind", "incident")
    if kind not in KINDS or kind == "exercise":
        raise UserError(f"kind: there is no `{kind[:40]}`", hint="incident, near-miss or hazard", status=422)
    report = Report(
        route=form.get("route", "").strip(),
        kind=kind,  # type: ignore[arg-type]
        facts=_facts(form),
        first_bad=_text(form, "first_bad"),
        since=_text(form, "since"),
        release=_text(form, "release"),
        alert=_text(form, "alert"),
    )
    found = audited_report(visit.context, lambda: report_incident(visit.context, report, who=visit.who), who=visit.who)
    if kind == "near-miss":
        return To(path=_path(found), note=visit.t("The near miss is on record. No name was recorded, and none is asked for."))
    return To(path=_path(found), note=visit.t("The incident is open."))


def _contain(visit: Visit, form: Words) -> To:
    name, action = visit.place["incident"], form.get("action", "")
    if action not in ACTIONS:
        raise UserError(f"action: there is no `{action[:40]}`", hint=f"one of {', '.join(ACTIONS)}", status=422)
    act, note, facts = cast(domain.Act, action), form.get("note", "").strip(), _facts(form)
    found = audited_change(
        visit.context,
        "contain",
        name,
        lambda: contain_incident(visit.context, name, act, who=visit.who, note=note, facts=facts),
        who=visit.who,
    )
    return To(path=_path(found), note=visit.t("What was done is on record."))


def _resolve(visit: Visit, form: Words) -> To:
    name, facts = visit.place["incident"], _facts(form)
    cause, note = form.get("cause", "").strip(), form.get("note", "").strip()
    found = audited_change(
        visit.context,
        "resolve",
        name,
        lambda: resolve_incident(visit.context, name, who=visit.who, cause=cause, note=note, facts=facts),
        who=visit.who,
    )
    return To(path=_path(found), note=visit.t("The incident is resolved. It is closed with a regression case."))


def _close(visit: Visit, form: Words) -> To:
    """Only of an exercise, which needs no case; else UserError (status 409) with the command that adds one."""
    name, cause = visit.place["incident"], form.get("cause", "").strip()
    found = audited_change(
        visit.context,
        "close",
        name,
        lambda: close_incident(visit.context, name, None, who=visit.who, cause=cause).incident,
        who=visit.who,
    )
    return To(path=_path(found), note=visit.t("The exercise is closed."))


def _facts(form: Words) -> Facts:
    """What the form tells; a field that is left empty tells nothing."""
    words = ("title", "title_zh", "summary", "summary_zh", "group")
    several = {
        word: [one for line in form.get(word, "").splitlines() if (one := line.strip())] for word in ("harms", "techniques")
    }
    counts = {word: _count(form, word) for word in ("severity", "requests", "people")}
    return Facts(**{word: _text(form, word) for word in words}, **counts, **several)  # type: ignore[arg-type]


def _text(form: Words, word: str) -> str | None:
    return form.get(word, "").replace("\r\n", "\n").strip() or None


def _count(form: Words, word: str) -> int | None:
    text = form.get(word, "").strip().replace(",", "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise UserError(f"{word}: `{text[:40]}` is no whole number", hint="write digits, as in 500", status=422)
    return int(text)


def _path(one: Incident) -> str:
    return f"/console/incidents/{one.id}"


PAGES: tuple[Page, ...] = (
    Page(
        name="incidents",
        path="/console/incidents",
        title="Incidents",
        permit="incidents.read",
        show=_show_list,
        menu=50,
        acts={"open": Act(permit="incidents.write", do=_open)},
    ),
    Page(
        name="incident",
        path="/console/incidents/{incident}",
        title="Incident",
        permit="incidents.read",
        show=_show_incident,
        acts={
            "contain": Act(permit="incidents.write", do=_contain),
            "resolve": Act(permit="incidents.write", do=_resolve),
            "close": Act(permit="incidents.write", do=_close),
        },
    ),
    Page(
        name="incident-export",
        path="/console/incidents/{incident}/export/{form}",
        title="Export of an incident",
        permit="incidents.read",
        show=_show_export,
    ),
)
