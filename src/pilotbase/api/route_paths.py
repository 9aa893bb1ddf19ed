"""`/api/v1/routes`."""

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.traffic import RouteAdded, RouteWanted
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.operator import announce, said
from pilotbase.flows.route_add import Wish, add_route
from pilotbase.gateway import routes

__all__ = ["paths"]

_DOSSIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def paths(context: Context, admit: Admit) -> APIRouter:
    """The operations on routes."""
    router = APIRouter(tags=["routes"])

    repeatable = once(context, admit)

    @router.get("/routes", summary="The routes that are served, by name", openapi_extra=needs("routes.read"))
    def listed(paging: Paged) -> Listed[dict[str, Any]]:
        found = routes.list_routes(context.database, after=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.route.name,), lambda one: routes.document_of(one.route))

    @router.post("/routes", status_code=201, summary="Serve a route from now on", openapi_extra=needs("routes.write"))
    def add(wanted: RouteWanted, repeated: Annotated[Once, repeatable]) -> RouteAdded:
        _refuse_targets(wanted.route)
        wish = Wish(
            document=wanted.route,
            candidate=wanted.candidate,
            dossier=_dossier(context, wanted.dossier) if wanted.dossier is not None else None,
            policy=wanted.policy,
            by=wanted.by,
            reason=wanted.reason,
            replace=wanted.replace,
        )

        def work() -> RouteAdded:
            done = add_route(context, wish, who=repeated.who)
            return RouteAdded(route=routes.document_of(done.route), warning=done.warning)

        return repeated(work, status=201)

    @router.get("/routes/{name:path}", summary="One route", openapi_extra=needs("routes.read"))
    def show(name: str) -> dict[str, Any]:
        found = routes.find_route(context.database, name)
        if found is None:
            raise routes.unknown(context.database, name)
        return routes.document_of(found.route)

    @router.delete("/routes/{name:path}", status_code=204, summary="Serve a route no longer", openapi_extra=needs("routes.write"))
    def remove(name: str, caller: Annotated[Caller, Depends(admit)], why: Annotated[str, Query()]) -> None:
        reason = said("why", why)
        routes.remove(context.database, name, why=reason, who=caller.who, now=context.clock.now())
        announce(context)

    return router


def _refuse_targets(document: dict[str, Any]) -> None:
    """Who holds an admin key may not have code run that lies on the server: that needs an account there."""
    upstreams = document.get("upstreams")
    for upstream in upstreams if isinstance(upstreams, list) else ():
        if isinstance(upstream, dict) and (upstream.get("kind") == "target" or upstream.get("target") is not None):
            hint = "add it on the server: pilotbase route add NAME --pilot PILOT --candidate ID"
            raise UserError("a route to code on the server cannot be added over the API", hint=hint, status=403)


def _dossier(context: Context, name: str) -> Path:
    path = context.home / "dossiers" / name
    if not _DOSSIER.fullmatch(name) or not path.exists():
        hint = "name one in the folder `dossiers` of the base's home, where `pilotbase dossier` puts them"
        raise UserError(f"there is no dossier `{name[:80]}`", hint=hint, status=404)
    return path
