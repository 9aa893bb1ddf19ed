"""Members' tokens for the API: `pbt_ID_SECRET`, of which the database keeps the SHA-256.

The id is 10 characters and no secret; the secret is 32 random bytes, so its plain hash gives nothing away (no dictionary holds
it). A token ends at its expiry, when it is revoked, and when its member is disabled.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from pilotbase.accounts.rows import find as find_member
from pilotbase.domain.account import SCOPES, Member, Token, may
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = ["MOST", "Bearer", "find", "find_token", "list_tokens", "make", "revoke", "revoke_all"]

MOST: Final = 50
"""How many tokens of one member are let in at once."""
_SHOWN: Final = 200
_TEXT: Final = re.compile(r"(pbt_[0-9a-f]{10})_[A-Za-z0-9_-]{43}", re.ASCII)
_COLUMNS: Final = "id, member, name, scopes, created, expires, used, revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose token came with a request."""

    member: Member
    token: Token


def make(
    database: Database, member: Member, *, name: str, scopes: Iterable[str], expires: datetime, who: str, now: datetime
) -> tuple[Token, str]:
    """A new token of a member, and its text, which is kept nowhere.

    UserError for what a token cannot be, for a scope that the member has no role for (422), and for too many (409).
    """
    token = Token(
        id=f"pbt_{secrets.token_hex(5)}",
        member=member.id,
        name=name.strip(),
        scopes=_ordered(scopes),  # type: ignore[arg-type]
        created=now,
        expires=expires,
    )
    for problem in token.problems():
        raise UserError(problem.message, hint=problem.hint, status=422)
    for scope in token.scopes:
        if not may(member, scope):
            raise UserError(f"{member.login} may not do `{scope}`", hint="a token does what its member may, or less", status=422)
    text = f"{token.id}_{secrets.token_urlsafe(32)}"
    with database.transaction():
        if sum(one.state(now) == "active" for one in list_tokens(database, member.id)) >= MOST:
            raise UserError(f"there are {MOST} tokens already", hint="revoke those that nothing uses", status=409)
        database.execute(
            "INSERT INTO tokens (id, member, name, digest, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                token.id,
                token.member,
                token.name,
                _digest(text),
                orjson.dumps(token.scopes).decode(),
                stamp(now),
                stamp(token.expires),
            ),
        )
        detail = {"member": member.login, "name": token.name, "scopes": token.scopes, "expires": stamp(token.expires)}
        write(database, who=who, action="token.create", subject=token.id, detail=detail, at=now)
    return token, text


def find(database: Database, text: str, now: datetime) -> Bearer | None:
    """Whose token this text is; None for any other text, for one that has ended, and for a disabled member's."""
    name = _TEXT.fullmatch(text)
    row = database.row(f"SELECT {_COLUMNS}, digest FROM tokens WHERE id = ?", (name[1],)) if name is not None else None
    if row is None or not hmac.compare_digest(row["digest"], _digest(text)):
        return None
    token = _read(row)
    member = find_member(database, token.member)
    if member is None or member.disabled is not None or token.state(now) != "active":
        return None
    hour = stamp(now.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
    if row["used"] is None or row["used"] < hour:
        database.execute("UPDATE tokens SET used = ? WHERE id = ? AND (used IS NULL OR used < ?)", (hour, token.id, hour))
    return Bearer(member=member, token=token)


def find_token(database: Database, token: str) -> Token | None:
    """A token by its id, whatever became of it."""
    row = database.row(f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (token,))
    return _read(row) if row is not None else None


def list_tokens(database: Database, member: str) -> list[Token]:
    """The tokens of a member, newest first; those that have ended too, as far as the newest 200 go."""
    rows = database.rows(f"SELECT {_COLUMNS} FROM tokens WHERE member = ? ORDER BY created DESC, id LIMIT ?", (member, _SHOWN))
    return [_read(row) for row in rows]


def revoke(database: Database, token: str, *, who: str, now: datetime, member: str | None = None) -> tuple[Token, bool]:
    """Let a token in no more, for good. The token, and whether anything changed.

    UserError (404) where there is none, or with `member` where it is another's.
    """
    with database.transaction():
        found = find_token(database, token)
        if found is None or (member is not None and found.member != member):
            raise UserError(f"there is no token `{token[:40]}`", hint="look at the list of tokens", status=404)
        if found.revoked is not None:
            return found, False
        database.execute("UPDATE tokens SET revoked = ? WHERE id = ?", (stamp(now), found.id))
        write(database, who=who, action="token.revoke", subject=found.id, detail={"name": found.name}, at=now)
    return find_token(database, token) or found, True


def revoke_all(database: Database, member: str, *, now: datetime) -> int:
    """Revoke every token of a member, in the transaction of the change that says why; how many it were."""
    return database.execute("UPDATE tokens SET revoked = ? WHERE member = ? AND revoked IS NULL", (stamp(now), member))


def _ordered(scopes: Iterable[str]) -> tuple[str, ...]:
    """Each scope once, in the order of `SCOPES`; what is none stays at the end, to be told by the check."""
    given = set(scopes)
    return (*(one for one in SCOPES if one in given), *sorted(given.difference(SCOPES)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(row: Row) -> Token:
    return Token(
        id=row["id"],
        member=row["member"],
        name=row["name"],
        scopes=tuple(orjson.loads(row["scopes"])),
        created=datetime.fromisoformat(row["created"]),
        expires=datetime.fromisoformat(row["expires"]),
        used=datetime.fromisoformat(row["used"]) if row["used"] else None,
        revoked=datetime.fromisoformat(row["revoked"]) if row["revoked"] else None,
    )
