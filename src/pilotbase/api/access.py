"""Who may use the API: the bearer (RFC 6750) of an admin key or of a member's token, and what an operation asks of them.

Every operation names its permit with `needs`; one that names none is nobody's. What one may not see looks like what is not there,
as on the console.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pilotbase.accounts import tokens
from pilotbase.context import Context
from pilotbase.domain.account import PERMITS, SCOPES, Member, Permit, beyond, may
from pilotbase.errors import UserError
from pilotbase.gateway import keys

__all__ = ["PERMIT", "Admit", "Caller", "gatekeeper", "is_member", "needs"]

PERMIT = "x-permit"
"""The member of an operation in the OpenAPI document that names its permit."""
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_SIGHT = {"needs.write": "catalogue.read", "capabilities.write": "catalogue.read"}
"""What lets one see what these permits change, where it is not the `read` of the same noun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. The audit log names an admin key as `key:ID`, a token as `member:LOGIN/ID`; `member` is None for a key."""

    id: str
    who: str
    member: Member | None = None
    scopes: tuple[Permit, ...] | None = None

    def may(self, permit: str) -> bool:
        """An admin key may do everything that a token could; a token what `domain.account.may` says."""
        return permit in SCOPES if self.member is None else may(self.member, permit, scopes=self.scopes)

    @property
    def acting(self) -> Member:
        """As whom the stories take the caller; an admin key acts for the base, as an operator of no organisation."""
        if self.member is not None:
            return self.member
        return Member(id=self.id, login=self.id, name=self.id, organisation="", roles=("operator",), created=_BEGUN)

    def refuse_secrets(self) -> None:
        """UserError (403) for a token: an admin key that it made would do more than the token may."""
        if self.member is not None:
            hint = "make it on the console, or on the server: pilotbase key create NAME --admin"
            raise UserError("a token makes no admin key, and renews none", hint=hint, status=403)

    def refuse_roles(self, roles: Sequence[str]) -> None:
        """UserError (403) where roles may do more than the token: whoever gets them could do it in its place."""
        more = beyond(roles, self.scopes)
        if more:
            hint = "do it on the console, or with a token that has these scopes"
            raise UserError(f"these roles may do what the token may not: {', '.join(more)}", hint=hint, status=403)


Admit = Callable[..., Caller]


def needs(permit: Permit) -> dict[str, Any]:
    """The `openapi_extra` of an operation: what its caller has to be permitted."""
    return {PERMIT: permit}


def gatekeeper(context: Context, pepper: bytes) -> Admit:
    """What every operation depends on.

    401 for anything but a usable admin key or token; 403 for a customer's key, for a token without the scope, and for a member
    who may see this and not do it; 404 for a member who may not even see it.
    """
    scheme = HTTPBearer(
        auto_error=False, description="A member's token (`pbt_...`), or an admin key: `pilotbase key create NAME --admin`."
    )

    def admit(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> Caller:
        caller = _caller(context, pepper, given.credentials if given is not None else "")
        permit = (getattr(request.scope.get("route"), "openapi_extra", None) or {}).get(PERMIT, "")
        if not caller.may(permit):
            raise _refused(caller, permit)
        return caller

    return admit


def is_member(context: Context, token: str) -> bool:
    """Whether a bearer's text is a member's token that is let in now."""
    return tokens.find(context.database, token, context.clock.now()) is not None


def _caller(context: Context, pepper: bytes, text: str) -> Caller:
    now = context.clock.now()
    bearer = tokens.find(context.database, text, now)
    if bearer is not None:
        who = f"member:{bearer.member.login}/{bearer.token.id}"
        return Caller(id=bearer.token.id, who=who, member=bearer.member, scopes=bearer.token.scopes)
    key = keys.check(context.database, text, pepper, now)
    if key is None:
        told = "send `Authorization: Bearer ...` with a member's token or an admin key"
        raise HTTPException(401, told, {"www-authenticate": "Bearer"})
    if not key.admin:
        raise HTTPException(403, "this key is no admin key: it calls routes and administers nothing")
    return Caller(id=f"key:{key.id}", who=f"key:{key.id}")


def _refused(caller: Caller, permit: str) -> HTTPException:
    if caller.member is not None and may(caller.member, permit):
        told = {"www-authenticate": f'Bearer error="insufficient_scope", scope="{permit}"'}
        return HTTPException(403, f"the token lacks the scope `{permit}`", told)
    sight = _SIGHT.get(permit, f"{permit.partition('.')[0]}.read")
    if permit in PERMITS and permit != sight and may(caller.member, sight):
        return HTTPException(403, "your roles do not let you do this")
    return HTTPException(404)
