"""A worker's ledger: what was written survives the death of the process, what was settled survives a power cut too."""

import asyncio
import fcntl
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pilotbase.errors import UserError
from pilotbase.gateway.wal import Progress, Record, Reserve, Settle, encode
from pilotbase.gateway.wal_files import is_worker_name, segment_path, segments
from pilotbase.store.disk import Disk, Handle, explained

__all__ = ["Ledger", "LedgerTrouble"]

SEGMENT: Final = 64 << 20
QUICK: Final = 0.001
"""Seconds: a sync that takes less keeps the loop for no longer than a request does."""
STEADY: Final = 16


class LedgerTrouble(UserError):
    """The ledger did not take a record, or cannot promise that it will last."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint, status=503)


class Ledger:
    """The write-ahead log of one worker in `folder`, used from one event loop. A worker's name is used once, ever.

    A record is in the kernel's hands when its call returns or first waits, in the order of the calls. One thread syncs; whatever
    was written while it did shares its next sync. With `machine` a reservation waits for a sync too. A file holds `segment`
    bytes and a record more at most. The newest file carries an advisory lock (flock) that says that its worker lives.

    `broken` says why the ledger takes nothing more: a settlement could not be written, or a sync failed. After a failed sync
    nobody knows what is on the disk, so it is not tried again (Rebello et al., "Can Applications Recover from fsync Failures?",
    USENIX ATC 2020). The worker must then stop and exit; recovery goes by what is in the files. `dropped` counts progress
    records that the disk did not take.

    `on_broken` is called once, with the reason; `on_sync` after each sync, with its seconds and the records it covered.
    """

    __slots__ = ("_batch", "_disk", "_end", "_folder", "_handle", "_jobs", "_loop", "_machine", "_on_broken", "_on_sync",
                 "_quick", "_roll_at", "_segment", "_sequence", "_synced", "_syncing", "_thread", "_under_way", "_waiting",
                 "_wanted", "_worker", "_written", "broken", "dropped")  # fmt: skip

    def __init__(
        self,
        folder: Path,
        worker: str,
        disk: Disk,
        *,
        machine: bool = False,
        segment: int = SEGMENT,
        on_broken: Callable[[str], None] | None = None,
        on_sync: Callable[[float, int], None] | None = None,
    ) -> None:
        if not is_worker_name(worker):
            raise ValueError(f"`{worker}` cannot be a worker's name")
        self.broken: str | None = None
        self.dropped = 0
        self._folder = folder
        self._worker = worker
        self._disk = disk
        self._machine = machine
        self._segment = segment
        self._roll_at = segment
        self._on_broken = on_broken
        self._on_sync = on_sync
        self._sequence = 0
        self._end = 0
        self._written = 0  # records
        self._synced = 0
        self._syncing = False
        self._wanted = False
        self._under_way = 0  # reserved and not settled
        self._quick = 0  # syncs in a row that were quick
        self._waiting: list[asyncio.Future[None]] = []
        self._batch: list[asyncio.Future[None]] = []
        self._jobs: queue.SimpleQueue[tuple[Handle, int] | Handle | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        disk.make_folder(folder)
        if worker in segments(folder, disk):
            raise LedgerTrouble(
                f"a worker called {worker} has written here before",
                where=str(folder),
                hint="give every worker a new name, or let recovery finish with the old one first",
            )
        self._handle: Handle | None = self._open(0)

    async def reserve(self, record: Reserve) -> None:
        """Write a reservation. LedgerTrouble, and nothing written, if the disk does not take it."""
        self._append_or_undo(record)
        self._under_way += 1
        if self._machine:
            await self._sync()

    def progress(self, record: Progress) -> None:
        """Write what a request has used so far. Where the disk does not take it, the request goes on without."""
        try:
            self._append_or_undo(record)
        except LedgerTrouble:
            if self.broken:
                raise
            self.dropped += 1

    async def settle(self, record: Settle) -> None:
        """Return once the settlement is on the disk. After LedgerTrouble the request counts as in doubt.

        A caller that is cancelled while it waits takes nothing back.
        """
        self._append_or_break(record)
        self._under_way -= 1
        if self._under_way <= 0 and self._quick >= STEADY and not self._syncing and not self._waiting:
            self._sync_here()
        else:
            await self._sync()

    def settle_later(self, record: Settle) -> None:
        """Write a settlement that nobody waits for; it is synced soon."""
        self._append_or_break(record)
        self._under_way -= 1
        self._wanted = True
        self._sync_soon()

    def pending(self) -> int:
        """Records written that are not known to be on the disk."""
        return self._written - self._synced

    async def aclose(self) -> None:
        """Sync what is left and close the file. A second call does nothing; LedgerTrouble if the ledger is or gets broken."""
        if self._handle is None:
            return
        try:
            if self.broken:
                raise self._trouble()
            if self._written > self._synced or self._syncing:
                await self._sync()
        finally:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._jobs.put(handle)
            self._jobs.put(None)
            if self._thread is None:
                self._work()
            else:
                await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _append_or_undo(self, record: Record) -> None:
        handle = self._writable()
        try:
            self._append(handle, record)
        except UserError as error:
            # What was written of it must go: a record after it would be taken for damage.
            try:
                handle.truncate(handle.size)
            except UserError as second:
                raise self._break(second) from second
            raise LedgerTrouble(error.message, where=error.where, hint=error.hint) from error

    def _append_or_break(self, record: Settle) -> None:
        handle = self._writable()
        try:
            self._append(handle, record)
        except UserError as error:
            raise self._break(error) from error

    def _writable(self) -> Handle:
        if self.broken or self._handle is None:
            raise self._trouble()
        if self._handle.size >= self._roll_at:
            self._rotate()
        return self._handle

    def _append(self, handle: Handle, record: Record) -> None:
        data = encode(record, self._sequence)
        handle.write(data)
        self._sequence += 1
        self._written += 1
        self._end += len(data)

    def _rotate(self) -> None:
        """Go on in a new file. The old one is synced first, so that no file after it can outlive a hole in it.

        This one sync blocks the loop; what it has to save is what came since the last one. Where no file can be made, the old
        one grows on.
        """
        old = self._handle
        assert old is not None
        try:
            old.sync()
        except UserError as error:
            raise self._break(error) from error
        try:
            self._handle = self._open(self._end)
        except LedgerTrouble as error:
            raise self._break(error) from error
        except UserError:
            self._roll_at = old.size + self._segment // 64 + 1
            return
        self._roll_at = self._segment
        self._jobs.put(old)

    def _open(self, start: int) -> Handle:
        path = segment_path(self._folder, self._worker, start)
        handle = self._disk.create(path, 0o600)
        try:
            with explained("lock", path):
                fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._disk.sync_folder(self._folder)
        except UserError as error:
            handle.close()
            raise LedgerTrouble(error.message, where=error.where, hint=error.hint) from error
        return handle

    async def _sync(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._sync_soon()
        await waiter

    def _sync_here(self) -> None:
        """Sync on the loop itself: nobody else is kept waiting, and the way through the thread costs more than the sync.

        Only after a row of quick ones: a disk that is slow, or hangs, is waited for by the thread.
        """
        handle = self._writable()
        began = time.perf_counter()
        try:
            handle.sync()
        except UserError as error:
            raise self._break(error) from error
        self._note(self._written, time.perf_counter() - began)

    def _note(self, written: int, seconds: float) -> None:
        self._quick = self._quick + 1 if seconds < QUICK else 0
        if self._on_sync:
            self._on_sync(seconds, written - self._synced)
        self._synced = written

    def _sync_soon(self) -> None:
        if self._syncing or self._handle is None:
            return
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name=f"ledger-{self._worker}", daemon=True)
            self._thread.start()
        self._syncing = True
        self._wanted = False
        self._batch, self._waiting = self._waiting, self._batch
        self._jobs.put((self._handle, self._written))

    def _work(self) -> None:
        """The thread: sync or close what is asked for, in order, until told to stop."""
        while (job := self._jobs.get()) is not None:
            error: BaseException | None = None
            written = 0
            began = time.perf_counter()
            try:
                if isinstance(job, tuple):
                    handle, written = job
                    handle.sync()
                else:
                    job.close()
                    continue
            except BaseException as caught:  # noqa: BLE001 - a thread that died in silence would leave its callers waiting
                error = caught
            loop = self._loop
            if loop is None or loop.is_closed():
                return
            loop.call_soon_threadsafe(self._after, written, time.perf_counter() - began, error)

    def _after(self, written: int, seconds: float, error: BaseException | None) -> None:
        """Back on the loop: wake whoever the sync was for, and begin the next if somebody waits."""
        self._syncing = False
        if error is not None:
            self._break(error)
            return
        self._note(written, seconds)
        for waiter in self._batch:
            if not waiter.done():
                waiter.set_result(None)
        self._batch.clear()
        if self.broken is None and (self._waiting or self._wanted):
            self._sync_soon()

    def _break(self, error: BaseException) -> LedgerTrouble:
        if self.broken is None:
            self.broken = str(error) or type(error).__name__
            for waiter in (*self._batch, *self._waiting):
                if not waiter.done():
                    waiter.set_exception(self._trouble())
            self._batch.clear()
            self._waiting.clear()
            if self._on_broken:
                self._on_broken(self.broken)
        return self._trouble()

    def _trouble(self) -> LedgerTrouble:
        if self.broken is None:
            return LedgerTrouble("the ledger is closed", where=str(self._folder))
        return LedgerTrouble(
            f"the ledger of this worker is broken: {self.broken.splitlines()[0]}",
            where=str(self._folder),
            hint="check the disk; the worker stops, and what was not settled is settled by the route's rule for doubt",
        )
