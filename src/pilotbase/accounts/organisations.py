"""Organisations, to which members belong."""

from dataclasses import replace
from datetime import datetime
from secrets import token_hex

from pilotbase.domain.account import Organisation
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = ["create", "find", "find_named", "list_organisations", "rename"]

_COLUMNS = "id, name, created"


def create(database: Database, name: str, *, who: str, now: datetime) -> Organisation:
    """A new organisation. UserError for a name that none can have (422), or that another one has (409)."""
    made = Organisation(id=f"org_{token_hex(8)}", name=name.strip(), created=now)
    _check(made)
    with database.transaction():
        _refuse_second(database, made)
        database.execute(f"INSERT INTO organisations ({_COLUMNS}) VALUES (?, ?, ?)", (made.id, made.name, stamp(made.created)))
        write(database, who=who, action="organisation.create", subject=made.id, detail={"name": made.name}, at=now)
    return made


def rename(database: Database, organisation: str, name: str, *, who: str, now: datetime) -> Organisation:
    """Another name for an organisation; its id stays. UserError as in `create`, and where there is none (404)."""
    with database.transaction():
        found = find(database, organisation)
        if found is None:
            raise UserError("there is no such organisation", hint="look at the list of organisations", status=404)
        changed = replace(found, name=name.strip())
        _check(changed)
        if changed == found:
            return found
        _refuse_second(database, changed)
        database.execute("UPDATE organisations SET name = ? WHERE id = ?", (changed.name, changed.id))
        detail = {"name": changed.name, "before": found.name}
        write(database, who=who, action="organisation.rename", subject=changed.id, detail=detail, at=now)
    return changed


def find(database: Database, organisation: str) -> Organisation | None:
    """An organisation by id."""
    row = database.row(f"SELECT {_COLUMNS} FROM organisations WHERE id = ?", (organisation,))
    return _read(row) if row is not None else None


def find_named(database: Database, name: str) -> Organisation | None:
    """An organisation by its name, letter by letter."""
    row = database.row(f"SELECT {_COLUMNS} FROM organisations WHERE name = ? ORDER BY created, id", (name.strip(),))
    return _read(row) if row is not None else None


def list_organisations(database: Database, *, after: tuple[str, str] = ("", ""), limit: int = 1_000_000) -> list[Organisation]:
    """By name, at most `limit` of those behind the one of this (name, id)."""
    name, last = after
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM organisations WHERE name > ? OR (name = ? AND id > ?) ORDER BY name, id LIMIT ?",
        (name, name, last, limit),
    )
    return [_read(row) for row in rows]


def _check(organisation: Organisation) -> None:
    for problem in organisation.problems():
        raise UserError(problem.message, hint=problem.hint, status=422)


def _refuse_second(database: Database, organisation: Organisation) -> None:
    other = find_named(database, organisation.name)
    if other is not None and other.id != organisation.id:
        raise UserError("an organisation of this name is there already", hint="choose that one, or another name", status=409)


def _read(row: Row) -> Organisation:
    return Organisation(id=row["id"], name=row["name"], created=datetime.fromisoformat(row["created"]))
