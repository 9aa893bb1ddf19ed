"""The gateway's pages: what is served and how it fares, one route, and the switches that stop traffic."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pilotbase.console.links import ROUTE_PATH, route_link, route_named
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.pages import keys, usage
from pilotbase.domain.traffic import Route, Tie, Upstream
from pilotbase.errors import UserError
from pilotbase.flows.route_sight import RouteSight, list_sights, past, route_sight
from pilotbase.flows.route_traffic import Traffic
from pilotbase.flows.traffic_stop import ALL, Stopped, resume_traffic, stop_traffic
from pilotbase.gateway import routes, stops

__all__ = ["PAGES"]

_ROUTES = "/console/gateway"


def _routes(visit: Visit) -> Shown:
    stopped = stops.list_stops(visit.context.database)
    sights = list_sights(visit.context)
    rows = [
        {
            "sight": sight,
            "link": route_link(sight.route.name),
            "rests": _rests(visit, sight.route.tie),
            "price": _price(visit, sight.route),
            "upstreams": [f"{one.name}: {_where(one)}" for one in sight.route.upstreams],
            "health": _HEALTH[sight.traffic.health],
        }
        for sight in sights
    ]
    served = {sight.route.name for sight in sights}
    all_stopped = next((one for one in stopped if one.kind == "all"), None)
    others = [one for one in stopped if one.kind == "route" and one.name not in served]
    return Shown(template="routes.html.j2", values={"rows": rows, "all_stopped": all_stopped, "gone": others})


def _route(visit: Visit) -> Shown:
    sight = route_sight(visit.context, route_named(visit.place.get("route", "")))
    route = sight.route
    lately = past(visit.context, route.name)
    return Shown(
        template="route.html.j2",
        values={
            "sight": sight,
            "route": route,
            "lately": lately,
            "points": [
                {"name": f"{hour.began:%H:%M}", "value": hour.requests, "part": hour.failed, "at": hour.began.isoformat()}
                for hour in lately.hours
            ],
            "health": _HEALTH[sight.traffic.health],
            "rests": _rests(visit, route.tie),
            "price": _price(visit, route),
            "upstreams": [
                {"upstream": one, "where": _where(one), "traffic": traffic, "health": _HEALTH[traffic.health], "arm": arm}
                for arm, one, traffic in _arms(sight)
            ],
            "document": orjson.dumps(routes.document_of(route), option=orjson.OPT_INDENT_2).decode(),
            "all_stopped": next((one for one in stops.list_stops(visit.context.database) if one.kind == "all"), None),
        },
    )


def _stop_all(visit: Visit, form: Mapping[str, str]) -> To:
    done = stop_traffic(visit.context, ALL, why=_why(visit, form), kind="all", who=visit.who)
    return To(path=_ROUTES, note=_note(visit, done, stopped=True))


def _resume_all(visit: Visit, form: Mapping[str, str]) -> To:
    done = resume_traffic(visit.context, ALL, why=_why(visit, form), kind="all", who=visit.who)
    return To(path=_ROUTES, note=_note(visit, done, stopped=False))


def _stop(visit: Visit, form: Mapping[str, str]) -> To:
    name = route_named(visit.place.get("route", ""))
    done = stop_traffic(visit.context, name, why=_why(visit, form), kind="route", who=visit.who)
    return To(path=route_link(name), note=_note(visit, done, stopped=True))


def _resume(visit: Visit, form: Mapping[str, str]) -> To:
    name = form.get("name") or route_named(visit.place.get("route", ""))
    done = resume_traffic(visit.context, name, why=_why(visit, form), kind="route", who=visit.who)
    served = routes.find_route(visit.context.database, name) is not None
    return To(path=route_link(name) if served else _ROUTES, note=_note(visit, done, stopped=False))


def _note(visit: Visit, done: Stopped, *, stopped: bool) -> str:
    if not done.changed:
        return visit.t("Nothing changed: it was so already.")
    if done.kind == "all":
        return visit.t("All traffic is stopped.") if stopped else visit.t("Traffic goes on.")
    text = visit.t("The route %(name)s is stopped.") if stopped else visit.t("The route %(name)s goes on.")
    return text % {"name": done.name}


def _why(visit: Visit, form: Mapping[str, str]) -> str:
    why = form.get("why", "").strip()
    if not why:
        raise UserError(visit.t("A reason is missing."), hint=visit.t("It is kept in the audit log."), status=422)
    return why


def _where(upstream: Upstream) -> str:
    target: Mapping[str, Any] = upstream.target or {}
    return upstream.url or str(target.get("candidate") or target.get("kind") or upstream.kind)


def _price(visit: Visit, route: Route) -> list[str]:
    if route.price is None:
        return []
    words = ("%(amount)s a call", "%(amount)s per million tokens read", "%(amount)s per million tokens written")
    return [
        visit.t(word) % {"amount": amount}
        for word, amount in zip(words, route.price.amounts(), strict=True)
        if amount is not None
    ]


def _arms(sight: RouteSight) -> Iterator[tuple[str, Upstream, Traffic]]:
    for one in sight.route.upstreams:
        yield "stable", one, sight.upstreams[one.name]
    for one in sight.route.arm.upstreams if sight.route.arm is not None else ():
        yield "candidate", one, sight.candidates[one.name]


def _rests(visit: Visit, tie: Tie) -> dict[str, Any]:
    """What a route rests on: a badge's tone, shape and word, and a sentence."""
    if tie.verdict == "pass":
        text = visit.t("The candidate %(candidate)s passed; sealed by %(signer)s.")
        return {"badge": ("good", "✓", "pass"), "text": text % {"candidate": tie.candidate, "signer": tie.signer}}
    if tie.by is not None:
        text = visit.t("No verified pass stands behind it. %(by)s allowed it: %(reason)s")
        return {"badge": ("doubt", "!", "allowed"), "text": text % {"by": tie.by, "reason": tie.reason or "—"}}
    if tie.verdict is None:
        return {"badge": ("calm", "○", "no scenario"), "text": visit.t("Neither a scenario nor a dossier is named.")}
    return {"badge": ("doubt", "!", "no pass"), "text": visit.t("No verified pass stands behind it.")}


_HEALTH: Mapping[str, tuple[str, str, str]] = {
    "answering": ("good", "✓", "answering"),
    "faltering": ("doubt", "!", "some failures"),
    "failing": ("bad", "✕", "failing"),
    "quiet": ("calm", "○", "no traffic of late"),
}
"""Tone, shape and word of a badge."""

PAGES: tuple[Page, ...] = (
    Page(
        name="gateway",
        path=_ROUTES,
        title="Gateway",
        permit="routes.read",
        show=_routes,
        menu=30,
        acts={
            "stop-all": Act(permit="routes.stop", do=_stop_all),
            "resume-all": Act(permit="routes.stop", do=_resume_all),
            "resume": Act(permit="routes.stop", do=_resume),
        },
    ),
    Page(
        name="route",
        path=ROUTE_PATH,
        title="Route",
        permit="routes.read",
        show=_route,
        acts={"stop": Act(permit="routes.stop", do=_stop), "resume": Act(permit="routes.stop", do=_resume)},
    ),
    *keys.PAGES,
    *usage.PAGES,
)
