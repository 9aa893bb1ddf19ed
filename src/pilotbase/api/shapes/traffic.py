"""Routes, keys and stops."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pilotbase.api.shapes.closed import CLOSED

__all__ = [
    "KeyMade",
    "KeyOut",
    "KeyRotation",
    "KeyWanted",
    "Revocation",
    "RouteAdded",
    "RouteWanted",
    "StopOut",
    "StopWanted",
    "Stopping",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWanted:
    """`route` is the document that `pilotbase route show` prints. `dossier` names one in the base's own folder of dossiers."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    route: dict[str, Any]
    dossier: str | None = None
    candidate: str | None = None
    policy: Literal["prevent", "warn", "allow"] | None = None
    by: str | None = None
    reason: str | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAdded:
    """The route as it is served; `warning` says what it lacks."""

    route: dict[str, Any]
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWanted:
    """A key to make: `budget` as in `100 CNY`, `expires` as in `2027-01-31` or `30d`."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    name: str
    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    routes: list[str] | None = None
    expires: str | None = None
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOut:
    """A key without its secret. `spent` is a text for each currency."""

    id: str
    name: str
    state: Literal["active", "expired", "revoked"]
    admin: bool
    budget: str | None
    spent: list[str]
    rpm: int | None
    tpm: int | None
    routes: list[str] | None
    created: str
    expires: str | None
    revoked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMade:
    """A key, and the text to hand to its owner: it is told this once, and kept nowhere. In a repeated answer it is null."""

    key: str | None
    about: KeyOut


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """`keep`: how long the old secret is let through, as in `10m`; without it, it ends now."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    keep: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """`cut`: whether streams under way end too."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    why: str
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWanted:
    """`name` of a route, id or name of a key, or `ALL`; `kind` where it might mean several."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    name: str
    why: str
    kind: Literal["route", "key", "all"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What was stopped or resumed, and whether that changed anything."""

    kind: Literal["route", "key", "all"]
    name: str
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOut:
    """Traffic that is stopped."""

    kind: Literal["route", "key", "all"]
    name: str
    why: str
    who: str
    since: str
