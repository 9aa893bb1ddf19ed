"""Who somebody is, by login and password: throttled, with one wording and the same work for every failure."""

from datetime import datetime
from typing import Final

from pilotbase.accounts import throttle
from pilotbase.accounts.passwords import hash_password, holds, stale
from pilotbase.accounts.rows import COLUMNS, plain_login, read
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.audit import write
from pilotbase.store.database import Database

__all__ = ["prove", "sign_in"]

_LONGEST: Final = 64


def sign_in(database: Database, login: str, password: str, address: str, now: datetime) -> Member:
    """The member with this login and password. UserError with status 401 for every kind of failure; ThrottledError, 429."""
    member = prove(database, login, password, address, now)
    detail = {"address": _shown(address)}
    with database.transaction():
        write(database, who=f"member:{member.login}", action="member.sign-in", subject=member.id, detail=detail, at=now)
    return member


def prove(database: Database, login: str, password: str, address: str, now: datetime) -> Member:
    """The same, where it is no sign-in. Failures are put on record: by address, and for which member, if it is one."""
    wanted = plain_login(login)
    tried = throttle.count(database, wanted or login, address, now)
    row = database.row(f"SELECT {COLUMNS}, password FROM members WHERE login = ?", (wanted,))
    stored = str(row["password"]) if row is not None else ""
    right = holds(stored, password)
    member = read(row) if row is not None else None
    if member is None or member.disabled is not None or not right:
        subject = member.id if member is not None else "unknown"
        with database.transaction():
            write(database, who=f"address:{_shown(address)}", action="member.sign-in-failed", subject=subject, detail={}, at=now)
        hint = "check both, and the keyboard's language and capital letters; an operator of the base can set a new password"
        raise UserError("the login or the password is wrong", hint=hint, status=401)
    fresh = hash_password(password) if stale(stored) else stored
    with database.transaction():
        throttle.forget(database, tried)
        if fresh != stored:
            database.execute("UPDATE members SET password = ? WHERE id = ? AND password = ?", (fresh, member.id, stored))
    return member


def _shown(address: str) -> str:
    return address if address and len(address) <= _LONGEST and address.isprintable() else "unknown"
