"""The moving part of a page as server-sent events (HTML, section 9.2): rendered here, put in its place by the page's script.

A stream ends after some seconds and the browser opens it again, so that a server that stops waits for nobody, and every answer
passes through sessions and permits anew; they are looked at with each look too. Between looks it holds no thread.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pilotbase.console import answers
from pilotbase.console.asked import Asked
from pilotbase.console.desk import Desk
from pilotbase.console.page import Page
from pilotbase.console.rendering import render_frame
from pilotbase.domain.account import may
from pilotbase.errors import UserError

__all__ = ["Streams"]

EVERY: Final = 1.0
LONGEST: Final = 20.0
HEARTBEAT: Final = 8.0
EACH: Final = 6
ALL: Final = 200
_AGAIN: Final = "retry: 1000\n\n"


class Streams:
    """All streams of one console: at most `EACH` a member and `ALL` together. `clock` and `sleep` time the looks."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._open: Counter[str] = Counter()
        self._clock, self._sleep = clock, sleep

    def of(self, desk: Desk, page: Page) -> Callable[[Asked], Awaitable[Response]] | None:
        """What answers a request for a page's events; None where nothing of it moves."""
        if page.live is None:
            return None

        async def answer(asked: Asked) -> Response:
            signed = await run_in_threadpool(desk.signed, asked, used=False)
            if signed is None or not may(signed.member, page.permit):
                return Response(status_code=404, headers=dict(answers.HEADERS))
            name = signed.member.id
            if self._open[name] >= EACH or self._open.total() >= ALL:
                return Response(status_code=429, headers={**answers.HEADERS, "retry-after": "10"})
            self._open[name] += 1
            return _Streamed(self._events(desk, asked, page), lambda: self._close(name))

        return answer

    def _close(self, name: str) -> None:
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]

    async def _events(self, desk: Desk, asked: Asked, page: Page) -> AsyncIterator[str]:
        yield _AGAIN
        began = told = self._clock()
        last = ""
        while self._clock() - began < LONGEST:
            part, more = await run_in_threadpool(_look, desk, asked, page)
            if part is None:
                yield _event("gone", "")
                return
            if part != last:
                last, told = part, self._clock()
                yield _event("part", part)
            elif self._clock() - told >= HEARTBEAT:
                told = self._clock()
                yield ": \n\n"
            if not more:
                yield _event("end", "")
                return
            await self._sleep(EVERY)


class _Streamed(StreamingResponse):
    """A stream that is counted until its client is gone, however it goes."""

    def __init__(self, events: AsyncIterator[str], closed: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=dict(answers.STREAM))
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._closed()


def _look(desk: Desk, asked: Asked, page: Page) -> tuple[str | None, bool]:
    """The part as it is now, and whether more will come; None where the reader may not see it any more."""
    signed = desk.signed(asked, used=False)
    if signed is None or page.live is None or not may(signed.member, page.permit):
        return None, False
    try:
        live = page.live(desk.visit(asked, signed, page))
        frame = desk.frame(asked, signed, page.title)
        return render_frame(live.template, live.values, frame), live.more
    except UserError:
        return None, False


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"
