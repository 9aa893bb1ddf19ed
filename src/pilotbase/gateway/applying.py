"""From the workers' write-ahead logs into the database: every record once, however often it is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pilotbase.gateway.ledger_rows import NOTHING, Change, advance, find, opened, settle, sums, write
from pilotbase.gateway.wal import Progress, Record, Reserve, Settle
from pilotbase.gateway.wal_files import Reading, Segment, read_stream, segments
from pilotbase.store import audit
from pilotbase.store.database import Database
from pilotbase.store.disk import Disk

__all__ = ["Applier", "Mark", "apply_records", "read_mark"]

BATCH: Final = 2000
_LONGEST_ID: Final = 256


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a worker's log is applied: bytes of its stream, records, and when recovery closed it."""

    applied: int = 0
    records: int = 0
    closed: str | None = None


def read_mark(database: Database, worker: str) -> Mark:
    """The mark of a worker; the beginning where there is none."""
    row = database.row("SELECT applied, records, closed FROM wal_marks WHERE worker = ?", (worker,))
    return Mark(row["applied"], row["records"], row["closed"]) if row else Mark()


class Applier:
    """Applies the logs in `folder`. It may die at any moment, and a second one at work beside it harms nothing.

    The mark moves in the transaction that writes the rows, and only from where it was when the log was read. `stopped` names
    the workers whose logs could not be read on, each with the reason; a log that is being written may be read on later.
    """

    __slots__ = ("_database", "_disk", "_folder", "stopped")

    def __init__(self, database: Database, folder: Path, disk: Disk) -> None:
        self._database = database
        self._folder = folder
        self._disk = disk
        self.stopped: dict[str, str] = {}

    def apply(self, limit: int = BATCH) -> int:
        """Apply at most `limit` records of every worker; returns how many it were. 0: nothing more is there now."""
        return sum(self._apply(worker, files, limit) for worker, files in segments(self._folder, self._disk).items())

    def apply_worker(self, worker: str, limit: int = BATCH) -> int:
        """The same for one worker."""
        return self._apply(worker, segments(self._folder, self._disk).get(worker, []), limit)

    def _apply(self, worker: str, files: Sequence[Segment], limit: int) -> int:
        mark = read_mark(self._database, worker)
        if mark.closed or not files:
            self.stopped.pop(worker, None)
            return 0
        reading = read_stream(files, mark.applied, mark.records, limit)
        if reading.stop == "damaged":
            self.stopped[worker] = reading.why
        else:
            self.stopped.pop(worker, None)
        done = self._write(worker, mark, reading) if reading.records else 0
        self._remove_spent(files, reading.position if done else mark.applied)
        return done

    def _write(self, worker: str, mark: Mark, reading: Reading) -> int:
        """One batch in one transaction; 0 where another applier moved the mark meanwhile."""
        database = self._database
        with database.transaction():
            if not _move(database, worker, mark, reading.position, mark.records + len(reading.records)):
                return 0
            apply_records(database, worker, reading.records)
        return len(reading.records)

    def _remove_spent(self, files: Sequence[Segment], applied: int) -> None:
        for one, after in itertools.pairwise(files):
            if after.start > applied:
                return
            self._disk.remove(one.path)


def _move(database: Database, worker: str, mark: Mark, applied: int, records: int) -> bool:
    """Move the mark, if it stands where it stood. On PostgreSQL this takes the row's lock, so batches of one log take turns."""
    database.execute(
        "INSERT INTO wal_marks (worker, applied, records) VALUES (?, 0, 0) ON CONFLICT (worker) DO NOTHING", (worker,)
    )
    return bool(
        database.execute(
            "UPDATE wal_marks SET applied = ?, records = ? WHERE worker = ? AND applied = ? AND closed IS NULL",
            (applied, records, worker, mark.applied),
        )
    )


def apply_records(database: Database, worker: str, records: Sequence[Record]) -> None:
    """Bring the rows and the sums to what these records of one worker say. Idempotent; call it in a transaction."""
    rows = find(database, list({record.id for record in records}))
    changes: dict[str, Change] = {}
    for record in records:
        row = rows.get(record.id)
        if row is None and isinstance(record, Reserve):
            rows[record.id] = row = opened(record, worker)
            changes[record.id] = Change(row=row, before=NOTHING)
        elif row is None or row.worker != worker:
            if isinstance(record, Settle):
                _record_stray(database, worker, record)
        elif row.state == "open" and not isinstance(record, Reserve):
            change = changes.get(record.id)
            if change is None:
                changes[record.id] = change = Change(row=row, before=sums(row))
            if isinstance(record, Progress):
                advance(row, record)
            else:
                settle(row, record)
                change.response = _response(record)
    write(database, worker, list(changes.values()))


def _response(record: Settle) -> str | None:
    """The id of the response that an upstream keeps; none that a table could not hold."""
    name = record.detail.get("response_id")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_ID and name.isprintable() else None


def _record_stray(database: Database, worker: str, record: Settle) -> None:
    """A settlement without a reservation can be charged to nobody; it is put on record, and `usage reconcile` tells of it."""
    detail = {
        "worker": worker,
        "cost": record.cost,
        "tokens": [record.tokens.read, record.tokens.wrote],
        "source": record.source,
        "outcome": record.outcome,
    }
    audit.write(
        database,
        who="ledger",
        action="ledger.stray",
        subject=record.id,
        detail=detail,
        at=datetime.now(UTC),
        once=f"stray-{worker}-{record.id}",
    )
