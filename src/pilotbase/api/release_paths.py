"""`/api/v1/releases`."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pilotbase.api.access import Admit, needs
from pilotbase.api.etags import Expected, Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.releases import Limits, Promotion, Reason, ReleaseLine, ReleaseMoved, ReleaseOut, Resumption
from pilotbase.context import Context
from pilotbase.domain.release import Exposure
from pilotbase.errors import UserError
from pilotbase.flows.release_moves import Moved, plan_of
from pilotbase.flows.release_register import require_release
from pilotbase.flows.release_words import describe_release, pause_release, promote_release, resume_release, roll_back
from pilotbase.release.records import Release, list_releases

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """What is being released, and the words that move it. `If-Match` says which state the caller decides about."""
    router = APIRouter(tags=["releases"])
    _reads(router, context)
    _moves(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    @router.get("/releases", summary="Releases, newest first", openapi_extra=needs("releases.read"))
    def listed(
        paging: Paged,
        route: Annotated[str | None, Query(max_length=200)] = None,
        under_way: Annotated[bool, Query(description="only those that are not over")] = False,
    ) -> Listed[ReleaseLine]:
        found = list_releases(context.database, route=route, open_only=under_way, before=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.id,), _line)

    @router.get("/releases/{release}", summary="One release as it stands", openapi_extra=needs("releases.read"))
    def show(release: str, response: Response) -> ReleaseOut:
        found = require_release(context, release)
        tag(response, found.version)
        return ReleaseOut(about=_line(found), status=describe_release(context, found))


def _moves(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)
    may_move = needs("releases.move")

    @router.post("/releases/{release}/pause", summary="Stand on this rung", openapi_extra=may_move)
    def pause(release: str, wanted: Reason, repeated: Annotated[Once, repeatable], expected: Matched) -> ReleaseMoved:
        def move(found: Release) -> Moved:
            return pause_release(context, found.route, who=repeated.who, why=wanted.why, seen=found)

        return repeated(lambda: _moved(context, release, expected, move))

    @router.post("/releases/{release}/resume", summary="Go on after a pause or a reached limit", openapi_extra=may_move)
    def resume(release: str, wanted: Resumption, repeated: Annotated[Once, repeatable], expected: Matched) -> ReleaseMoved:
        given = wanted.limits or Limits()
        limits = Exposure(people=given.people, requests=given.requests, spend=given.spend, time=given.time)

        def move(found: Release) -> Moved:
            return resume_release(context, found.route, who=repeated.who, why=wanted.why, limits=limits, seen=found)

        return repeated(lambda: _moved(context, release, expected, move))

    @router.post("/releases/{release}/promote", summary="Climb a rung now; on `full`, end", openapi_extra=may_move)
    def promote(release: str, wanted: Promotion, repeated: Annotated[Once, repeatable], expected: Matched) -> ReleaseMoved:
        def move(found: Release) -> Moved:
            return promote_release(context, found.route, who=repeated.who, why=wanted.why, anyway=wanted.anyway, seen=found)

        return repeated(lambda: _moved(context, release, expected, move))

    @router.post("/releases/{release}/rollback", summary="Take the candidate off the route, at once", openapi_extra=may_move)
    def rollback(release: str, wanted: Reason, repeated: Annotated[Once, repeatable]) -> ReleaseMoved:
        """Whoever else moves the release: the version does not matter. A second time nothing changes."""

        def work() -> ReleaseMoved:
            found = require_release(context, release)
            if found.state == "rolled-back":
                return _told(Moved(release=found, changed=False))
            _under_way(context, release)
            return _told(roll_back(context, found.route, who=repeated.who, why=wanted.why))

        return repeated(work)


def _under_way(context: Context, name: str) -> Release:
    """The release of that id. UserError (409) where it is over: another one of its route is not meant."""
    found = require_release(context, name)
    if found.over:
        raise UserError(f"release {found.id} is {found.state}", hint="nothing moves it any more", status=409)
    return found


def _moved(context: Context, name: str, expected: Expected, move: Callable[[Release], Moved]) -> ReleaseMoved:
    found = _under_way(context, name)
    expected.check(found.version)
    return _told(move(found))


def _told(moved: Moved) -> ReleaseMoved:
    return ReleaseMoved(about=_line(moved.release), changed=moved.changed, incident=moved.incident)


def _line(one: Release) -> ReleaseLine:
    plan = plan_of(one)
    return ReleaseLine(
        id=one.id,
        route=one.route,
        state=one.state,
        over=one.over,
        rung=one.rung,
        rungs=[str(rung) for rung in plan.rungs],
        version=one.version,
        started=one.started.isoformat(),
        changed=one.changed.isoformat(),
        bearer=plan.bearer,
        candidate=str(one.document["candidate_id"]),
    )
