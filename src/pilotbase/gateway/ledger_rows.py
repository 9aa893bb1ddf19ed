"""The rows that the ledger's records become, and the sums kept beside them.

A row takes a record at most once: what is settled changes no more, and progress only grows. Sums change by the difference
between a row before and after, in the transaction that writes it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeVar

import orjson

from pilotbase.domain.metering import Fare, Tokens, divide
from pilotbase.gateway.arms import SHADOW, kept_at
from pilotbase.gateway.wal import LARGEST, Progress, Reserve, Settle
from pilotbase.store.database import ConflictError, Database

__all__ = [
    "COLUMNS",
    "NOTHING",
    "SUMS",
    "Change",
    "Row",
    "advance",
    "doubt",
    "find",
    "find_open",
    "opened",
    "settle",
    "sums",
    "write",
]

COLUMNS: Final = (
    "id", "worker", "access_key", "route", "upstream", "endpoint", "day", "started", "seconds", "ttft", "state", "currency",
    "reserved", "settled", "released", "overrun", "tokens_reserved", "tokens_in", "tokens_out", "tokens_cached", "source",
    "outcome", "status", "detail", "arm", "release_id", "person", "copy_of",
)  # fmt: skip
_FIXED = (
    "id", "worker", "access_key", "route", "endpoint", "day", "started", "currency", "reserved", "tokens_reserved", "arm",
    "release_id", "person", "copy_of",
)  # fmt: skip
_DAY = 86_400_000_000  # microseconds
T = TypeVar("T")
_AT_ONCE = 200  # rows of one statement: 5,600 parameters
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM requests"
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in _FIXED)
_PLACES = f"({', '.join('?' * len(COLUMNS))})"
SUMS: Final = ("requests", "reserved", "settled", "released", "in_doubt", "overrun", "tokens_in", "tokens_out")


@dataclass(slots=True, kw_only=True)
class Row:
    """One row of `requests`. `detail` of an open row holds what is needed to settle it when its worker is gone."""

    id: str
    worker: str
    access_key: str
    route: str
    upstream: str
    endpoint: str
    day: str
    started: int
    seconds: float | None = None
    ttft: float | None = None
    state: str = "open"
    currency: str
    reserved: int
    settled: int = 0
    released: int = 0
    overrun: int = 0
    tokens_reserved: int
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    source: str = "none"
    outcome: str = ""
    status: int | None = None
    detail: str = "{}"
    arm: str = ""
    release_id: str = ""
    person: str = ""
    copy_of: str = ""


@dataclass(slots=True, kw_only=True)
class Change:
    """A row to be written, and what it added to the sums before. `response` is one that the upstream keeps for later calls."""

    row: Row
    before: tuple[int, ...]
    response: str | None = None


NOTHING: Final = (0,) * len(SUMS)
_values = attrgetter(*COLUMNS)


def opened(record: Reserve, worker: str) -> Row:
    """The row of a request that was admitted."""
    fare = record.fare
    terms = {"fare": [fare.call, fare.read, fare.wrote], "read": record.read, "in_doubt": record.in_doubt}
    return Row(
        id=record.id,
        worker=worker,
        access_key=record.key,
        route=record.route,
        upstream=record.upstream,
        endpoint=record.endpoint,
        day=_day(record.started // _DAY),
        started=record.started,
        currency=record.currency,
        reserved=record.reserved,
        tokens_reserved=record.tokens,
        detail=orjson.dumps(terms).decode(),
        arm=record.arm,
        release_id=record.release,
        person=record.person,
        copy_of=record.copy_of,
    )


@lru_cache(maxsize=16)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).strftime("%Y-%m-%d")


def advance(row: Row, record: Progress) -> None:
    """Note what an open request has used so far."""
    tokens = record.tokens
    row.tokens_in = max(row.tokens_in, tokens.read)
    row.tokens_out = max(row.tokens_out, tokens.wrote)
    row.tokens_cached = max(row.tokens_cached, tokens.cached)


def settle(row: Row, record: Settle) -> None:
    """Close an open row."""
    charge = divide(row.reserved, record.cost)
    row.upstream = record.upstream or row.upstream
    row.seconds = record.seconds
    row.ttft = record.ttft
    row.state = "released" if record.releases else "settled"
    row.settled, row.released, row.overrun = charge.settled, charge.released, charge.overrun
    row.tokens_in, row.tokens_out, row.tokens_cached = record.tokens.read, record.tokens.wrote, record.tokens.cached
    row.source = record.source
    row.outcome = record.outcome
    row.status = record.status
    row.detail = orjson.dumps({"fare": orjson.loads(row.detail)["fare"], **record.detail}).decode()


def doubt(row: Row) -> None:
    """Close an open row by the rule that its reservation recorded.

    `progress`: what was recorded as used; a prompt counts as read, since it may have been sent.
    """
    terms = orjson.loads(row.detail)
    call, read, wrote = terms["fare"]
    tokens = Tokens(row.tokens_in, row.tokens_out, row.tokens_cached)
    if terms["in_doubt"] == "release":
        cost, tokens = 0, Tokens()
    elif terms["in_doubt"] == "reserved":
        cost = row.reserved
    else:
        tokens = Tokens(tokens.read or terms["read"], tokens.wrote, tokens.cached)
        cost = min(LARGEST, Fare(call, read, wrote, row.currency).cost(tokens))
    detail = {"rule": terms["in_doubt"]}
    settle(row, Settle(id=row.id, cost=cost, tokens=tokens, source="policy", outcome="in-doubt", detail=detail))
    row.state = "in-doubt"
    row.seconds = None


def sums(row: Row) -> tuple[int, ...]:
    """What a row adds to its line of `balances`, in the order of `SUMS`."""
    used, doubtful = (0, row.settled) if row.state == "in-doubt" else (row.settled, 0)
    return (1, row.reserved, used, row.released, doubtful, row.overrun, row.tokens_in, row.tokens_out)


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in a few sizes only: a database keeps each statement that it has prepared, and a long one takes a megabyte."""
    start = 0
    for size in (_AT_ONCE, 64, 8, 1):
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def find(database: Database, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of these requests that are there, by id."""
    found: dict[str, Row] = {}
    for part in _parts(ids):
        for one in database.rows(f"{_SELECT} WHERE id IN ({', '.join('?' * len(part))})", part):
            found[one["id"]] = _row(one)
    return found


def find_open(database: Database, worker: str) -> list[Row]:
    """All rows of a worker that no settlement has reached."""
    return [_row(one) for one in database.rows(f"{_SELECT} WHERE worker = ? AND state = 'open' ORDER BY id", (worker,))]


def _row(found: Any) -> Row:
    return Row(**{name: found[name] for name in COLUMNS})


def write(database: Database, worker: str, changes: Sequence[Change]) -> None:
    """Write rows of `worker` that were not there or open, and the sums that follow from them, all in one transaction.

    ConflictError, and nothing written, if one of them is there by now and settled, or another worker's.
    """
    if not changes:
        return
    with database.transaction():
        _write_rows(database, [one.row for one in changes])
        _add_to_balances(database, changes)
        _add_to_leases(database, worker, changes)
        _write_responses(database, changes)


def _write_rows(database: Database, rows: Sequence[Row]) -> None:
    for part in _parts(rows):
        values = [value for row in part for value in _values(row)]
        changed = database.execute(
            f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES {', '.join([_PLACES] * len(part))}"
            f" ON CONFLICT (id) DO UPDATE SET {_UPDATES}"
            " WHERE requests.state = 'open' AND requests.worker = excluded.worker",
            values,
        )
        if changed != len(part):
            raise ConflictError(
                f"{len(part) - changed} requests of the ledger were settled meanwhile, or belong to another worker",
                where="requests",
                hint="apply the logs again; nothing of this batch was written",
            )


def _add_to_balances(database: Database, changes: Iterable[Change]) -> None:
    totals: dict[tuple[str, str, str], list[int]] = {}
    for change in changes:
        row = change.row
        total = totals.setdefault((row.access_key, row.route, row.currency), [0] * len(SUMS))
        for i, (old, new) in enumerate(zip(change.before, sums(row), strict=True)):
            total[i] += new - old
    columns = ("access_key", "route", "currency", *SUMS)
    # In the order of their keys, so that two appliers on one PostgreSQL never wait for each other in a ring.
    database.execute_many(
        f"INSERT INTO balances ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        " ON CONFLICT (access_key, route, currency) DO UPDATE SET "
        + ", ".join(f"{name} = balances.{name} + excluded.{name}" for name in SUMS),
        [(*key, *total) for key, total in sorted(totals.items())],
    )


def _add_to_leases(database: Database, worker: str, changes: Iterable[Change]) -> None:
    """A lease is money in the currency of its key's budget: what was spent in another is no part of it."""
    spent: dict[tuple[str, str], int] = {}
    for change in changes:
        row = change.row
        cost = row.settled + row.overrun
        if cost and row.state != "open":
            spent[row.access_key, row.currency] = spent.get((row.access_key, row.currency), 0) + cost
    database.execute_many(
        "UPDATE leases SET charged = charged + ? WHERE worker = ? AND access_key = ?"
        " AND NOT EXISTS (SELECT 1 FROM access_keys WHERE id = ? AND currency <> ?)",
        [(cost, worker, key, key, currency) for (key, currency), cost in sorted(spent.items())],
    )


def _write_responses(database: Database, changes: Iterable[Change]) -> None:
    # Nobody can go on from what a shadow said.
    kept = [(one.response, one.row) for one in changes if one.response and one.row.arm != SHADOW]
    if kept:
        database.execute_many(
            "INSERT INTO responses (id, access_key, route, upstream, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            [
                (
                    name,
                    row.access_key,
                    row.route,
                    kept_at(row.arm, row.release_id, row.upstream),
                    int(row.started / 1e6 + (row.seconds or 0)),
                )
                for name, row in sorted(kept, key=lambda one: str(one[0]))
            ],
        )
