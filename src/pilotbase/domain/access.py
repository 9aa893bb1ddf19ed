"""Keys: who may call which routes, and how much."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pilotbase.domain.problem import Problem
from pilotbase.domain.quantity import Money

__all__ = ["AccessKey", "Stop", "StopKind"]

StopKind = Literal["route", "key", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A customer's key as it is stored: never the key itself, but `digest`, a keyed hash of it (HMAC-SHA256, hexadecimal).

    `id` is the public part of the key. Without a `budget`, `rpm` (requests a minute), `tpm` (tokens a minute) or `routes`
    there is no such limit. A revoked key admits nothing; with `cut` its streams under way end too. `admin` keys may use the
    administration API and nothing else.
    """

    id: str
    name: str
    digest: str
    created: datetime
    budget: Money | None = None
    rpm: int | None = None
    tpm: int | None = None
    routes: tuple[str, ...] | None = None
    expires: datetime | None = None
    revoked: datetime | None = None
    cut: bool = False
    admin: bool = False
    replaces: str | None = None

    def problems(self) -> Iterator[Problem]:
        if not self.name or len(self.name) > 100 or not self.name.isprintable():
            yield Problem(("name",), "a key's name is 1 to 100 printable characters", "choose another name")
        for word in ("rpm", "tpm"):
            limit = getattr(self, word)
            if limit is not None and not 1 <= limit <= 10**12:
                yield Problem((word,), f"{limit} is out of range", "use 1 or more")
        if self.routes is not None and not self.routes:
            yield Problem(("routes",), "no route is named", "name at least one, or leave --routes out for all")

    def may_use(self, route: str) -> bool:
        """Whether the key is for this route."""
        return self.routes is None or route in self.routes

    def usable(self, now: datetime) -> bool:
        """Whether the key admits anything at this moment."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Traffic that was stopped by a person: of one route, one key, or all of it (`name` is then empty)."""

    kind: StopKind
    name: str
    why: str
    who: str
    since: datetime
