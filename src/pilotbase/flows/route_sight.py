"""Routes as people look at them: since when, how they fared of late, and whether they are stopped or under release."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.access import Stop
from pilotbase.domain.traffic import Route
from pilotbase.flows.route_traffic import DAY, Traffic, counts, micros, moment_of
from pilotbase.gateway import routes, stops
from pilotbase.gateway.outcomes import failed
from pilotbase.release import records
from pilotbase.release.records import Release

__all__ = ["Hour", "Past", "RouteSight", "list_sights", "past", "route_sight"]

_HOUR = 3_600_000_000
_SHOWN = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSight:
    """A route at this moment. `upstreams` and `candidates` hold the traffic of each upstream of the two arms by its name."""

    route: Route
    since: datetime
    stop: Stop | None
    release: Release | None
    traffic: Traffic
    upstreams: Mapping[str, Traffic] = field(default_factory=dict)
    candidates: Mapping[str, Traffic] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Hour:
    """One hour of a route's last day."""

    began: datetime
    requests: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A route's last day: by the hour, what went wrong how often (outcome, status, times, whether it counts), the newest rows."""

    hours: Sequence[Hour]
    errors: Sequence[tuple[str, int | None, int, bool]]
    newest: Sequence[Mapping[str, Any]]


def list_sights(context: Context) -> list[RouteSight]:
    """All routes, by name."""
    return _sights(context, routes.list_routes(context.database), counts(context))


def route_sight(context: Context, name: str) -> RouteSight:
    """One route. UserError (status 404) where there is none."""
    found = routes.find_route(context.database, name)
    if found is None:
        raise routes.unknown(context.database, name)
    return _sights(context, [found], counts(context, name))[0]


def past(context: Context, name: str) -> Past:
    """What a route's callers met with in the last day; copies to a shadow are no callers."""
    now = context.clock.now()
    first = micros(now - DAY) // _HOUR + 1
    hours = {hour: Hour(began=moment_of(hour * _HOUR)) for hour in range(first, micros(now) // _HOUR + 1)}
    errors: dict[tuple[str, int | None], int] = {}
    for row in counts(context, name, f"started / {_HOUR}"):
        bad = failed(row["outcome"], row["status"])
        hour = hours.get(int(row["hour"]))
        if hour is not None:
            hour.requests += int(row["requests"])
            hour.failed += int(row["requests"]) if bad else 0
        if bad is not False and row["outcome"]:
            key = (row["outcome"], row["status"])
            errors[key] = errors.get(key, 0) + int(row["requests"])
    told = [(outcome, status, times, bool(failed(outcome, status))) for (outcome, status), times in errors.items()]
    rows = context.database.rows(
        "SELECT id, started, upstream, arm, endpoint, state, outcome, status, seconds, ttft, tokens_in, tokens_out FROM requests"
        " WHERE route = ? AND started >= ? AND arm <> 'shadow' ORDER BY started DESC, id LIMIT ?",
        (name, micros(now - DAY), _SHOWN),
    )
    newest = [
        {**dict(row), "began": moment_of(int(row["started"])), "bad": failed(row["outcome"], row["status"])} for row in rows
    ]
    return Past(hours=list(hours.values()), errors=sorted(told, key=lambda one: (-one[2], one[0])), newest=newest)


def _sights(context: Context, found: Iterable[routes.StoredRoute], rows: Sequence[Any]) -> list[RouteSight]:
    stopped = {stop.name: stop for stop in stops.list_stops(context.database) if stop.kind == "route"}
    released = {one.route: one for one in records.list_releases(context.database, open_only=True, limit=1000)}
    sights = {
        one.route.name: RouteSight(
            route=one.route,
            since=one.created,
            stop=stopped.get(one.route.name),
            release=released.get(one.route.name),
            traffic=Traffic(),
            upstreams={upstream.name: Traffic() for upstream in one.route.upstreams},
            candidates={upstream.name: Traffic() for upstream in one.route.arm.upstreams} if one.route.arm is not None else {},
        )
        for one in found
    }
    for row in rows:
        sight = sights.get(row["route"])
        if sight is not None:
            sight.traffic.count(row)
            place = sight.candidates if row["arm"] == "candidate" else sight.upstreams
            if row["upstream"] in place:
                place[row["upstream"]].count(row)
    return list(sights.values())
