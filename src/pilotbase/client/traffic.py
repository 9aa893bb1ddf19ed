"""Routes, keys, and what is stopped."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pilotbase.client.http import Http
from pilotbase.client.reading import read
from pilotbase.client.results import Key, NewKey, NewRoute, Stop, Stopping

__all__ = ["Keys", "Routes", "Stops"]


class Routes:
    """What is served; a route is the document that `pilotbase route show` prints."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.list()

    def list(self) -> Iterator[Mapping[str, Any]]:
        """Routes, by name."""
        return self._http.walk(dict, "/routes")

    def get(self, name: str) -> Mapping[str, Any]:
        """One route."""
        found: Mapping[str, Any] = self._http.get("/routes/{name}", name=name)
        return found

    def add(self, route: Mapping[str, Any], *, replace: bool = False, **more: str) -> NewRoute:
        """Serve a route. `more`: `dossier`, `candidate`, `policy`, `by`, `reason`."""
        return read(NewRoute, self._http.post("/routes", {"route": dict(route), "replace": replace, **more}))

    def remove(self, name: str, *, why: str) -> None:
        """Serve a route no longer."""
        self._http.delete("/routes/{name}", {"why": why}, name=name)


class Keys:
    """Access keys, by id or name."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Key]:
        return self.list()

    def list(self) -> Iterator[Key]:
        """Keys, newest first, revoked ones too."""
        return self._http.walk(Key, "/keys")

    def create(
        self,
        name: str,
        *,
        budget: str | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        routes: Sequence[str] | None = None,
        expires: str | None = None,
        admin: bool = False,
        once: str = "",
    ) -> NewKey:
        """Make a key. Its text is told this once: keep it before anything else is done."""
        body: dict[str, Any] = {"name": name, "budget": budget, "rpm": rpm, "tpm": tpm, "expires": expires, "admin": admin}
        body["routes"] = list(routes) if routes is not None else None
        return read(NewKey, self._http.post("/keys", body, once=once))

    def rotate(self, name: str, *, keep: str | None = None) -> NewKey:
        """Another text for the same key; the old one is let through for as long as `keep` says, as in `10m`."""
        return read(NewKey, self._http.post("/keys/{name}/rotate", {"keep": keep}, name=name))

    def revoke(self, name: str, *, why: str, cut: bool = False) -> Key:
        """Let a key in no more; with `cut` its streams end too."""
        return read(Key, self._http.post("/keys/{name}/revoke", {"why": why, "cut": cut}, name=name))


class Stops:
    """The kill switch. `name` is a route's, a key's, or `ALL`; `kind` where it might mean several."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Stop]:
        return self.list()

    def list(self) -> Iterator[Stop]:
        """What is stopped, oldest first."""
        return self._http.walk(Stop, "/stops")

    def stop(self, name: str, *, why: str, kind: Literal["route", "key", "all"] | None = None) -> Stopping:
        """Stop traffic."""
        return read(Stopping, self._http.post("/stops", {"name": name, "why": why, "kind": kind}))

    def resume(self, name: str, *, why: str | None = None, kind: Literal["route", "key", "all"] | None = None) -> Stopping:
        """Let it go on."""
        return read(Stopping, self._http.delete("/stops", {"name": name, "why": why, "kind": kind}))
