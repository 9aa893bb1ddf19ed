"""The API of a base in this process, asked over ASGI, with a member of each role and their tokens.

with api_of(tmp_path / "home") as api:
    api.ask("GET", "/api/v1/runs")                          # with the first admin key
    api.ask("GET", "/api/v1/runs", key=api.token("auditor"))
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
from starlette.types import ASGIApp

from pilotbase.accounts import members, organisations, tokens
from pilotbase.api.app import make_api
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.account import SCOPES, Member, Role, may
from pilotbase.flows.tokens import create_token
from pilotbase.gateway import keys
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.ports import Clock
from pilotbase.store.disk import LocalDisk

__all__ = ["Api", "api_of"]

PASSWORD = "four plain words here"


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API of a base, and its first admin key."""

    context: Context
    app: ASGIApp
    admin: str
    people: dict[str, Member] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request; `key` None sends none, "" the admin's."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            told = {"authorization": f"Bearer {key or self.admin}"} if key is not None else {}
            if body is not None or raw is not None:
                told["content-type"] = "application/json"
            content = orjson.dumps(body) if body is not None else raw
            async with httpx.AsyncClient(transport=transport, base_url="http://base") as client:
                return await client.request(method, path, headers={**told, **(headers or {})}, content=content)

        return asyncio.run(send())

    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the OpenAPI document says of each (method, path)."""
        paths = self.ask("GET", "/api/openapi.json", key=None).json()["paths"]
        return {(method.upper(), path): told for path, methods in paths.items() for method, told in methods.items()}

    def member(self, *roles: Role, login: str = "") -> Member:
        """A member with these roles, made once."""
        name = login or roles[0]
        if name not in self.people:
            database, now = self.context.database, self.context.clock.now()
            home = organisations.find_named(database, "Base") or organisations.create(database, "Base", who="test", now=now)
            self.people[name] = members.create(
                database, login=name, name=name, organisation=home.id, roles=roles, password=PASSWORD, who="test", now=now
            )
        return self.people[name]

    def token(self, *roles: Role, scopes: Sequence[str] | None = None, login: str = "") -> str:
        """A token of such a member, with every scope that the roles have, or with these."""
        member = self.member(*roles, login=login)
        wanted = scopes if scopes is not None else [one for one in SCOPES if may(member, one)]
        return create_token(self.context, member, name="test", scopes=wanted, expires="30d", who="test")[1]

    def revoke(self, text: str) -> None:
        """End a token."""
        tokens.revoke(self.context.database, text[:14], who="test", now=self.context.clock.now())


@contextmanager
def api_of(home: Path, *, clock: Clock | None = None, place: Path | str | None = None) -> Iterator[Api]:
    """The API of a home; `place` is the address of another database than the one in it."""
    database = place if isinstance(place, str) else None
    with open_context(home, disk=LocalDisk(), clock=clock or SystemClock(), secrets={}.get, database=database) as context:
        pepper = load_pepper(home)
        wanted = keys.Wanted(name="admin", admin=True)
        _, admin = keys.create(context.database, pepper, wanted, who="test", now=context.clock.now())
        yield Api(context=context, app=make_api(context, pepper), admin=admin)
