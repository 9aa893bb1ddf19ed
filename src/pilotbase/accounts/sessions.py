"""Sessions: a token in the browser's cookie, of which the database keeps the SHA-256 alone.

A session ends 12 hours after it was last used, 7 days after it began, and when its member is disabled or gets a new password.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pilotbase.accounts.rows import find as find_member
from pilotbase.domain.account import Member
from pilotbase.store.audit import write
from pilotbase.store.database import Database, Row

__all__ = ["IDLE", "WHOLE", "Session", "Signed", "begin", "end", "end_all", "end_one", "find", "list_sessions", "sweep"]

IDLE: Final = timedelta(hours=12)
WHOLE: Final = timedelta(days=7)
_NOTED: Final = 60
"""Seconds after which the use of a session is written down again: not with each request."""
_SHOWN: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who a request comes from. `csrf` belongs into every form; `session` names the session in `list_sessions`."""

    member: Member
    csrf: str
    created: datetime
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as its member may see it; `id` is no secret."""

    id: str
    created: datetime
    seen: datetime
    expires: datetime


def begin(database: Database, member: str, now: datetime) -> tuple[str, str]:
    """A new session of a member: (token for the cookie, token for the forms). Always a new one, whatever the browser sent."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    at = int(now.timestamp())
    database.execute(
        "INSERT INTO sessions (digest, member, csrf, created, seen, expires) VALUES (?, ?, ?, ?, ?, ?)",
        (_digest(token), member, csrf, at, at, at + int(WHOLE.total_seconds())),
    )
    return token, csrf


def find(database: Database, token: str, now: datetime, *, used: bool = True) -> Signed | None:
    """Who has this token; None for any other text, after the session's end, and for a disabled member.

    What a page does by itself is no use (`used`): a screen that is left alone must not keep a session open.
    """
    at, digest = int(now.timestamp()), _digest(token)
    row = database.row("SELECT digest, member, csrf, created, seen, expires FROM sessions WHERE digest = ?", (digest,))
    if row is None or not _lives(row, at):
        return None
    member = find_member(database, row["member"])
    if member is None or member.disabled is not None:
        return None
    if used and at - row["seen"] >= _NOTED:
        database.execute("UPDATE sessions SET seen = ? WHERE digest = ? AND seen < ?", (at, digest, at))
    return Signed(member=member, csrf=row["csrf"], created=_moment(row["created"]), session=digest[:_SHOWN])


def end(database: Database, token: str) -> None:
    """End one session; does nothing where it ended before."""
    database.execute("DELETE FROM sessions WHERE digest = ?", (_digest(token),))


def end_all(database: Database, member: str, but: str | None = None) -> int:
    """End all sessions of a member, except that of the token `but`; how many it were."""
    kept = _digest(but) if but is not None else ""
    return database.execute("DELETE FROM sessions WHERE member = ? AND digest <> ?", (member, kept))


def end_one(database: Database, member: str, session: str, *, who: str, now: datetime) -> bool:
    """End a session of this member by its id in `list_sessions`; whether there was one."""
    with database.transaction():
        ended = database.execute(f"DELETE FROM sessions WHERE member = ? AND substr(digest, 1, {_SHOWN}) = ?", (member, session))
        if ended:
            write(database, who=who, action="session.end", subject=member, detail={"session": session}, at=now)
    return bool(ended)


def list_sessions(database: Database, member: str, now: datetime) -> list[Session]:
    """The sessions of a member that have not ended, newest first."""
    rows = database.rows(
        "SELECT digest, created, seen, expires FROM sessions WHERE member = ? ORDER BY created DESC, digest", (member,)
    )
    at = int(now.timestamp())
    return [
        Session(
            id=row["digest"][:_SHOWN], created=_moment(row["created"]), seen=_moment(row["seen"]), expires=_moment(_ends(row))
        )
        for row in rows
        if _lives(row, at)
    ]


def sweep(database: Database, now: datetime) -> int:
    """Remove sessions that have ended; how many it were."""
    at = int(now.timestamp())
    return database.execute("DELETE FROM sessions WHERE expires <= ? OR seen <= ?", (at, at - int(IDLE.total_seconds())))


def _lives(row: Row, at: int) -> bool:
    return at < _ends(row)


def _ends(row: Row) -> int:
    return int(min(row["expires"], row["seen"] + int(IDLE.total_seconds())))


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
