"""What a base looks like at a glance: what needs somebody, how much of everything there is, which routes are live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pilotbase.context import Context
from pilotbase.domain.access import Stop
from pilotbase.domain.scenario import Titles
from pilotbase.gateway import routes, stops
from pilotbase.release import records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.incidents import list_incidents

__all__ = ["Live", "Need", "count", "live_routes", "needs"]

Sees = Callable[[str], bool]
"""Whether the reader may see what a permit opens."""
MOST = 20
_FAILING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that somebody should look at. `title` is empty where kind and route say it all; `checks` are those that fail."""

    kind: Literal["stop", "incident", "release", "alert", "run"]
    id: str
    state: str
    since: datetime | str
    route: str = ""
    title: Titles = field(default_factory=Titles)
    severity: int = 0
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A route, who stopped it and which release is under way on it, if any."""

    name: str
    since: datetime
    stop: Stop | None
    release: str
    release_state: str


def needs(context: Context, sees: Sees) -> list[Need]:
    """What needs attention, of that which the reader may see: the gravest kind first, and of each kind the newest."""
    found: list[Need] = []
    for permit, look in (
        ("routes.read", _stopped),
        ("incidents.read", _incidents),
        ("releases.read", _releases),
        ("releases.read", _alerts),
        ("runs.read", _runs),
    ):
        if sees(permit):
            found += look(context)
    return found


def count(context: Context, sees: Sees) -> Mapping[str, int]:
    """How many there are of each thing that the reader may see."""
    asked = (
        ("runs", "runs.read", "SELECT count(*) AS n FROM runs"),
        ("routes", "routes.read", "SELECT count(*) AS n FROM routes WHERE removed IS NULL"),
        ("releases", "releases.read", "SELECT count(*) AS n FROM releases WHERE state NOT IN ('rolled-back', 'ended')"),
        ("incidents", "incidents.read", "SELECT count(*) AS n FROM incidents WHERE state IN ('open', 'contained', 'resolved')"),
        ("members", "members.read", "SELECT count(*) AS n FROM members WHERE disabled IS NULL"),
    )
    found: dict[str, int] = {}
    for name, permit, sql in asked:
        row = context.database.row(sql) if sees(permit) else None
        if row is not None:
            found[name] = int(row["n"])
    return found


def live_routes(context: Context, sees: Sees) -> list[Live]:
    """Every route by name, where the reader may see routes."""
    if not sees("routes.read"):
        return []
    stopped = {(one.kind, one.name): one for one in stops.list_stops(context.database)}
    released = {one.route: one for one in records.list_releases(context.database, open_only=True, limit=1000)}
    return [
        Live(
            name=name,
            since=one.created,
            stop=stopped.get(("all", "")) or stopped.get(("route", name)),
            release=released[name].id if name in released else "",
            release_state=released[name].state if name in released else "",
        )
        for one in routes.list_routes(context.database)
        for name in (one.route.name,)
    ]


def _stopped(context: Context) -> Iterator[Need]:
    for one in stops.list_stops(context.database)[:MOST]:
        yield Need(
            kind="stop", id=one.kind, state="stopped", since=one.since, route=one.name, title=Titles(en=one.why, zh=one.why)
        )


def _incidents(context: Context) -> Iterator[Need]:
    for state in ("open", "contained", "resolved"):
        for one in list_incidents(context.database, state=state, limit=MOST):
            if one.kind != "exercise":
                yield Need(
                    kind="incident",
                    id=one.id,
                    state=one.state,
                    since=one.detected,
                    route=one.route,
                    title=one.title,
                    severity=one.severity,
                )


def _releases(context: Context) -> Iterator[Need]:
    for one in records.list_releases(context.database, open_only=True, limit=MOST):
        seen = records.read_sight(context.database, one.id)
        checks: list[Mapping[str, Any]] = list(seen[1].get("checks", ())) if seen is not None else []
        failing = tuple(str(check["id"]) for check in checks if check["mandatory"] and check["verdict"] == "fail")
        if failing or one.state in ("held", "paused"):
            yield Need(kind="release", id=one.id, state=one.state, since=one.changed, route=one.route, checks=failing[:_FAILING])


def _alerts(context: Context) -> Iterator[Need]:
    for one in list_alerts(context.database, state="open", limit=MOST):
        alert = one.alert
        title = Titles(en=alert.title, zh=alert.title_zh)
        yield Need(
            kind="alert",
            id=one.id,
            state="open",
            since=one.last,
            route=alert.route,
            title=title,
            severity=alert.severity,
            checks=(alert.release,) if alert.release else (),
        )


def _runs(context: Context) -> Iterator[Need]:
    rows = context.database.rows(
        "SELECT run, pilot, state, updated FROM runs WHERE state = 'interrupted' ORDER BY rowid DESC LIMIT ?", (MOST,)
    )
    for row in rows:
        yield Need(
            kind="run", id=row["run"], state=row["state"], since=row["updated"], title=Titles(en=row["pilot"], zh=row["pilot"])
        )
