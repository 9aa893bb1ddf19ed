"""Ledger records with plain defaults, and logs put in place without a worker."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pilotbase.domain.metering import Fare, Tokens
from pilotbase.gateway.wal import Progress, Record, Reserve, Settle, encode
from pilotbase.store.database import Database

FARE = Fare(call=1_000, read=2_000_000, wrote=6_000_000, currency="CNY")  # 2 nanos a token read, 6 a token written
STARTED = 1_790_000_000_000_000


def reserve(name: str, **values: Any) -> Reserve:
    """100 tokens of prompt and 1,000 of answer: 7,200 nanos."""
    plain: dict[str, Any] = {
        "key": "key-1",
        "route": "chat",
        "upstream": "main",
        "endpoint": "chat",
        "started": STARTED,
        "reserved": 7_200,
        "tokens": 1_100,
        "read": 100,
        "currency": "CNY",
        "fare": FARE,
    }
    return Reserve(id=name, **{**plain, **values})


def progress(name: str, read: int = 0, wrote: int = 0, cached: int = 0) -> Progress:
    return Progress(id=name, tokens=Tokens(read, wrote, cached))


def settle(name: str, read: int = 90, wrote: int = 500, **values: Any) -> Settle:
    tokens = Tokens(read, wrote)
    plain: dict[str, Any] = {
        "cost": FARE.cost(tokens),
        "tokens": tokens,
        "source": "upstream",
        "outcome": "done",
        "status": 200,
        "seconds": 0.5,
        "ttft": 0.1,
        "upstream": "main",
    }
    return Settle(id=name, **{**plain, **values})


def release(name: str) -> Settle:
    return settle(name, 0, 0, cost=0, source="none", outcome="released: refused", status=502)


def log_bytes(records: Iterable[Record], sequence: int = 0) -> bytes:
    return b"".join(encode(record, sequence + i) for i, record in enumerate(records))


def put_log(folder: Path, worker: str, records: Iterable[Record], tail: bytes = b"") -> Path:
    """A log in one file, as a worker would have left it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{worker}-{0:016x}.wal"
    path.write_bytes(log_bytes(records) + tail)
    return path


def rows(database: Database) -> dict[str, dict[str, Any]]:
    return {row["id"]: dict(row) for row in database.rows("SELECT * FROM requests ORDER BY id")}


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that the ledger writes, but for the moment of a closing."""
    queries = {
        "requests": "SELECT * FROM requests ORDER BY id",
        "balances": "SELECT * FROM balances ORDER BY access_key, route, currency",
        "leases": "SELECT * FROM leases ORDER BY worker, access_key",
        "responses": "SELECT * FROM responses ORDER BY id",
    }
    return {name: [tuple(row) for row in database.rows(query)] for name, query in queries.items()}
