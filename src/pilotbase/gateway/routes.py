"""Routes in the database, each as one JSON document. Every change moves the epoch on and is written down."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pilotbase.domain.price import Price
from pilotbase.domain.problem import kebab, nearest
from pilotbase.domain.traffic import Arm, GuardUse, Labels, Limits, Preamble, Route, Tie, Timeouts, Upstream
from pilotbase.errors import UserError
from pilotbase.gateway import audit
from pilotbase.store.database import Database

__all__ = [
    "POLICIES",
    "StoredRoute",
    "changed_since",
    "document_of",
    "find_route",
    "list_routes",
    "put",
    "read_policy",
    "read_route",
    "remove",
    "removed_since",
    "set_policy",
    "unknown",
]

POLICIES = ("prevent", "warn", "allow")
_POLICY = "route-policy"
_ONE: Mapping[str, type] = {"price": Price, "labels": Labels, "tie": Tie, "timeouts": Timeouts, "limits": Limits, "arm": Arm}
_SEVERAL: Mapping[str, type] = {"upstreams": Upstream, "preamble": Preamble, "guards": GuardUse}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRoute:
    """A route, and since when it is served as it is."""

    route: Route
    created: datetime


def put(database: Database, route: Route, *, who: str, now: datetime, replace: bool = False, release: bool = False) -> None:
    """Serve a route from now on. UserError (status 409) where its name is taken, unless it is to be replaced, and where it is
    under release, which alone (`release`) may change it then.
    """
    with database.transaction():
        known = find_route(database, route.name)
        there = known is not None
        if known is not None and not release:
            _refuse_under_release(known.route)
        if there and not replace:
            message = f"there is a route `{route.name}` already"
            hint = f"give --replace to put this one in its place, or remove it first: pilotbase route rm {route.name}"
            raise UserError(message, hint=hint, status=409)
        document = document_of(route)
        detail = {"tie": document["tie"], "upstreams": [_named(u) for u in document["upstreams"]], "price": document["price"]}
        action = "route.replace" if there else "route.add"
        with audit.changing(database, who=who, action=action, subject=route.name, detail=detail, now=now) as epoch:
            database.execute(
                "INSERT INTO routes (name, document, created, removed, changed) VALUES (?, ?, ?, NULL, ?)"
                " ON CONFLICT (name) DO UPDATE SET document = excluded.document, created = excluded.created,"
                " removed = NULL, changed = excluded.changed",
                (route.name, orjson.dumps(document).decode(), audit.stamp(now), epoch),
            )


def remove(database: Database, name: str, *, why: str, who: str, now: datetime) -> None:
    """Serve a route no longer; what it used stays accounted for. UserError (status 404) where there is none."""
    with database.transaction():
        known = find_route(database, name)
        if known is None:
            raise unknown(database, name)
        _refuse_under_release(known.route)
        with audit.changing(database, who=who, action="route.rm", subject=name, detail={"why": why}, now=now) as epoch:
            database.execute("UPDATE routes SET removed = ?, changed = ? WHERE name = ?", (audit.stamp(now), epoch, name))


def find_route(database: Database, name: str) -> StoredRoute | None:
    """A route that is served, by its name."""
    row = database.row("SELECT document, created FROM routes WHERE name = ? AND removed IS NULL", (name,))
    return _stored(row) if row is not None else None


def list_routes(database: Database, *, after: str = "", limit: int = 1_000_000) -> list[StoredRoute]:
    """The routes that are served, by name, at most `limit` of those behind the name `after`."""
    rows = database.rows(
        "SELECT document, created FROM routes WHERE removed IS NULL AND name > ? ORDER BY name LIMIT ?", (after, limit)
    )
    return [_stored(row) for row in rows]


def changed_since(database: Database, epoch: int) -> list[Route]:
    """The routes that were added or replaced after `epoch`."""
    rows = database.rows("SELECT document FROM routes WHERE changed > ? AND removed IS NULL", (epoch,))
    return [read_route(orjson.loads(row["document"])) for row in rows]


def removed_since(database: Database, epoch: int) -> list[str]:
    """The names of those that were removed after `epoch`."""
    rows = database.rows("SELECT name FROM routes WHERE changed > ? AND removed IS NOT NULL ORDER BY name", (epoch,))
    return [row["name"] for row in rows]


def unknown(database: Database, name: str) -> UserError:
    """The error for a name that no route has, with the name that was probably meant."""
    known = [row["name"] for row in database.rows("SELECT name FROM routes WHERE removed IS NULL ORDER BY name")]
    near = nearest(name, known)
    hint = f"did you mean `{near}`?" if near else f"the routes are {', '.join(known[:20])}" if known else "there is no route yet"
    return UserError(f"there is no route `{name[:128]}`", hint=hint, status=404)


def read_policy(database: Database) -> str | None:
    """What the base does with a route that no verified PASS stands behind; None where nobody has said."""
    row = database.row("SELECT value FROM control WHERE name = ?", (_POLICY,))
    return POLICIES[int(row["value"])] if row is not None else None


def set_policy(database: Database, policy: str, *, who: str, reason: str, now: datetime) -> None:
    """Set the base's policy, one of POLICIES, for routes added from now on."""
    detail = {"policy": policy, "reason": reason}
    with audit.changing(database, who=who, action="route.policy", subject="base", detail=detail, now=now):
        database.execute(
            "INSERT INTO control (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (_POLICY, POLICIES.index(policy)),
        )


def document_of(route: Route) -> dict[str, Any]:
    """A route as JSON's types, in the words of its file, defaults written out."""
    found: dict[str, Any] = _plain(route)
    if route.arm is None:
        del found["arm"]
    return found


def read_route(document: Mapping[str, Any]) -> Route:
    """The route that `document_of` wrote. For documents that were checked before they were stored: nothing is checked again."""
    return Route(**_fields(Route, document))


def _refuse_under_release(route: Route) -> None:
    if route.arm is not None:
        message = f"the route `{route.name}` is under release {route.arm.release}: nothing else may change it"
        raise UserError(message, hint=f"end that first: pilotbase release rollback {route.name} --why ...", status=409)


def _fields(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a dataclass; words that this version does not know are left out, and missing ones take their defaults."""
    names = {kebab(f.name): f.name for f in dataclasses.fields(kind)}
    return {names[word]: _value(word, value) for word, value in document.items() if word in names}


def _value(word: str, value: Any) -> Any:
    if word in _ONE and value is not None:
        return _ONE[word](**_fields(_ONE[word], value))
    if word in _SEVERAL:
        return tuple(_SEVERAL[word](**_fields(_SEVERAL[word], one)) for one in value)
    return tuple(value) if word == "people" else value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {kebab(f.name): _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _named(upstream: Mapping[str, Any]) -> dict[str, Any]:
    """What an audit entry says of an upstream: whom, never with what key."""
    return {word: upstream[word] for word in ("name", "kind", "url", "model", "weight", "tier")}


def _stored(row: Any) -> StoredRoute:
    return StoredRoute(route=read_route(orjson.loads(row["document"])), created=datetime.fromisoformat(row["created"]))
