"""What becomes of a worker's log when the worker is gone: every request that it admitted gets its end."""

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilotbase.errors import UserError
from pilotbase.gateway.applying import Applier, read_mark
from pilotbase.gateway.ledger_rows import Change, doubt, find_open, sums, write
from pilotbase.gateway.wal_files import Reading, Segment, read_stream, segments
from pilotbase.store.database import Database
from pilotbase.store.disk import Disk, explained

__all__ = ["Recovered", "recover", "unclosed"]

_ASIDE = ".damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What recovery did in this call: records applied, open requests settled by rule and what they cost (nanos, by currency).

    `torn_bytes`: the remains of a record whose writing never ended. `damaged`: files that could not be read to their end and
    now have this name; `lost_bytes` of them may hold records of requests. `why` tells what was found there.
    """

    worker: str
    records: int = 0
    settled_in_doubt: int = 0
    nanos: tuple[tuple[str, int], ...] = ()
    torn_bytes: int = 0
    damaged: tuple[str, ...] = ()
    lost_bytes: int = 0
    why: str = ""


def unclosed(database: Database, folder: Path, disk: Disk) -> list[str]:
    """Workers that have a log, a lease or a mark, and were not closed by recovery; or whose files it did not finish with."""
    known = {
        row["worker"]
        for row in database.rows("SELECT worker FROM leases UNION SELECT worker FROM wal_marks WHERE closed IS NULL")
    }
    return sorted(known | set(segments(folder, disk)))


def recover(database: Database, folder: Path, disk: Disk, worker: str, now: datetime) -> Recovered:
    """Finish with a worker whose process is gone. It may be interrupted anywhere and called again; the rows come out the same.

    Applies the rest of its log, settles what is still open by the rule in its reservation, takes its leases back and closes its
    mark, all three in one transaction, and removes its files, or sets those aside that are damaged. UserError, and nothing done,
    if the worker still writes.
    """
    files = segments(folder, disk).get(worker, [])
    _refuse_if_alive(worker, files)
    records = 0
    applier = Applier(database, folder, disk)
    while done := applier.apply_worker(worker):
        records += done
    files = segments(folder, disk).get(worker, [])
    mark = read_mark(database, worker)
    rest = read_stream(files, mark.applied, mark.records, 1)
    settled, nanos = _close(database, worker, now)
    aside = _finish_files(files, rest, disk)
    return Recovered(
        worker=worker,
        records=records,
        settled_in_doubt=settled,
        nanos=nanos,
        torn_bytes=rest.left if rest.stop == "torn" else 0,
        damaged=aside,
        lost_bytes=rest.left if aside else 0,
        why=rest.why if aside else "",
    )


def _refuse_if_alive(worker: str, files: Sequence[Segment]) -> None:
    for one in files:
        with explained("open", one.path), one.path.open("rb") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"worker {worker} still writes its ledger",
                    where=str(one.path),
                    hint="wait until that process has ended, or stop it; recovery takes over then",
                ) from None


def _close(database: Database, worker: str, now: datetime) -> tuple[int, tuple[tuple[str, int], ...]]:
    with database.transaction():
        database.execute(
            "INSERT INTO wal_marks (worker, applied, records) VALUES (?, 0, 0) ON CONFLICT (worker) DO NOTHING", (worker,)
        )
        stamp = now.isoformat(timespec="seconds")
        # The first statement on the mark: on PostgreSQL an applier of the same log waits here, and then finds it closed.
        database.execute("UPDATE wal_marks SET closed = COALESCE(closed, ?) WHERE worker = ?", (stamp, worker))
        changes = []
        nanos: dict[str, int] = {}
        for row in find_open(database, worker):
            before = sums(row)
            doubt(row)
            changes.append(Change(row=row, before=before))
            nanos[row.currency] = nanos.get(row.currency, 0) + row.settled + row.overrun
        write(database, worker, changes)
        database.execute("DELETE FROM leases WHERE worker = ?", (worker,))
    return len(changes), tuple(sorted(nanos.items()))


def _finish_files(files: Sequence[Segment], rest: Reading, disk: Disk) -> tuple[str, ...]:
    """Remove what is applied, in the order of the stream, so that what an interruption leaves is read the same way again."""
    aside: list[str] = []
    for i, one in enumerate(files):
        end = files[i + 1].start if i + 1 < len(files) else None
        if rest.stop == "damaged" and (end is None or end > rest.position):
            target = one.path.with_name(one.path.name + _ASIDE)
            disk.replace(one.path, target)
            aside.append(target.name)
        else:
            disk.remove(one.path)
    return tuple(aside)
