"""How many calls an endpoint bears at once: additive increase, multiplicative decrease, and when to try again.

Source of the rule: Chiu and Jain 1989, "Analysis of the increase and decrease algorithms for congestion avoidance"; slow start
and one decrease a round as in Jacobson 1988, "Congestion avoidance and control". Full jitter: Brooker 2015, "Exponential backoff
and jitter".
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_PAUSE", "Slots", "backoff", "read_retry_after"]

START = 32
DECREASE = 0.7
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
LONGEST_PAUSE = 120.0

Sleep = Callable[[float], Awaitable[object]]


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after the `attempt`-th failed try (from 1): uniform on [0, min(30, 0.5 * 2^(attempt - 1)))."""
    return random() * min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** (attempt - 1))


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for, at most 120; None without a usable one.

    RFC 9110, section 10.2.3: a number of seconds, or an HTTP date, which is set against `now`.
    """
    if value is None:
        return None
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


class Slots:
    """A limit on calls under way that finds the endpoint's own, handing slots out first come, first served.

    It begins at 16 (or `most`, if less) and doubles a round until the first refusal; afterwards a round of successes adds one.
    A refusal multiplies it by 0.7, once for all calls that started before the decrease, and only calls that started after it
    count towards growth. It grows only if it was really in use, since an unused limit is evidence of nothing. A ticket is the
    round that its call started in.
    """

    def __init__(
        self, most: int, *, start: int = START, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.most = most
        self.limit = float(min(start, most))
        self.under_way = 0
        self._doubling = True
        self._round = 0
        self._until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pause: asyncio.Task[None] | None = None
        self._clock = clock
        self._sleep = sleep

    async def acquire(self) -> int:
        """Wait for a slot; the ticket to give back with it."""
        if self._pause is None and not self._waiting and self.under_way < int(self.limit):
            self.under_way += 1
            return self._round
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.under_way -= 1
                self._wake()
            raise
        return self._round

    def succeeded(self, ticket: int) -> None:
        """Give a slot back after an answer of any kind that was no refusal for load."""
        used = self.under_way >= int(self.limit)
        self.under_way -= 1
        if used and ticket == self._round and self.limit < self.most:
            self.limit = min(float(self.most), self.limit + (1.0 if self._doubling else 1.0 / self.limit))
        self._wake()

    def dropped(self) -> None:
        """Give a slot back after a call that says nothing about load (a cut connection, a cancelled task)."""
        self.under_way -= 1
        self._wake()

    def throttled(self, ticket: int, pause: float | None = None) -> None:
        """Give a slot back after a refusal for load (429, 503); `pause` seconds hold back every call."""
        if ticket == self._round:
            self.limit = max(1.0, min(self.limit, float(self.under_way)) * DECREASE)
            self._doubling = False
            self._round += 1
        self.under_way -= 1
        if pause:
            self._until = max(self._until, self._clock() + pause)
            if self._pause is None:
                self._pause = asyncio.get_running_loop().create_task(self._rest())
        self._wake()

    async def aclose(self) -> None:
        """End a pause that is still running."""
        if self._pause is not None:
            self._pause.cancel()
            await asyncio.gather(self._pause, return_exceptions=True)
            self._pause = None

    async def _rest(self) -> None:
        while (left := self._until - self._clock()) > 0:
            await self._sleep(left)
        self._pause = None
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._pause is None and self.under_way < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)
