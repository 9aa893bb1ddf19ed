"""`/api/v1/pilots`. Files come as texts, within the size of a body, or as a zip of the pilot's folder."""

from io import BytesIO
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Response

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.etags import Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.pilots import FilesWanted, NewFilesWanted, PilotLine, PilotOut
from pilotbase.api.shapes.telling import told
from pilotbase.context import Context
from pilotbase.flows import workspace as flow
from pilotbase.pilots import workspaces

__all__ = ["LARGER", "paths"]

PACKED = "/pilots/packed"
LARGER = {f"/api/v1{PACKED}": flow.ALLOWANCE.bytes}
"""Paths whose bodies may be larger than others."""


def paths(context: Context, admit: Admit) -> APIRouter:
    """Pilots that members keep on the base."""
    router = APIRouter(tags=["pilots"])
    _reads(router, context)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    @router.get("/pilots", summary="Pilots on the base, newest first", openapi_extra=needs("pilots.read"))
    def listed(paging: Paged) -> Listed[PilotLine]:
        found, _ = workspaces.workspaces_page(context.database, before=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.id,), lambda one: told(PilotLine, one))

    @router.get("/pilots/{pilot}", summary="One, with its mistakes and its forecast", openapi_extra=needs("pilots.read"))
    def show(
        pilot: str,
        response: Response,
        version: Annotated[int | None, Query(ge=1, le=10**9, description="the newest where it is not said")] = None,
    ) -> PilotOut:
        found = _seen(context, pilot, version)
        tag(response, found.about.version)
        return found


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    @router.post("/pilots", status_code=201, summary="Keep a new one", openapi_extra=needs("pilots.write"))
    def add(
        wanted: FilesWanted, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, once(context, admit)]
    ) -> PilotOut:
        def work() -> PilotOut:
            made = flow.keep_files(context, flow.written(context, wanted.files), caller.acting, caller.who)
            return _seen(context, made.id)

        return repeated(work, status=201)

    @router.post(PACKED, status_code=201, summary="Keep a new one, from a zip", openapi_extra=needs("pilots.write"))
    def add_packed(
        data: Annotated[bytes, Body(media_type="application/zip", description="at most 50 MiB, packed and unpacked")],
        caller: Annotated[Caller, Depends(admit)],
        repeated: Annotated[Once, once(context, admit)],
    ) -> PilotOut:
        def work() -> PilotOut:
            files = flow.received(context, "pilot.zip", len(data), BytesIO(data))
            return _seen(context, flow.keep_files(context, files, caller.acting, caller.who).id)

        return repeated(work, status=201)

    @router.put("/pilots/{pilot}/files", summary="Make the next version", openapi_extra=needs("pilots.write"))
    def change(pilot: str, wanted: NewFilesWanted, caller: Annotated[Caller, Depends(admit)], expected: Matched) -> PilotOut:
        found = workspaces.get(context.database, pilot)
        expected.check(found.version)
        sent = flow.written(context, wanted.files)
        flow.change_files(context, found.id, sent, base=found.version, whole=wanted.whole, who=caller.who)
        return _seen(context, found.id)


def _seen(context: Context, pilot: str, version: int | None = None) -> PilotOut:
    found = flow.sight(context, pilot, version)
    facts = flow.facts_of(found.forecast)
    return PilotOut(
        about=told(PilotLine, found.workspace),
        shown=found.version.version,
        digest=found.version.digest,
        spec=found.text,
        mistakes=found.mistakes,
        files=dict(found.files),
        forecast=dict(facts) if facts is not None else None,
    )
