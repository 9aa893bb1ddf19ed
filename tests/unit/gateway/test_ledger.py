"""A worker's ledger: what has been promised when a call returns, and what becomes of it when the disk fails."""

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.ledger_records import log_bytes, progress, release, reserve, settle

from pilotbase.gateway.ledger import Ledger, LedgerTrouble
from pilotbase.gateway.wal import Record
from pilotbase.gateway.wal_files import read_stream, segments
from pilotbase.store.disk import Calls, LocalDisk


@dataclass(slots=True)
class Slow:
    """System calls that a test can hold back, count and fail; `fail` gives the calls that go wrong, by name and count."""

    gate: threading.Event = field(default_factory=threading.Event)
    fail: dict[str, set[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    tear: bool = False

    def disk(self) -> LocalDisk:
        return LocalDisk(Calls(write=self.write, sync=self.sync, truncate=self.truncate, open_file=self.open_file))

    def _step(self, name: str) -> bool:
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name] in self.fail.get(name, ())

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self._step("write"):
            if self.tear:
                os.write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            assert self.gate.wait(60)
        if self._step("sync"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)

    def truncate(self, fd: int, size: int) -> None:
        if self._step("truncate"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.ftruncate(fd, size)

    def open_file(self, path: Path, flags: int, mode: int) -> int:
        if self._step("open"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.open(path, flags, mode)


def play(folder: Path, story: Callable[[Ledger], Awaitable[None]], slow: Slow | None = None, **options: object) -> Ledger:
    """Run a story on a fresh ledger, and close it."""
    slow = slow or Slow()

    async def run() -> Ledger:
        ledger = Ledger(folder, "w-1", slow.disk(), **options)  # type: ignore[arg-type]
        try:
            await story(ledger)
        finally:
            slow.gate.set()
            if ledger.broken is None:
                await ledger.aclose()
            else:
                with pytest.raises(LedgerTrouble):
                    await ledger.aclose()
        return ledger

    return asyncio.run(run())


def written(folder: Path) -> list[Record]:
    found = read_stream(segments(folder, LocalDisk()).get("w-1", []), 0, 0, 10**6)
    assert found.stop == "end"
    return found.records


def test_a_reservation_is_in_the_file_before_the_call_returns_and_waits_for_no_sync(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.reserve(reserve("a"))
        ledger.progress(progress("a", 1))
        assert written(tmp_path) == [reserve("a"), progress("a", 1)]
        assert ledger.pending() == 2

    slow = Slow()
    play(tmp_path, story, slow)
    assert slow.counts["sync"] == 2  # the folder, and what was left at the end


def test_a_settlement_returns_only_when_it_is_synced(tmp_path: Path) -> None:
    slow = Slow()

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(reserve("a"))
        task = asyncio.ensure_future(ledger.settle(settle("a")))
        await asyncio.sleep(0)
        assert written(tmp_path) == [reserve("a"), settle("a")]
        assert not task.done() and ledger.pending() == 2
        slow.gate.set()
        await task
        assert ledger.pending() == 0

    play(tmp_path, story, slow)


def test_with_machine_durability_a_reservation_waits_for_the_sync_too(tmp_path: Path) -> None:
    slow = Slow()

    async def story(ledger: Ledger) -> None:
        task = asyncio.ensure_future(ledger.reserve(reserve("a")))
        await asyncio.sleep(0)
        assert written(tmp_path) == [reserve("a")] and not task.done()
        slow.gate.set()
        await task
        assert ledger.pending() == 0

    play(tmp_path, story, slow, machine=True)


def test_what_is_written_during_a_sync_shares_the_next_one(tmp_path: Path) -> None:
    slow = Slow()
    batches: list[int] = []

    async def story(ledger: Ledger) -> None:
        tasks = [asyncio.ensure_future(ledger.settle(settle(str(i)))) for i in range(50)]
        await asyncio.sleep(0)
        slow.gate.set()
        await asyncio.gather(*tasks)

    play(tmp_path, story, slow, on_sync=lambda seconds, records: batches.append(records))
    assert batches == [1, 49]


def test_a_settlement_that_nobody_waits_for_is_synced_soon(tmp_path: Path) -> None:
    slow = Slow()

    async def story(ledger: Ledger) -> None:
        synced = asyncio.Event()
        ledger.settle_later(settle("a"))
        ledger.settle_later(release("b"))
        assert ledger.pending() == 2
        slow.gate.set()
        asyncio.get_running_loop().call_soon(synced.set)
        await synced.wait()
        await ledger.settle(settle("c"))
        assert ledger.pending() == 0

    play(tmp_path, story, slow)
    assert [record.id for record in written(tmp_path)] == ["a", "b", "c"]


def test_a_caller_that_is_cancelled_takes_nothing_back_and_holds_up_nobody(tmp_path: Path) -> None:
    slow = Slow()

    async def story(ledger: Ledger) -> None:
        tasks = [asyncio.ensure_future(ledger.settle(settle(str(i)))) for i in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        slow.gate.set()
        await tasks[2]

    play(tmp_path, story, slow)
    assert [record.id for record in written(tmp_path)] == ["0", "1", "2"]


def test_a_file_that_is_full_has_a_successor_named_by_its_place_in_the_stream(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        for i in range(20):
            await ledger.reserve(reserve(f"r{i}"))
            await ledger.settle(settle(f"r{i}"))

    slow = Slow()
    slow.gate.set()
    play(tmp_path, story, slow, segment=500)
    files = segments(tmp_path, LocalDisk())["w-1"]
    assert len(files) > 5
    for one, after in itertools.pairwise(files):
        assert one.start + one.path.stat().st_size == after.start
        assert 500 <= one.path.stat().st_size < 800
    expected = [record for i in range(20) for record in (reserve(f"r{i}"), settle(f"r{i}"))]
    assert written(tmp_path) == expected
    assert b"".join(one.path.read_bytes() for one in files) == log_bytes(expected)


def test_where_no_further_file_can_be_made_the_old_one_grows_on(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        for i in range(30):
            await ledger.settle(settle(f"r{i}"))
        assert ledger.broken is None

    slow = Slow(fail={"open": {2, 3}})
    slow.gate.set()
    play(tmp_path, story, slow, segment=2000)
    files = segments(tmp_path, LocalDisk())["w-1"]
    assert files[0].path.stat().st_size > 2060 and len(files) > 1
    assert len(written(tmp_path)) == 30


@pytest.mark.parametrize("tear", [False, True])
def test_a_full_disk_refuses_the_reservation_and_the_ledger_goes_on(tmp_path: Path, tear: bool) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.reserve(reserve("a"))
        with pytest.raises(LedgerTrouble, match="no space is left") as caught:
            await ledger.reserve(reserve("b"))
        assert caught.value.status == 503 and caught.value.hint
        assert ledger.broken is None
        ledger.progress(progress("a", 5))
        assert ledger.dropped == 1
        await ledger.settle(settle("a"))

    slow = Slow(fail={"write": {2, 3}}, tear=tear)
    slow.gate.set()
    play(tmp_path, story, slow)
    assert written(tmp_path) == [reserve("a"), settle("a")]


def test_a_torn_reservation_that_cannot_be_cut_off_breaks_the_ledger(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        with pytest.raises(LedgerTrouble, match="broken"):
            await ledger.reserve(reserve("a"))
        with pytest.raises(LedgerTrouble, match="broken"):
            await ledger.reserve(reserve("b"))

    play(tmp_path, story, Slow(fail={"write": {1}, "truncate": {1}}, tear=True))


def test_a_settlement_that_cannot_be_written_breaks_the_ledger_for_good(tmp_path: Path) -> None:
    told: list[str] = []

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(reserve("a"))
        with pytest.raises(LedgerTrouble, match="the ledger of this worker is broken"):
            await ledger.settle(settle("a"))
        assert ledger.broken and told == [ledger.broken]
        with pytest.raises(LedgerTrouble):
            await ledger.reserve(reserve("b"))
        with pytest.raises(LedgerTrouble):
            ledger.settle_later(settle("b"))
        with pytest.raises(LedgerTrouble):
            ledger.progress(progress("b", 1))

    play(tmp_path, story, Slow(fail={"write": {2}}), on_broken=told.append)
    assert written(tmp_path) == [reserve("a")]


def test_a_failed_sync_fails_everyone_who_waits_and_is_never_tried_again(tmp_path: Path) -> None:
    slow = Slow(fail={"sync": {3}})

    async def story(ledger: Ledger) -> None:
        slow.gate.set()
        await ledger.settle(settle("a"))
        slow.gate.clear()
        tasks = [asyncio.ensure_future(ledger.settle(settle(name))) for name in "bcd"]
        await asyncio.sleep(0)
        slow.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, LedgerTrouble) for one in results)
        with pytest.raises(LedgerTrouble):
            await ledger.settle(settle("e"))

    ledger = play(tmp_path, story, slow)
    assert ledger.broken and "could not save it" in ledger.broken
    assert slow.counts["sync"] == 3


def test_an_unforeseen_error_in_the_thread_leaves_nobody_waiting(tmp_path: Path) -> None:
    def sync(fd: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError

    async def run() -> None:
        ledger = Ledger(tmp_path, "w-1", LocalDisk(Calls(sync=sync)))
        with pytest.raises(LedgerTrouble, match="ZeroDivisionError"):
            await ledger.settle(settle("a"))
        with pytest.raises(LedgerTrouble):
            await ledger.aclose()

    asyncio.run(run())


def test_a_worker_name_is_used_once(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        with pytest.raises(LedgerTrouble, match="a worker called w-1 has written here before"):
            Ledger(tmp_path, "w-1", LocalDisk())
        other = Ledger(tmp_path, "w-1-2", LocalDisk())
        await other.aclose()

    play(tmp_path, story)
    with pytest.raises(ValueError, match="cannot be a worker's name"):
        Ledger(tmp_path, "../w", LocalDisk())


def test_a_closed_ledger_takes_nothing_and_may_be_closed_again(tmp_path: Path) -> None:
    async def run() -> None:
        ledger = Ledger(tmp_path, "w-1", LocalDisk())
        ledger.settle_later(settle("a"))
        await ledger.aclose()
        await ledger.aclose()
        with pytest.raises(LedgerTrouble, match="the ledger is closed"):
            await ledger.reserve(reserve("b"))

    asyncio.run(run())
    assert [record.id for record in written(tmp_path)] == ["a"]


class Quick(Slow):
    """System calls that note on which thread a sync ran."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()
        self.on_loop: list[bool] = []

    def sync(self, fd: int) -> None:
        self.on_loop.append(threading.current_thread() is threading.main_thread())
        if self._step("sync"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_request_that_is_alone_is_synced_on_the_loop_once_the_disk_has_proved_quick(tmp_path: Path) -> None:
    calls = Quick()

    async def story() -> list[bool]:
        ledger = Ledger(tmp_path, "w", calls.disk())
        calls.on_loop.clear()
        for number in range(40):
            await ledger.reserve(reserve(f"r{number}"))
            await ledger.settle(settle(f"r{number}"))
            assert ledger.pending() == 0
        alone = list(calls.on_loop)
        calls.on_loop.clear()
        await ledger.reserve(reserve("first"))
        await ledger.reserve(reserve("second"))
        await ledger.settle(settle("first"))
        beside = list(calls.on_loop)
        await ledger.aclose()
        assert beside == [False], "somebody else was under way: the loop must not wait for the disk"
        return alone

    alone = asyncio.run(story())
    assert alone[:16] == [False] * 16
    # A single slow sync in between sends the next ones to the thread again; on any machine some of 24 are quick.
    assert any(alone[16:])


def test_a_sync_on_the_loop_that_fails_breaks_the_ledger_like_any_other(tmp_path: Path) -> None:
    calls = Quick()

    async def story() -> None:
        ledger = Ledger(tmp_path, "w", calls.disk())
        for number in range(200):
            if ledger._quick >= 16:
                break
            await ledger.reserve(reserve(f"r{number}"))
            await ledger.settle(settle(f"r{number}"))
        await ledger.reserve(reserve("last"))
        calls.fail["sync"] = {calls.counts["sync"] + 1}
        with pytest.raises(LedgerTrouble):
            await ledger.settle(settle("last"))
        assert ledger.broken
        with pytest.raises(LedgerTrouble):
            await ledger.reserve(reserve("later"))
        with pytest.raises(LedgerTrouble):
            await ledger.aclose()

    asyncio.run(story())
