"""What a worker knows of routes, keys and stops, as of one epoch, and how it learns of changes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pilotbase.domain.access import AccessKey
from pilotbase.domain.metering import Fare, fare
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Route
from pilotbase.gateway.guards import Guarding
from pilotbase.gateway.routes import read_route

__all__ = ["Served", "View", "read_key"]

MOST_UNKNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """A route made ready: its price in integers, its guards built.

    Of a route under release this is its stable arm, and `candidate` the other one, made ready likewise. `key` tells the two
    apart where something is kept of each: connections, health, targets. `why` says what keeps the candidate from being served.
    """

    route: Route
    fare: Fare
    guarding: Guarding
    key: str
    candidate: "Served | None" = None
    why: str = ""


@dataclass(slots=True)
class View:
    """The state of one worker. `ask(word, body)` asks the keeper; `compile_` makes a route ready; `changed` hears of every
    change, and which keys it was about.

    `seen` is the value of the shared page that this view is as new as, `epoch` the database's count of changes. `broken` holds
    the routes that could not be made ready, each with the reason: they are refused, and the others go on.
    """

    ask: Callable[[str, Any], Awaitable[Any]]
    compile_: Callable[[Route, str], Guarding]
    changed: Callable[[Sequence[str]], None]
    seen: int = -1
    epoch: int = -1
    routes: dict[str, Served] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    stops: frozenset[tuple[str, str]] = frozenset()
    _keys: dict[str, AccessKey] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self, page: int) -> None:
        """Learn what has changed by the time the page said `page`. Several callers wait for one answer."""
        async with self._turn:
            # Not "at least as new": a page that was set back must not hide what comes after.
            if self.seen == page:
                return
            told = await self.ask("changes", self.epoch)
            for document in told["routes"]:
                self._serve(read_route(document))
            for name in told["removed"]:
                self.routes.pop(name, None)
                self.broken.pop(name, None)
            keys = [self._keep(read_key(document)).id for document in told["keys"]]
            # A key that was unknown a moment ago may be new.
            self._unknown.clear()
            self.stops = frozenset((kind, name) for kind, name in told["stops"])
            self.epoch, self.seen = told["epoch"], page
        self.changed(keys)

    async def key(self, name: str) -> AccessKey | None:
        """A key by its public part; None where there is none."""
        found = self._keys.get(name)
        if found is not None or name in self._unknown:
            return found
        while True:
            seen = self.seen
            document = await self.ask("key", name)
            # What was learnt meanwhile is newer than this answer may be.
            if seen == self.seen:
                break
            if (found := self._keys.get(name)) is not None:
                return found
        if document is None:
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(name)
            return None
        return self._keep(read_key(document))

    def stopped(self, key: str, route: str) -> bool:
        """Whether a person has stopped this key, this route, or everything."""
        stops = self.stops
        return bool(stops) and (("all", "") in stops or ("key", key) in stops or ("route", route) in stops)

    def held_key(self, name: str) -> AccessKey | None:
        """A key as far as it is known here already."""
        return self._keys.get(name)

    def _serve(self, route: Route) -> None:
        """Take a route up, in place of the one of its name. What it was before serves nobody any more, whatever happens."""
        self.routes.pop(route.name, None)
        self.broken.pop(route.name, None)
        try:
            candidate, why = self._candidate(route)
            self.routes[route.name] = Served(
                route, fare(route.price), self.compile_(route, route.name), route.name, candidate, why
            )
        except Exception as error:  # noqa: BLE001 - guards are plug-ins: one that cannot be built must not end the others
            self.broken[route.name] = str(error) or type(error).__name__

    def _candidate(self, route: Route) -> tuple[Served | None, str]:
        """The candidate arm made ready; where that fails the stable arm answers everyone, and why is told."""
        arm = route.arm
        if arm is None:
            return None, ""
        alone = replace(route, upstreams=arm.upstreams, tie=arm.tie)
        key = f"{route.name}~candidate"  # no route can be called so
        try:
            return Served(alone, fare(route.price), self.compile_(alone, key), key), ""
        except Exception as error:  # noqa: BLE001 - whatever a candidate needs that is not there, the route goes on without it
            return None, str(error) or type(error).__name__

    def keys(self) -> set[str]:
        """The keys of everything that is served."""
        return {key for one in self.routes.values() for key in (one.key, one.candidate.key if one.candidate else one.key)}

    def _keep(self, key: AccessKey) -> AccessKey:
        self._keys[key.id] = key
        return key


def read_key(document: Mapping[str, Any]) -> AccessKey:
    """A key as the keeper sends it."""
    moment = {name: datetime.fromisoformat(document[name]) for name in ("created", "expires", "revoked") if document.get(name)}
    budget = document.get("budget")
    routes = document.get("routes")
    return AccessKey(
        id=document["id"],
        name=document["name"],
        digest=document["digest"],
        created=moment["created"],
        budget=parse_money(budget) if budget else None,
        rpm=document.get("rpm"),
        tpm=document.get("tpm"),
        routes=None if routes is None else tuple(routes),
        expires=moment.get("expires"),
        revoked=moment.get("revoked"),
        cut=bool(document.get("cut")),
        admin=bool(document.get("admin")),
        replaces=document.get("replaces"),
    )
