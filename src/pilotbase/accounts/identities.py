"""Which member an identity of a provider is. Bound at the first sign-in, by a verified address that is a member's login."""

from datetime import datetime

from pilotbase.accounts.oidc import Told
from pilotbase.accounts.rows import find, find_login
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database

__all__ = ["enter", "forget"]

_HINT = "ask an operator of this base for an account whose login is your e-mail address"


def enter(database: Database, told: Told, address: str, now: datetime) -> Member:
    """The member that this identity is. UserError (403) where there is none, or none that may sign in.

    An identity is bound once: a provider that gives somebody's address to another person later does not give away the account.
    """
    with database.transaction():
        row = database.row("SELECT member FROM identities WHERE issuer = ? AND subject = ?", (told.issuer, told.subject))
        member = find(database, row["member"]) if row is not None else _bind(database, told, now)
        if member is None or member.disabled is not None:
            raise UserError("nobody of this base is known by this identity", hint=_HINT, status=403)
        detail = {"address": address[:64], "provider": told.issuer}
        write(database, who=f"member:{member.login}", action="member.sign-in", subject=member.id, detail=detail, at=now)
    return member


def forget(database: Database, member: Member, *, who: str, now: datetime) -> int:
    """Unbind all identities of a member, as where a person has a new one at the provider; how many it were."""
    with database.transaction():
        gone = database.execute("DELETE FROM identities WHERE member = ?", (member.id,))
        if gone:
            write(database, who=who, action="member.identity-forget", subject=member.id, detail={"identities": gone}, at=now)
    return gone


def _bind(database: Database, told: Told, now: datetime) -> Member | None:
    if not told.verified:
        hint = "have the provider verify your e-mail address, or sign in with a password"
        raise UserError("the provider does not vouch for your e-mail address", hint=hint, status=403)
    member = find_login(database, told.email) if told.email else None
    if member is None or member.disabled is not None:
        return None
    known = database.row("SELECT 1 FROM identities WHERE issuer = ? AND member = ?", (told.issuer, member.id))
    if known is not None:
        hint = "an operator can unbind the former one: pilotbase admin forget-identity LOGIN"
        raise UserError("this member is bound to another identity of the provider", hint=hint, status=403)
    database.execute(
        "INSERT INTO identities (issuer, subject, member, created) VALUES (?, ?, ?, ?)",
        (told.issuer, told.subject, member.id, stamp(now)),
    )
    detail = {"provider": told.issuer}
    write(database, who=f"member:{member.login}", action="member.identity", subject=member.id, detail=detail, at=now)
    return member
