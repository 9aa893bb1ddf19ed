"""Members, organisations and tokens."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pilotbase.api.shapes.closed import CLOSED

__all__ = [
    "MemberMade",
    "MemberOut",
    "MemberWanted",
    "OrganisationOut",
    "OrganisationWanted",
    "RolesWanted",
    "TokenOut",
]

RoleName = Literal["operator", "engineer", "owner", "vendor", "reviewer", "auditor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationWanted:
    """An organisation to add."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationOut:
    """An organisation."""

    id: str
    name: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberWanted:
    """A member to add; `organisation` is an id."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    login: str
    name: str
    organisation: str
    roles: list[RoleName]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOut:
    """A member. `disabled` is since when, null where the member may sign in."""

    id: str
    login: str
    name: str
    organisation: str
    roles: list[str]
    created: str
    disabled: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberMade:
    """A member, and the first password: it is told this once, and kept nowhere. In a repeated answer it is null."""

    password: str | None
    about: MemberOut


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesWanted:
    """Roles in place of those before."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    roles: list[RoleName]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOut:
    """A member's token without its secret. `used` is the hour of its last use."""

    id: str
    name: str
    state: Literal["active", "expired", "revoked"]
    scopes: list[str]
    created: str
    expires: str
    used: str | None
    revoked: str | None
