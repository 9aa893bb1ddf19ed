"""Who may administer: the bearer of a usable admin key (RFC 6750)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pilotbase.context import Context
from pilotbase.gateway import keys

__all__ = ["Caller", "gatekeeper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An administrator, as the audit log names them: `key:ID`."""

    who: str


def gatekeeper(context: Context, pepper: bytes) -> Callable[..., Caller]:
    """What every operation depends on. 401 for anything but a usable key, 403 for one that is no admin's."""
    scheme = HTTPBearer(auto_error=False, description="An admin key: `pilotbase key create NAME --admin`.")

    def admit(given: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> Caller:
        key = keys.check(context.database, given.credentials, pepper, context.clock.now()) if given is not None else None
        if key is None:
            raise HTTPException(401, "send `Authorization: Bearer pb_...` with an admin key", {"www-authenticate": "Bearer"})
        if not key.admin:
            raise HTTPException(403, "this key is no admin key: it calls routes and administers nothing")
        return Caller(who=f"key:{key.id}")

    return admit
