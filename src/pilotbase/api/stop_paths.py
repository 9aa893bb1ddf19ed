"""`/api/v1/stops`."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from pilotbase.api.access import Caller
from pilotbase.api.shapes import StopOut, Stopping, StopWanted
from pilotbase.context import Context
from pilotbase.flows.traffic_stop import Stopped, resume_traffic, stop_traffic
from pilotbase.gateway.audit import stamp
from pilotbase.gateway.stops import list_stops

__all__ = ["paths"]


def paths(context: Context, admit: Callable[..., Caller]) -> APIRouter:
    """The kill switch. Both changes may be repeated; the second time nothing changes."""
    router = APIRouter(tags=["stops"])

    @router.get("/stops", summary="What is stopped")
    def listed() -> list[StopOut]:
        return [
            StopOut(kind=stop.kind, name=stop.name, why=stop.why, who=stop.who, since=stamp(stop.since))
            for stop in list_stops(context.database)
        ]

    @router.post("/stops", summary="Stop a route, a key, or ALL traffic")
    def stop(wanted: StopWanted, caller: Annotated[Caller, Depends(admit)]) -> Stopping:
        return _told(stop_traffic(context, wanted.name, why=wanted.why, kind=wanted.kind, who=caller.who))

    @router.delete("/stops", summary="Let it go on")
    def resume(
        name: Annotated[str, Query()],
        caller: Annotated[Caller, Depends(admit)],
        kind: Annotated[Literal["route", "key", "all"] | None, Query()] = None,
        why: Annotated[str | None, Query()] = None,
    ) -> Stopping:
        return _told(resume_traffic(context, name, why=why, kind=kind, who=caller.who))

    return router


def _told(done: Stopped) -> Stopping:
    return Stopping(kind=done.kind, name=done.name, changed=done.changed)
