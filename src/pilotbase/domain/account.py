"""Who uses a base: organisations, their members, their tokens, and what a role may do. Denied by default; decided here and
nowhere else.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from pilotbase.domain.problem import Problem

__all__ = [
    "LONGEST_TOKEN",
    "OUTSIDE",
    "PERMITS",
    "ROLES",
    "SCOPES",
    "Member",
    "Organisation",
    "Permit",
    "Role",
    "Token",
    "beyond",
    "may",
]

Role = Literal["operator", "engineer", "owner", "vendor", "reviewer", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
Permit = Literal[
    "own",  # one's own settings and sessions
    "home.read",
    "pilots.read",
    "pilots.write",
    "catalogue.read",
    "needs.write",
    "capabilities.write",
    "runs.read",
    "runs.start",
    "routes.read",
    "routes.write",
    "routes.stop",
    "keys.read",
    "keys.write",
    "usage.read",
    "releases.read",
    "releases.move",
    "incidents.read",
    "incidents.write",
    "cases.read",
    "cases.write",
    "indicators.read",
    "indicators.write",
    "members.read",
    "members.write",
    "audit.read",
    "settings.read",
]
_ALL = frozenset(ROLES)
_INSIDE: frozenset[Role] = frozenset(("operator", "engineer", "reviewer", "auditor"))

PERMITS: Mapping[Permit, frozenset[Role]] = {
    "own": _ALL,
    "home.read": _ALL,
    "pilots.read": _INSIDE,
    "pilots.write": frozenset(("operator", "engineer")),
    "catalogue.read": _ALL,
    "needs.write": frozenset(("operator", "engineer", "owner")),
    "capabilities.write": frozenset(("operator", "engineer", "vendor")),
    "runs.read": _INSIDE,
    "runs.start": frozenset(("operator", "engineer")),
    "routes.read": _INSIDE,
    "routes.write": frozenset(("operator",)),
    "routes.stop": frozenset(("operator",)),
    "keys.read": frozenset(("operator", "auditor")),
    "keys.write": frozenset(("operator",)),
    "usage.read": frozenset(("operator", "auditor")),
    "releases.read": _INSIDE | {"owner"},
    "releases.move": frozenset(("operator",)),
    "incidents.read": _INSIDE | {"owner"},
    "incidents.write": frozenset(("operator", "engineer")),
    "cases.read": _ALL,
    "cases.write": _ALL - {"auditor"},  # which step is whose: `domain.admission.STEPS`
    "indicators.read": _INSIDE | {"owner"},
    "indicators.write": frozenset(("operator",)),
    "members.read": frozenset(("operator", "auditor")),
    "members.write": frozenset(("operator",)),
    "audit.read": frozenset(("operator", "auditor")),
    "settings.read": frozenset(("operator", "auditor")),
}
"""Who may do what. A permit that is missing here is nobody's."""

OUTSIDE: frozenset[Role] = frozenset(("owner", "vendor"))
"""Roles that reach, of rows that belong to organisations, those of their own organisation alone."""
SCOPES: tuple[Permit, ...] = tuple(permit for permit in PERMITS if permit != "own")
"""What a token may be for. Own settings, sessions and tokens are changed by a person who is signed in."""
LONGEST_TOKEN = timedelta(days=366)

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A hospital, a plant, a vendor, the base itself."""

    id: str
    name: str
    created: datetime

    def problems(self) -> Iterator[Problem]:
        yield from _name_problems("name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person with an account. `login` is in lower case; `language` and `theme` are empty where the browser decides."""

    id: str
    login: str
    name: str
    organisation: str
    roles: tuple[Role, ...]
    created: datetime
    language: Literal["", "en", "zh"] = ""
    theme: Literal["", "light", "dark"] = ""
    disabled: datetime | None = None
    version: int = 1

    def problems(self) -> Iterator[Problem]:
        if not _LOGIN.fullmatch(self.login):
            hint = "2 to 128 small letters, digits, and . _ @ + -, as in an e-mail address"
            yield Problem(("login",), f"`{self.login[:60]}` cannot be a login", hint)
        yield from _name_problems("name", self.name)
        if not self.roles:
            yield Problem(("roles",), "a member without a role may do nothing", f"give at least one of {', '.join(ROLES)}")
        for i, role in enumerate(self.roles):
            if role not in ROLES:
                yield Problem(("roles", i), f"`{role[:40]}` is no role", f"one of {', '.join(ROLES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a member lets a program do in the member's name. `id` is the public part of its text, `used` is told to the hour."""

    id: str
    member: str
    name: str
    scopes: tuple[Permit, ...]
    created: datetime
    expires: datetime
    used: datetime | None = None
    revoked: datetime | None = None

    def problems(self) -> Iterator[Problem]:
        yield from _name_problems("name", self.name)
        if not self.scopes:
            yield Problem(("scopes",), "a token without a scope may do nothing", "name at least one")
        for i, scope in enumerate(self.scopes):
            if scope not in SCOPES:
                yield Problem(("scopes", i), f"`{scope[:40]}` is no scope of a token", f"one of {', '.join(SCOPES)}")
        if not self.created < self.expires <= self.created + LONGEST_TOKEN:
            hint = "name a day to come within a year, or so long from now as in 90d"
            yield Problem(("expires",), f"a token expires within {LONGEST_TOKEN.days} days", hint)

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """`active` where the token is let in at this moment, if its member is."""
        if self.revoked is not None:
            return "revoked"
        return "active" if now < self.expires else "expired"


def may(
    member: Member | None, permit: str, parties: Collection[str] | None = None, *, scopes: Collection[str] | None = None
) -> bool:
    """Whether a member may do something; with `scopes`, through a token of these.

    Nobody, a disabled member, and an unknown permit get no. A token may never do more than its member may at this moment.

    `parties` are the organisations (ids) that a row belongs to: an owner's or a vendor's role counts only where the member's own
    is one of them. None asks for no row in particular.
    """
    if member is None or member.disabled is not None or (scopes is not None and permit not in scopes):
        return False
    allowed: frozenset[Role] = PERMITS.get(permit, frozenset())  # type: ignore[call-overload]
    near = parties is None or member.organisation in parties
    return any(role in allowed and (near or role not in OUTSIDE) for role in member.roles)


def beyond(roles: Iterable[str], scopes: Collection[str] | None) -> tuple[Permit, ...]:
    """What these roles may do and a token of these scopes may not: it cannot give them. Without `scopes` (no token) nothing."""
    given = set(roles)
    return () if scopes is None else tuple(one for one in SCOPES if one not in scopes and given & PERMITS[one])


def _name_problems(word: str, name: str) -> Iterator[Problem]:
    if not 1 <= len(name.strip()) <= 120 or not name.isprintable():
        yield Problem((word,), "a name is 1 to 120 printable characters on one line", "shorten it, or fill it in")
