"""Members' tokens as people ask for them and look at them: the console, `pilotbase admin token`, and the API."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pilotbase.accounts import members, tokens
from pilotbase.context import Context
from pilotbase.domain.account import Member, Token
from pilotbase.errors import UserError
from pilotbase.flows.moment import moment
from pilotbase.store.audit import stamp

__all__ = ["create_token", "member_called", "shown_token", "tokens_of"]


def create_token(
    context: Context, member: Member, *, name: str, scopes: Iterable[str], expires: str, who: str
) -> tuple[Token, str]:
    """A new token of a member, and its text, which is shown once; `expires` is a moment or a duration. See `tokens.make`."""
    now = context.clock.now()
    until = moment("expires", expires, now)
    return tokens.make(context.database, member, name=name, scopes=scopes, expires=until, who=who, now=now)


def member_called(context: Context, login: str) -> Member:
    """A member by login. UserError (404) where there is none."""
    found = members.find_login(context.database, login)
    if found is None:
        raise UserError(f"there is no member `{login[:80]}`", hint="see: pilotbase admin ls", status=404)
    return found


def tokens_of(context: Context, member: Member) -> list[dict[str, Any]]:
    """The member's tokens as `shown_token`, newest first."""
    now = context.clock.now()
    return [shown_token(one, now) for one in tokens.list_tokens(context.database, member.id)]


def shown_token(token: Token, now: datetime) -> dict[str, Any]:
    """A token for people's eyes: neither its text nor the hash of it. Moments in ISO 8601; `used` is the hour of the last use."""
    return {
        "id": token.id,
        "name": token.name,
        "state": token.state(now),
        "scopes": list(token.scopes),
        "created": stamp(token.created),
        "expires": stamp(token.expires),
        "used": stamp(token.used) if token.used is not None else None,
        "revoked": stamp(token.revoked) if token.revoked is not None else None,
    }
