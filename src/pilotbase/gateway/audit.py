"""Who changed what: every change of routes, keys and stops, in one transaction with the change itself and a new epoch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pilotbase.store.audit import Entry, entries, stamp, write
from pilotbase.store.database import Database

__all__ = ["Entry", "changing", "entries", "stamp", "stored_epoch"]


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
        write(database, who=who, action=action, subject=subject, detail=detail, at=now)
        yield stored_epoch(database)
