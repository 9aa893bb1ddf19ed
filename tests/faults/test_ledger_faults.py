"""A fault at every boundary of the ledger, of applying and of recovery: no count is lost, and none is doubled."""

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.ledger_records import FARE, everything, log_bytes, progress, put_log, release, reserve, rows, settle
from tests.faults.test_store_recovery import Faulty, Killed

from pilotbase.domain.metering import Tokens
from pilotbase.errors import UserError
from pilotbase.gateway.applying import Applier
from pilotbase.gateway.ledger import Ledger, LedgerTrouble
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.recovery import Recovered, recover
from pilotbase.gateway.wal import Record, encode
from pilotbase.gateway.wal_files import segment_path
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

MODES = ("full", "stays full", "dies before", "dies after", "dies in the middle", "power cut")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
DISK = LocalDisk()
COST = FARE.cost(Tokens(90, 500))


@dataclass(slots=True)
class Seen:
    """What the clients of one worker saw."""

    asked: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Threaded(Faulty):
    """Faults for a ledger, whose thread syncs and closes files while its loop writes: one call at a time."""

    lock: threading.RLock = field(default_factory=threading.RLock)

    def step(self, action: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        with self.lock:
            if self.mode != "stays full":
                return Faulty.step(self, action, half)
            self.count += 1
            if 0 <= self.at < self.count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return action()

    def close(self, fd: int) -> None:
        with self.lock:
            Faulty.close(self, fd)

    def die(self) -> None:
        with self.lock:
            Faulty.die(self)


def work(folder: Path, database: Database, faulty: Faulty, seen: Seen, machine: bool) -> None:
    """A worker with a few requests, and a keeper that applies now and then, until the end or the fault."""

    async def one(ledger: Ledger, name: str, ends: bool) -> None:
        seen.asked.append(name)
        try:
            await ledger.reserve(reserve(name))
        except LedgerTrouble:
            if ledger.broken:
                raise
            return
        seen.accepted.append(name)
        ledger.progress(progress(name, 90, 20))
        if ends:
            await ledger.settle(settle(name))
            seen.delivered.append(name)

    async def run() -> None:
        ledger = Ledger(folder, "w", faulty.disk(), machine=machine, segment=450)
        applier = Applier(database, folder, faulty.disk())
        try:
            for i in range(5):
                await one(ledger, f"r{i}", ends=i != 3)
                if i % 2:
                    with suppress(UserError):
                        applier.apply(3)
        finally:
            # The process is gone; only its thread has to be told.
            if faulty.at >= 0:
                faulty.dead or faulty.die()
            with suppress(LedgerTrouble, Killed):
                await ledger.aclose()

    asyncio.run(run())


def assert_nothing_lost(folder: Path, database: Database, seen: Seen, may_lose_open: bool) -> None:
    found = rows(database)
    assert set(found) <= set(seen.asked)
    assert set(seen.delivered) <= set(seen.accepted)
    if not may_lose_open:
        assert set(seen.accepted) <= set(found)
    for name in seen.delivered:
        assert (found[name]["state"], found[name]["settled"]) == ("settled", COST)
    states = [row["state"] for row in found.values()]
    assert len(seen.delivered) <= states.count("settled") + states.count("in-doubt") == len(found)
    report = reconcile(database, folder, DISK)
    assert report.balanced and not report.waiting, report
    assert sum(line.requests for line in report.lines) == len(found)
    assert not os.listdir(folder)


@pytest.mark.parametrize(
    ("mode", "machine"), [*((mode, False) for mode in MODES), ("full", True), ("dies after", True), ("power cut", True)]
)
def test_after_a_fault_at_any_boundary_what_was_delivered_is_settled_once(tmp_path: Path, mode: str, machine: bool) -> None:
    counted = Threaded()
    with Database(tmp_path / "whole.db") as database:
        work(tmp_path / "whole", database, counted, Seen(), machine)
    assert counted.count > 25
    for at in range(counted.count):
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        seen = Seen()
        with Database(tmp_path / f"{at}.db") as database:
            with suppress(Killed, UserError):
                work(folder, database, Threaded(at=at, mode=mode), seen, machine)
            found = recover(database, folder, DISK, "w", NOW)
            assert not found.damaged
            assert_nothing_lost(folder, database, seen, may_lose_open=mode == "power cut" and not machine)
            before = everything(database)
            assert recover(database, folder, DISK, "w", NOW) == Recovered(worker="w")
            assert everything(database) == before


@dataclass(slots=True)
class Dying:
    """A database whose process dies at the step numbered `at`: before a statement, before a commit, or just after one."""

    inner: Database
    at: int = -1
    count: int = 0
    depth: int = 0

    def step(self) -> None:
        self.count += 1
        if 0 <= self.at < self.count:
            raise Killed

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.step()
        self.depth += 1
        try:
            with self.inner.transaction():
                yield self
                self.step()
        finally:
            self.depth -= 1
        if not self.depth:
            self.step()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)

        def counted(*values: Any) -> Any:
            self.step()
            return call(*values)

        return counted


STORY: list[Record] = [
    *(
        reserve("a"),
        settle("a", detail={"response_id": "resp_1"}),
        reserve("b"),
        progress("b", 90, 5),
        reserve("c"),
        release("c"),
    ),
    *(reserve("d"), reserve("e", in_doubt="reserved"), settle("d", 2_000, 3_000), reserve("f")),
]


