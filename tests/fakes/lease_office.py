"""A keeper in this process: purses on a real database, with the ledger's applier and recovery in their smallest form."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from pilotbase.domain.access import AccessKey
from pilotbase.domain.quantity import Money
from pilotbase.gateway import leases
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.quota import Grant, Refusal, Return, Want, answer_from
from pilotbase.store.database import Database

CREATED = datetime(2026, 11, 1, tzinfo=UTC)


class Time:
    """Wall and monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.monotonic = 50.0

    def __call__(self) -> float:
        return self.monotonic

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def add_key(
    database: Database, name: str = "k", *, budget: int | None = None, rpm: int | None = None, tpm: int | None = None
) -> AccessKey:
    """A key in the database, with its limits; `budget` in nanos of CNY."""
    database.execute(
        "INSERT INTO access_keys (id, name, digest, created, budget, currency, rpm, tpm, changed) "
        "VALUES (?, ?, '', ?, ?, ?, ?, ?, 0)",
        (name, name, CREATED.isoformat(), budget, None if budget is None else "CNY", rpm, tpm),
    )
    money = None if budget is None else Money(budget, "CNY")
    return AccessKey(id=name, name=name, digest="", created=CREATED, budget=money, rpm=rpm, tpm=tpm)


def charge(database: Database, worker: str, key: str, cost: int, reserved: int) -> None:
    """What applying a SETTLE does: the balances and the lease are charged in one transaction."""
    with database.transaction():
        database.execute(
            "INSERT INTO balances (access_key, route, currency, settled, overrun) VALUES (?, 'r', 'CNY', ?, ?) "
            "ON CONFLICT (access_key, route, currency) DO UPDATE SET settled = balances.settled + excluded.settled, "
            "overrun = balances.overrun + excluded.overrun",
            (key, min(cost, reserved), max(0, cost - reserved)),
        )
        database.execute("UPDATE leases SET charged = charged + ? WHERE worker = ? AND access_key = ?", (cost, worker, key))


def recover(database: Database, worker: str) -> None:
    """What the recovery of a dead worker does to its mark and its leases, once its settlements are applied."""
    with database.transaction():
        database.execute(
            "INSERT INTO wal_marks (worker, applied, records, closed) VALUES (?, 0, 0, '2026-11-01T00:00:00+00:00') "
            "ON CONFLICT (worker) DO UPDATE SET closed = excluded.closed",
            (worker,),
        )
        database.execute("DELETE FROM leases WHERE worker = ?", (worker,))


def held(database: Database, key: str = "k") -> dict[str, int]:
    """Outstanding money of a key by worker."""
    rows = database.rows("SELECT worker, granted - returned - charged AS held FROM leases WHERE access_key = ?", (key,))
    return {row["worker"]: int(row["held"]) for row in rows}


class Office:
    """The keeper. `wants` are the calls so far. Documents cross as they would cross the socket."""

    def __init__(self, database: Database, time: Time, workers: int = 1) -> None:
        self.database = database
        self.time = time
        self.workers = workers
        self.purses: dict[str, Purse] = {}
        self.wants: list[tuple[str, Want]] = []

    def open(self, worker: str = "w") -> Purse:
        """A worker with an empty purse."""
        purse = self.purses[worker] = Purse(partial(self.lease, worker), partial(self.take, worker), self.time)
        return purse

    async def lease(self, worker: str, want: Want) -> Grant | Refusal:
        want = Want.from_dict(want.as_dict())
        self.wants.append((worker, want))
        await asyncio.sleep(0)
        answer = await leases.obtain(partial(self.decide, worker, want), partial(self.recall, worker, want.key), want)
        await asyncio.sleep(0)
        return answer_from(answer.as_dict())

    async def decide(self, worker: str, want: Want) -> Grant | Refusal:
        return leases.grant(self.database, worker, want, self.time.wall, self.workers)

    async def recall(self, asker: str, key: str) -> None:
        for worker, purse in self.purses.items():
            if worker != asker:
                await asyncio.sleep(0)
                self.take(worker, purse.recall(key))

    def take(self, worker: str, returns: Sequence[Return]) -> None:
        made = [Return.from_dict(one.as_dict()) for one in returns]
        leases.give_back(self.database, worker, made, self.time.wall)
