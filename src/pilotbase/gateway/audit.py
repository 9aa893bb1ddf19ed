"""Who changed what: every change of routes, keys and stops, in one transaction with the change itself and a new epoch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import orjson

from pilotbase.errors import UserError
from pilotbase.store.database import Database

__all__ = ["Entry", "changing", "entries", "stamp", "stored_epoch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change. `who` is `user:NAME` of the operating system or `key:ID` of an admin key; `at` ISO 8601, UTC.

    `detail` never holds a key, nor the hash of one.
    """

    id: str
    at: str
    who: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def stamp(moment: datetime) -> str:
    """A moment as these tables keep it: ISO 8601 in UTC to the microsecond, so that texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def stored_epoch(database: Database) -> int:
    """How many changes the database has seen."""
    row = database.row("SELECT value FROM control WHERE name = 'epoch'")
    return int(row["value"]) if row is not None else 0


@contextmanager
def changing(
    database: Database, *, who: str, action: str, subject: str, detail: Mapping[str, Any], now: datetime
) -> Iterator[int]:
    """The transaction of one change; gives its epoch, which the changed row keeps.

    There is one writer at a time, so changes become visible in the order of their epochs.
    """
    with database.transaction():
        database.execute("UPDATE control SET value = value + 1 WHERE name = 'epoch'")
        at = stamp(now)
        database.execute(
            "INSERT INTO audit (id, at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (
                f"{at[:26]}-{token_hex(6)}",
                at,
                who,
                action,
                subject,
                orjson.dumps(dict(detail), option=orjson.OPT_SORT_KEYS).decode(),
            ),
        )
        yield stored_epoch(database)


def entries(database: Database, *, limit: int = 100, before: str | None = None) -> list[Entry]:
    """The newest entries first, at most `limit`; with `before`, those older than the entry of that id (status 404 for none)."""
    older: tuple[str, ...] = ()
    if before is not None:
        row = database.row("SELECT at FROM audit WHERE id = ?", (before,))
        if row is None:
            raise UserError(f"there is no audit entry `{before[:80]}`", hint="take the id of the last one listed", status=404)
        older = (row["at"], row["at"], before)
    where = "WHERE at < ? OR (at = ? AND id < ?) " if older else ""
    rows = database.rows(
        f"SELECT id, at, who, action, subject, detail FROM audit {where}ORDER BY at DESC, id DESC LIMIT ?", (*older, limit)
    )
    return [
        Entry(id=r["id"], at=r["at"], who=r["who"], action=r["action"], subject=r["subject"], detail=orjson.loads(r["detail"]))
        for r in rows
    ]
