"""The start page: what needs attention, how much there is, which routes are live. Each member sees what the role lets see."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from pilotbase.console.case_view import in_short
from pilotbase.console.entry_words import choices
from pilotbase.console.page import Page, Shown, Visit
from pilotbase.domain.account import may
from pilotbase.domain.severity import SEVERITIES
from pilotbase.flows.case_overview import case_overview
from pilotbase.flows.case_words import STATE
from pilotbase.flows.overview import Need, count, live_routes, needs

__all__ = ["PAGES"]

_KINDS: Mapping[str, str] = {
    "incident": "Incident",
    "release": "Release",
    "alert": "Alert",
    "run": "Run",
}
_STOPS: Mapping[str, str] = {"all": "All traffic is stopped", "route": "Route stopped", "key": "Key stopped"}
_COUNTS = (
    ("incidents", "Incidents not closed", "/console/incidents"),
    ("releases", "Releases under way", "/console/releases"),
    ("routes", "Routes", "/console/gateway"),
    ("runs", "Runs", "/console/runs"),
    ("members", "Members", "/console/members"),
)


def show(visit: Visit) -> Shown:
    """The page."""
    sees = partial(may, visit.member)
    counts = count(visit.context, sees)
    return Shown(
        template="home.html.j2",
        values={
            "needs": [_line(visit, need) for need in needs(visit.context, sees)],
            "counts": [(visit.t(told), path, counts[name]) for name, told, path in _COUNTS if name in counts],
            **_cases(visit),
            "routes": live_routes(visit.context, sees),
            "address": partial(quote, safe=""),
        },
    )


def _cases(visit: Visit) -> Mapping[str, Any]:
    """Whose turn it is in cases, and how many there are of what."""
    found = case_overview(visit.context, visit.member)
    late = {one.id for one in found.overdue}
    turns = [*found.overdue, *(one for one in found.waiting if one.id not in late)]
    return {
        "turns": [in_short(visit, one) for one in turns],
        "stages": [(STATE[state].text(visit.language), state, number) for state, number in found.stages.items()],
        "areas": [(told, area, found.areas[area]) for area, told in choices(visit)["areas"] if area in found.areas],  # type: ignore[index]
    }


def _line(visit: Visit, need: Need) -> Mapping[str, Any]:
    """One thing that needs attention, in the reader's words."""
    title = need.title.text(visit.language)
    what = visit.t(_STOPS[need.id]) if need.kind == "stop" else visit.t(_KINDS[need.kind])
    if need.kind == "release" and need.checks:
        title = visit.t("Failing on live traffic: %(checks)s") % {"checks": ", ".join(need.checks)}
    return {
        "what": what,
        "title": title,
        "path": _path(need),
        "state": need.state,
        "since": need.since,
        "route": need.route,
        "severity": SEVERITIES[need.severity].text(visit.language) if need.severity in SEVERITIES else "",
    }


def _path(need: Need) -> str:
    name = quote(need.id, safe="")
    if need.kind == "alert":
        return f"/console/releases/{quote(need.checks[0], safe='')}" if need.checks else "/console/releases"
    if need.kind == "stop":
        return "/console/gateway"
    return {"incident": "/console/incidents/", "release": "/console/releases/", "run": "/console/runs/"}[need.kind] + name


PAGES: tuple[Page, ...] = (Page(name="home", path="/console", title="Home", permit="home.read", show=show, menu=10),)
