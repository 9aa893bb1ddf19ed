"""Members as the database keeps them: found, read, and changed where nobody else changed them meanwhile."""

from datetime import datetime
from typing import Any, Final

import orjson

from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database, Row

__all__ = ["COLUMNS", "find", "find_login", "plain_login", "present", "read", "replace_row", "values"]

COLUMNS: Final = "id, login, name, organisation, roles, language, theme, created, disabled, version"
_LONGEST: Final = 128


def find(database: Database, member: str) -> Member | None:
    """A member by id, disabled or not."""
    row = database.row(f"SELECT {COLUMNS} FROM members WHERE id = ?", (member,))
    return read(row) if row is not None else None


def find_login(database: Database, login: str) -> Member | None:
    """A member by login, in whatever case, disabled or not."""
    row = database.row(f"SELECT {COLUMNS} FROM members WHERE login = ?", (plain_login(login),))
    return read(row) if row is not None else None


def plain_login(login: str) -> str:
    """A login as it is kept; empty, which nobody has, for a text that cannot be one."""
    found = login.strip().lower()
    return found if found.isascii() and found.isprintable() and len(found) <= _LONGEST else ""


def present(database: Database, member: str, version: int) -> Member:
    """A member that is to be changed. UserError where there is none (404), or another change came first (409)."""
    found = find(database, member)
    if found is None:
        raise UserError("there is no such member", hint="look at the list of members", status=404)
    if found.version != version:
        hint = "look at the member as it is now, and make the change again"
        raise UserError("somebody else changed this member meanwhile", hint=hint, status=409)
    return found


def replace_row(database: Database, member: Member) -> None:
    """Write a member, whose version is the one after that of the row, in the caller's transaction."""
    changed = database.execute(
        "UPDATE members SET login = ?, name = ?, organisation = ?, roles = ?, language = ?, theme = ?, disabled = ?, version = ? "
        "WHERE id = ? AND version = ?",
        (*values(member)[1:7], values(member)[8], member.version, member.id, member.version - 1),
    )
    if not changed:
        raise RuntimeError(f"member {member.id} was changed within its own transaction")


def values(member: Member) -> tuple[Any, ...]:
    """What `COLUMNS` hold, in their order."""
    return (
        member.id,
        member.login,
        member.name,
        member.organisation,
        orjson.dumps(member.roles).decode(),
        member.language,
        member.theme,
        stamp(member.created),
        stamp(member.disabled) if member.disabled is not None else None,
        member.version,
    )


def read(row: Row) -> Member:
    """A row of `COLUMNS`."""
    return Member(
        id=row["id"],
        login=row["login"],
        name=row["name"],
        organisation=row["organisation"],
        roles=tuple(orjson.loads(row["roles"])),
        created=datetime.fromisoformat(row["created"]),
        language=row["language"],
        theme=row["theme"],
        disabled=datetime.fromisoformat(row["disabled"]) if row["disabled"] else None,
        version=row["version"],
    )
