"""Records that leave the event loop in batches for a thread of their own, so that a slow disk or collector holds up no request.

What does not fit into the bounded buffer is dropped and counted.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

from pilotbase.errors import UserError

__all__ = ["Outbox"]

T = TypeVar("T")


class Outbox(Generic[T]):
    """Hands what is added to `consume`, in order, on a thread of its own.

    `most` is how much may wait or be under way, in the weights given to `add`; `every` seconds a batch leaves. `consume` returns
    how many of the batch it dropped; a UserError of it drops the whole batch. `dropped` counts what was lost since the beginning,
    `trouble` is the newest reason. Use from one event loop only.
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_consume",
        "_held",
        "_idle",
        "_items",
        "_jobs",
        "_loop",
        "_timer",
        "_weight",
        "dropped",
        "every",
        "most",
        "trouble",
    )

    def __init__(self, consume: Callable[[Sequence[T]], int], *, most: int = 20_000, every: float = 0.25) -> None:
        self.most = most
        self.every = every
        self.dropped = 0
        self.trouble: str | None = None
        self._consume = consume
        self._items: list[T] = []
        self._weight = 0
        self._held = 0
        self._busy = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: SimpleQueue[tuple[Sequence[T], int] | None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, item: T, weight: int = 1) -> bool:
        """Take one record; False where it was dropped, because the buffer is full or the outbox closed."""
        held = self._held + weight
        if held > self.most or self._closed:
            self.dropped += 1
            return False
        self._held = held
        self._weight += weight
        self._items.append(item)
        if self._timer is None and not self._busy:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self.every, self.flush)
        return True

    def flush(self) -> None:
        """Let what was added leave now, unless a batch is still under way: then it follows that one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy or not self._items:
            return
        batch, weight = self._items, self._weight
        self._items, self._weight = [], 0
        self._busy = True
        self._idle.clear()
        if self._jobs is None:
            self._jobs = SimpleQueue()
            # A daemon: a disk that hangs for good must not keep the process from ending.
            threading.Thread(target=self._work, args=(self._jobs,), name="outbox", daemon=True).start()
        self._jobs.put((batch, weight))

    @property
    def under_way(self) -> bool:
        """Whether a batch is being consumed."""
        return self._busy

    async def aclose(self, seconds: float = 5.0) -> None:
        """Take nothing more, and wait at most so long for what was taken; the rest is dropped and counted."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._busy or self._items:
                    self.flush()
                    await self._idle.wait()
        self.dropped += len(self._items)
        self._items = []
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def _work(self, jobs: "SimpleQueue[tuple[Sequence[T], int] | None]") -> None:
        while (job := jobs.get()) is not None:
            batch, weight = job
            lost, trouble, bug = len(batch), "", None
            try:
                lost = self._consume(batch)
            except UserError as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001 - the outermost loop of this thread: a bug loses a batch, not all later ones
                trouble, bug = "a bug in pilotbase or a plug-in: see the log of errors", error
            assert self._loop is not None
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self._left, weight, lost, trouble, bug)

    def _left(self, weight: int, lost: int, trouble: str, bug: Exception | None) -> None:
        self._held -= weight
        self.dropped += lost
        if trouble or not lost:
            self.trouble = trouble or None
        self._busy = False
        self._idle.set()
        if self._loop is None:
            return
        if bug is not None:
            self._loop.call_exception_handler({"message": "records were lost to a bug", "exception": bug})
        if self._items and not self._closed and self._timer is None:
            self._timer = self._loop.call_later(self.every, self.flush)
