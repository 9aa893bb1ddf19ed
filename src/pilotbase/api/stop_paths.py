"""`/api/v1/stops`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.traffic import StopOut, Stopping, StopWanted
from pilotbase.context import Context
from pilotbase.domain.access import Stop
from pilotbase.flows.traffic_stop import Stopped, resume_traffic, stop_traffic
from pilotbase.gateway.audit import stamp
from pilotbase.gateway.stops import list_stops

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """The kill switch. Both changes may be repeated; the second time nothing changes."""
    router = APIRouter(tags=["stops"])
    repeatable = once(context, admit)

    @router.get("/stops", summary="What is stopped", openapi_extra=needs("routes.read"))
    def listed(paging: Paged) -> Listed[StopOut]:
        behind = paging.start(3) or ("", "", "")
        found = (one for one in list_stops(context.database) if _place(one) > behind)
        return paging.page(
            found,
            _place,
            lambda one: StopOut(kind=one.kind, name=one.name, why=one.why, who=one.who, since=stamp(one.since)),
        )

    @router.post("/stops", summary="Stop a route, a key, or ALL traffic", openapi_extra=needs("routes.stop"))
    def stop(wanted: StopWanted, repeated: Annotated[Once, repeatable]) -> Stopping:
        return repeated(lambda: _told(stop_traffic(context, wanted.name, why=wanted.why, kind=wanted.kind, who=repeated.who)))

    @router.delete("/stops", summary="Let it go on", openapi_extra=needs("routes.stop"))
    def resume(
        name: Annotated[str, Query()],
        caller: Annotated[Caller, Depends(admit)],
        kind: Annotated[Literal["route", "key", "all"] | None, Query()] = None,
        why: Annotated[str | None, Query()] = None,
    ) -> Stopping:
        return _told(resume_traffic(context, name, why=why, kind=kind, who=caller.who))

    return router


def _place(stop: Stop) -> tuple[str, str, str]:
    return stamp(stop.since), stop.kind, stop.name


def _told(done: Stopped) -> Stopping:
    return Stopping(kind=done.kind, name=done.name, changed=done.changed)
