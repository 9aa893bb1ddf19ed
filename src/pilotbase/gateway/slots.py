"""A limit on the requests under way at one upstream, with a bounded queue before it."""

import asyncio
from collections import OrderedDict

from pilotbase.gateway.answers import Refused

__all__ = ["Slots"]


class Slots:
    """`limit` places, and at most `queue` requests waiting for one, first come, first served, at most `wait` seconds each.

    Every place that `take` or `acquire` gave is handed back by one `release`. Belongs to one event loop.
    """

    __slots__ = ("_waiting", "busy", "limit", "queue", "wait")

    def __init__(self, limit: int, queue: int, wait: float) -> None:
        self.limit = limit
        self.queue = queue
        self.wait = wait
        self.busy = 0
        """Places that are taken now; more than `limit` only after it was lowered."""
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a place at once, where one is free and nobody waits."""
        if self.busy < self.limit and not self._waiting:
            self.busy += 1
            return True
        return False

    async def acquire(self) -> None:
        """Take a place, waiting for it in the queue. Refused (503) where the queue is full or the wait was too long."""
        if self.take():
            return
        if len(self._waiting) >= self.queue:
            raise _overloaded("Too many requests are waiting for this model.", max(1.0, self.wait / 2))
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            async with asyncio.timeout(self.wait):
                await place
        except BaseException as error:
            # A place may have been given in the same turn of the loop that ended the wait.
            if place.done() and not place.cancelled():
                self.release()
            else:
                self._waiting.pop(place, None)
            if isinstance(error, TimeoutError):
                message = f"The request waited {self.wait:g} s for its turn at this model."
                raise _overloaded(message, max(1.0, self.wait / 2)) from None
            raise

    def release(self) -> None:
        """Hand a place back; the first in the queue gets it."""
        self.busy -= 1
        self._admit()

    def resize(self, limit: int, queue: int, wait: float) -> None:
        """Other limits from now on. Who holds a place or waits already stays."""
        self.limit, self.queue, self.wait = limit, queue, wait
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.busy < self.limit:
            place, _ = self._waiting.popitem(last=False)
            if not place.done():
                self.busy += 1
                place.set_result(None)


def _overloaded(message: str, after: float) -> Refused:
    return Refused(status=503, code="overloaded", message=message, type="server_error", retry=True, after=after)