def left_behind(folder: Path, database: Database, damaged: bool) -> None:
    """A log in three files with open requests, and its end torn or its middle damaged."""
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000)")
    folder.mkdir()
    start = 0
    for first, last in ((0, 3), (3, 6), (6, len(STORY))):
        data = log_bytes(STORY[first:last], first)
        if damaged and first == 3:
            data = data[:40] + b"?" + data[41:]
        segment_path(folder, "w", start).write_bytes(data + (b"" if last < len(STORY) else encode(settle("f"), last)[:50]))
        start += len(data)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("damaged", [False, True])
def test_recovery_that_dies_at_any_boundary_and_begins_again_comes_to_the_same(tmp_path: Path, damaged: bool) -> None:
    whole = Faulty()
    with Database(tmp_path / "whole.db") as database:
        left_behind(tmp_path / "whole", database, damaged)
        counted = Dying(database)
        found = recover(counted, tmp_path / "whole", whole.disk(), "w", NOW)  # type: ignore[arg-type]
        assert bool(found.damaged) is damaged and (found.torn_bytes == 50) is not damaged
        expected, files = everything(database), contents(tmp_path / "whole")
    assert len(files) == (2 if damaged else 0)
    places = [(Faulty(at=at, mode=mode), -1) for at in range(whole.count) for mode in ("dies before", "dies after", "full")]
    places += [(Faulty(), at) for at in range(counted.count)]
    for number, (faulty, at) in enumerate(places):
        folder = tmp_path / f"at-{number}"
        with Database(tmp_path / f"{number}.db") as database:
            left_behind(folder, database, damaged)
            with suppress(Killed, UserError):
                recover(Dying(database, at), folder, faulty.disk(), "w", NOW)  # type: ignore[arg-type]
            recover(database, folder, DISK, "w", NOW)
            assert everything(database) == expected, number
            assert contents(folder) == files, number
            assert reconcile(database, folder, DISK).balanced is not damaged


def test_applying_that_dies_at_any_boundary_and_begins_again_comes_to_the_same(tmp_path: Path) -> None:
    def apply(database: Any, folder: Path) -> None:
        applier = Applier(database, folder, DISK)
        while applier.apply(4):
            pass

    with Database(tmp_path / "whole.db") as database:
        put_log(tmp_path / "whole", "w", STORY)
        counted = Dying(database)
        apply(counted, tmp_path / "whole")
        expected = everything(database)
    assert counted.count > 30
    for at in range(counted.count):
        with Database(tmp_path / f"{at}.db") as database:
            put_log(tmp_path / f"at-{at}", "w", STORY)
            with suppress(Killed):
                apply(Dying(database, at), tmp_path / f"at-{at}")
            apply(database, tmp_path / f"at-{at}")
            assert everything(database) == expected, at


WORKER = """
import asyncio, os, sys
from pathlib import Path
from tests.fakes.ledger_records import progress, release, reserve, settle
from pilotbase.gateway.ledger import Ledger
from pilotbase.store.disk import LocalDisk

folder, worker = Path(sys.argv[1]), sys.argv[2]

async def client(ledger, number):
    for i in range(100_000):
        name = f"{worker}-{number}-{i}"
        await ledger.reserve(reserve(name))
        await asyncio.sleep(0)
        ledger.progress(progress(name, 90, i % 400))
        if i % 7 == 3:
            ledger.settle_later(release(name))
        else:
            await ledger.settle(settle(name))
            os.write(1, name.encode() + b"\\n")

async def main():
    ledger = Ledger(folder, worker, LocalDisk(), segment=20_000)
    await asyncio.gather(*(client(ledger, number) for number in range(32)))

asyncio.run(main())
"""


def test_a_worker_killed_under_load_loses_no_request_that_it_delivered(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    moments = random.Random(20261121)
    folder = tmp_path / "wal"
    total = doubtful = 0
    with Database(tmp_path / "base.db") as database:
        for number in range(size(5, 100)):
            worker = f"w{number}"
            command = [sys.executable, "-c", WORKER, str(folder), worker]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
                assert process.stdout is not None
                delivered = []
                applier = Applier(database, folder, DISK)
                for _ in range(moments.randrange(1, 400)):
                    delivered.append(process.stdout.readline())
                    if len(delivered) % 40 == 0:
                        applier.apply(moments.randrange(1, 200))
                process.send_signal(signal.SIGKILL)
                delivered += process.stdout.read().splitlines(keepends=True)
                process.wait(timeout=60)
            found = recover(database, folder, DISK, worker, NOW)
            assert not found.damaged
            doubtful += found.settled_in_doubt
            names = {line.decode().strip() for line in delivered if line.endswith(b"\n")}
            states = dict(map(tuple, database.rows("SELECT id, state FROM requests WHERE worker = ?", (worker,))))
            assert all(states[name] == "settled" for name in names)
            assert "open" not in states.values()
            total += len(states)
            report = reconcile(database, folder, DISK)
            assert report.balanced and not report.waiting, report.problems
            assert sum(line.requests for line in report.lines) == total
    assert doubtful > 0
    assert not os.listdir(folder)
