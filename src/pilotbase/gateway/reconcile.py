"""Proof that the ledger adds up: every sum computed again from the rows, and compared with what was kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotbase.gateway.applying import read_mark
from pilotbase.gateway.ledger_rows import SUMS
from pilotbase.gateway.wal_files import read_stream, segments
from pilotbase.store.database import Database
from pilotbase.store.disk import Disk

__all__ = ["Line", "Report", "reconcile"]

SHOWN: Final = 5  # ids named in a sentence

_OF_ROWS = (
    "COUNT(*)", "SUM(reserved)", "SUM(CASE WHEN state = 'in-doubt' THEN 0 ELSE settled END)", "SUM(released)",
    "SUM(CASE WHEN state = 'in-doubt' THEN settled ELSE 0 END)", "SUM(overrun)", "SUM(tokens_in)", "SUM(tokens_out)",
)  # fmt: skip
_OPEN = "SUM(CASE WHEN state = 'open' THEN reserved ELSE 0 END)"

# One statement, hence one moment: the appliers may be at work.
_LINES = (
    "SELECT access_key, route, currency, SUM(open_nanos) AS open_nanos, "
    + ", ".join(f"SUM(row_{name}) AS row_{name}, SUM(kept_{name}) AS kept_{name}" for name in SUMS)
    + f" FROM (SELECT access_key, route, currency, {_OPEN} AS open_nanos, "
    + ", ".join(f"{total} AS row_{name}, 0 AS kept_{name}" for name, total in zip(SUMS, _OF_ROWS, strict=True))
    + " FROM requests GROUP BY access_key, route, currency"
    + " UNION ALL SELECT access_key, route, currency, 0, "
    + ", ".join(f"0, {name}" for name in SUMS)
    + " FROM balances) AS parts GROUP BY access_key, route, currency ORDER BY access_key, route, currency"
)

_WRONG = {
    "their settled and released parts are not what was reserved": "state <> 'open' AND reserved <> settled + released",
    "an amount is negative": "reserved < 0 OR settled < 0 OR released < 0 OR overrun < 0",
    "they are open and have a cost": "state = 'open' AND (settled <> 0 OR released <> 0 OR overrun <> 0)",
    "they were released and have a cost": "state = 'released' AND (settled <> 0 OR overrun <> 0)",
    "they cost more than was reserved, and not all that was reserved": "overrun > 0 AND released > 0",
    "their state is unknown": "state NOT IN ('open', 'settled', 'released', 'in-doubt')",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One key on one route: amounts in nanos of `currency`, from the rows. reserved = settled + released + in_doubt + open."""

    key: str
    route: str
    currency: str
    requests: int
    reserved: int
    settled: int
    released: int
    in_doubt: int
    open: int
    overrun: int
    tokens_in: int
    tokens_out: int
    balanced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Every line, what is wrong, and what is on its way: `waiting` sentences are no fault while the gateway runs."""

    lines: tuple[Line, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def reconcile(database: Database, folder: Path, disk: Disk) -> Report:
    """Compare the rows with the sums, with themselves, with the leases and with the logs in `folder`. Changes nothing."""
    problems: list[str] = []
    waiting: list[str] = []
    lines = tuple(_line(row, problems) for row in database.rows(_LINES))
    problems += _rows(database)
    problems += _leases(database)
    problems += _strays(database)
    _logs(database, folder, disk, problems, waiting)
    return Report(lines=lines, problems=tuple(problems), waiting=tuple(waiting))


def _line(row: Any, problems: list[str]) -> Line:
    rows = {name: int(row[f"row_{name}"]) for name in SUMS}
    kept = {name: int(row[f"kept_{name}"]) for name in SUMS}
    where = f"key {row['access_key']}, route {row['route']}"
    found = [
        f"{where}: {name} is {kept[name]} in the sums and {rows[name]} by the rows" for name in SUMS if rows[name] != kept[name]
    ]
    open_nanos = int(row["open_nanos"])
    parts = rows["settled"] + rows["released"] + rows["in_doubt"] + open_nanos
    if rows["reserved"] != parts:
        found.append(f"{where}: {rows['reserved']} was reserved, and {parts} is settled, released, in doubt or open")
    problems += found
    return Line(key=row["access_key"], route=row["route"], currency=row["currency"], open=open_nanos, balanced=not found, **rows)


def _rows(database: Database) -> Iterator[str]:
    counts = database.row("SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids FROM requests")
    if counts and counts["n"] != counts["ids"]:
        yield f"{counts['n'] - counts['ids']} requests are counted more than once"
    for what, wrong in _WRONG.items():
        yield from _named(database, f"FROM requests WHERE {wrong}", what)
    yield from _named(
        database,
        "FROM requests WHERE state = 'open' AND worker IN (SELECT worker FROM wal_marks WHERE closed IS NOT NULL)",
        "they are open and their worker is gone",
    )


def _named(database: Database, rest: str, what: str) -> Iterator[str]:
    count = database.row(f"SELECT COUNT(*) AS n {rest}")
    if count and count["n"]:
        ids = ", ".join(row["id"] for row in database.rows(f"SELECT id {rest} ORDER BY id LIMIT {SHOWN}"))
        yield f"{count['n']} requests: {what} ({ids}{', ...' if count['n'] > SHOWN else ''})"


def _leases(database: Database) -> Iterator[str]:
    """A lease may be overdrawn by what its requests cost beyond their reservations, and by nothing else."""
    for row in database.rows(
        "SELECT worker, access_key, granted, returned, charged, (SELECT COALESCE(SUM(overrun), 0) FROM requests"
        " WHERE requests.worker = leases.worker AND requests.access_key = leases.access_key) AS debt"
        " FROM leases ORDER BY worker, access_key"
    ):
        outstanding = row["granted"] - row["returned"] - row["charged"]
        where = f"worker {row['worker']}, key {row['access_key']}"
        if min(row["granted"], row["returned"], row["charged"]) < 0:
            yield f"{where}: an amount of its lease is negative"
        if outstanding < -int(row["debt"]):
            yield f"{where}: its lease is overdrawn by {-outstanding}, and its requests went {int(row['debt'])} beyond"


def _strays(database: Database) -> Iterator[str]:
    found = database.rows("SELECT subject FROM audit WHERE action = 'ledger.stray' ORDER BY subject")
    if found:
        ids = ", ".join(row["subject"] for row in found[:SHOWN])
        yield f"{len(found)} settlements have no reservation and are charged to nobody ({ids}{', ...' if found[SHOWN:] else ''})"


def _logs(database: Database, folder: Path, disk: Disk, problems: list[str], waiting: list[str]) -> None:
    for worker, files in segments(folder, disk).items():
        mark = read_mark(database, worker)
        if mark.closed:
            waiting.append(f"worker {worker}: its files are still to be removed")
            continue
        rest = read_stream(files, mark.applied, mark.records, 1)
        if rest.stop == "damaged":
            problems.append(f"worker {worker}: its log is damaged at byte {rest.position}: {rest.why}")
        elif rest.left or rest.records:
            waiting.append(f"worker {worker}: its log has bytes after {mark.applied} that are not applied yet")
    for name in disk.names(folder):
        if name.endswith(".damaged"):
            problems.append(f"{name}: a damaged log was set aside; requests in it are not counted")
