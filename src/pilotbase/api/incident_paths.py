"""`/api/v1/incidents`. Only the server closes one, with a regression case in the pilot's data: `pilotbase incident close`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from pilotbase.api.access import Admit, needs
from pilotbase.api.etags import Expected, Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.incidents import Containment, ExportOut, IncidentLine, IncidentOut, Known, ReportWanted, Resolution
from pilotbase.context import Context
from pilotbase.domain.incident import Incident
from pilotbase.flows.audited import audited_change, audited_report
from pilotbase.flows.incident import Report, contain_incident, report_incident, resolve_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.incident_list import Asked, list_asked
from pilotbase.release.incident_exports import export
from pilotbase.release.incidents import document_of, find

__all__ = ["paths"]

Form = Literal["json", "csv", "atlas", "aiid"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """What went wrong."""
    router = APIRouter(tags=["incidents"])
    _reads(router, context)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    @router.get("/incidents", summary="Incidents, newest first", openapi_extra=needs("incidents.read"))
    def listed(
        paging: Paged,
        state: Annotated[Literal["open", "contained", "resolved", "closed"] | None, Query()] = None,
        severity: Annotated[int | None, Query(ge=1, le=4)] = None,
        kind: Annotated[Literal["hazard", "near-miss", "incident", "exercise"] | None, Query()] = None,
        route: Annotated[str, Query(max_length=200)] = "",
    ) -> Listed[IncidentLine]:
        asked = Asked(
            state=state or "",
            severity=str(severity) if severity is not None else "",
            kind=kind or "",
            route=route,
            before=paging.before,
        )
        found = list_asked(context, asked, limit=paging.limit + 1)
        return paging.page(found.incidents, lambda one: (one.id,), _line)

    @router.get("/incidents/{incident}", summary="One incident", openapi_extra=needs("incidents.read"))
    def show(incident: str, response: Response) -> IncidentOut:
        found = find(context.database, incident)
        tag(response, found.version)
        return _told(found)

    @router.get(
        "/incidents/{incident}/exports/{form}",
        summary="One incident for others, without names",
        openapi_extra=needs("incidents.read"),
    )
    def exported(incident: str, form: Form) -> ExportOut:
        done = export([find(context.database, incident)], form)
        return ExportOut(form=form, text=done.text, notes=list(done.notes))


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)

    @router.post("/incidents", status_code=201, summary="Report one", openapi_extra=needs("incidents.write"))
    def report(wanted: ReportWanted, repeated: Annotated[Once, repeatable]) -> IncidentOut:
        told = Report(
            route=wanted.route,
            kind=wanted.kind,
            facts=_facts(wanted.known),
            first_bad=wanted.first_bad,
            since=wanted.since,
            release=wanted.release,
            alert=wanted.alert,
            audit=wanted.audit,
        )
        who = repeated.who
        return repeated(
            lambda: _told(audited_report(context, lambda: report_incident(context, told, who=who), who=who)), status=201
        )

    @router.post("/incidents/{incident}/contain", summary="Say what was done about it", openapi_extra=needs("incidents.write"))
    def contain(incident: str, wanted: Containment, repeated: Annotated[Once, repeatable], expected: Matched) -> IncidentOut:
        def step() -> Incident:
            facts = _facts(wanted.known)
            return contain_incident(context, incident, wanted.action, who=repeated.who, note=wanted.note, facts=facts)

        return repeated(lambda: _changed(context, "contain", incident, step, repeated.who, expected))

    @router.post("/incidents/{incident}/resolve", summary="Say that it is mended", openapi_extra=needs("incidents.write"))
    def resolve(incident: str, wanted: Resolution, repeated: Annotated[Once, repeatable], expected: Matched) -> IncidentOut:
        def step() -> Incident:
            facts = _facts(wanted.known)
            return resolve_incident(context, incident, who=repeated.who, cause=wanted.cause, note=wanted.note, facts=facts)

        return repeated(lambda: _changed(context, "resolve", incident, step, repeated.who, expected))


def _changed(
    context: Context, word: str, incident: str, step: Callable[[], Incident], who: str, expected: Expected
) -> IncidentOut:
    """In one transaction with the look at its version: nobody comes in between."""

    def change() -> Incident:
        expected.check(find(context.database, incident).version)
        return step()

    return _told(audited_change(context, word, incident, change, who=who))


def _facts(known: Known | None) -> Facts:
    if known is None:
        return Facts()
    given = asdict(known)
    return Facts(**{**given, "harms": tuple(known.harms or ()), "techniques": tuple(known.techniques or ())})


def _line(one: Incident) -> IncidentLine:
    found = document_of(one)
    return IncidentLine(**{word: found[word] for word in IncidentLine.__dataclass_fields__})


def _told(one: Incident) -> IncidentOut:
    return IncidentOut(about=_line(one), document=document_of(one))
