"""One request on its way through the gateway: what is known of it so far."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from pilotbase.domain.access import AccessKey
from pilotbase.gateway.account import Hold
from pilotbase.gateway.answers import Header, Refused
from pilotbase.gateway.arms import Caller
from pilotbase.gateway.billing import Bill
from pilotbase.gateway.breaker import Ticket
from pilotbase.gateway.endpoints import Endpoint
from pilotbase.gateway.inference import Place
from pilotbase.gateway.labels import Mark
from pilotbase.gateway.meter import Reading
from pilotbase.gateway.shape import Shape
from pilotbase.gateway.transport import LINK, Link
from pilotbase.gateway.view import Served

__all__ = ["EndedError", "Exchange", "Send"]

Send = Callable[[Any], Awaitable[None]]
T = TypeVar("T")


class EndedError(Exception):
    """What was waited for is not wanted any more: the client has gone, or the request was stopped."""


class Exchange:
    """The state of one request, filled in as it advances.

    `id` is its name in the ledger and in the `x-request-id` header. Under a `release`, `arm` is who answers it, `ticket` its
    leave of this worker's breaker, `copy_of` the request that a shadow repeats. `stop` is set when it must end early, because a
    person stopped its route or key. `writing` is when the part that is being sent was begun (0: none is): a client that reads
    too slowly is found by it.
    """

    __slots__ = (
        "_ended",
        "_send",
        "_waiting",
        "arm",
        "began",
        "bill",
        "body",
        "caller",
        "copy_of",
        "drain",
        "drain_left",
        "endpoint",
        "error",
        "extra",
        "findings",
        "first",
        "hold",
        "id",
        "key",
        "let_in",
        "link",
        "mark",
        "outcome",
        "pinned",
        "place",
        "reading",
        "receive",
        "release",
        "replay",
        "scope",
        "sent",
        "served",
        "settled",
        "shape",
        "started",
        "status",
        "stop",
        "ticket",
        "tries",
        "upstream",
        "upstream_seconds",
        "writing",
    )

    def __init__(self, name: str, scope: Any, receive: Callable[[], Awaitable[Any]], send: Send, endpoint: Endpoint) -> None:
        self.id = name
        self.scope = scope
        self.receive = receive
        self._send = send
        self.endpoint = endpoint
        self.link: Link | None = scope.get(LINK)
        self.began = time.perf_counter()
        self.started = time.time_ns() // 1000
        self.arm = ""
        self.release = ""
        self.caller: Caller | None = None
        self.copy_of = ""
        self.pinned: str | None = None
        self.ticket: Ticket = 0
        self.bill: Bill | None = None
        self.body = b""
        self.drain: asyncio.TimerHandle | None = None
        self.drain_left: int | None = None
        self.error = ""
        self.key: AccessKey = None  # type: ignore[assignment]  # these three are set before all that reads them
        self.served: Served = None  # type: ignore[assignment]
        self.shape: Shape = None  # type: ignore[assignment]
        self.hold: Hold | None = None
        self.extra: list[Header] = []
        self.first: float | None = None
        self.findings: list[tuple[str, str, str]] = []
        self.let_in = False
        self.mark: Mark | None = None
        self.outcome = ""
        self.place: Place | None = None
        self.reading: Reading | None = None
        self.replay: str | None = None
        self.sent = False
        self.settled = False
        self.status = 0
        self.stop: Refused | None = None
        self.tries: Sequence[Any] = ()
        self.upstream = ""
        self.upstream_seconds = 0.0
        self.writing = 0.0
        self._waiting: asyncio.Task[Any] | None = None
        self._ended = False

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.link is not None and self.link.gone

    def is_set(self) -> bool:
        """The same as a flag, for whoever is about to begin something more for this request."""
        return self.gone

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.began

    def header(self, name: bytes) -> bytes | None:
        """The first request header of a name in lower case."""
        for found, value in self.scope["headers"]:
            if found == name:
                return bytes(value)
        return None

    async def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Send the status and the headers, the request's id among them."""
        self.sent = True
        self.status = status
        told = [*headers, *self.extra, (b"x-request-id", self.id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": told})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; waits while the client reads too slowly."""
        self.writing = time.perf_counter()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self.writing = 0.0

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        if self.link is not None and not any(name == b"connection" for name, _ in headers):
            size = (b"content-length", b"%d" % len(body))
            if self.link.answer(self._send, status, [*headers, size, *self.extra, (b"x-request-id", self.id.encode())], body):
                self.sent = True
                self.status = status
                return
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.write(body, more=False)

    async def refuse(self, refused: Refused) -> None:
        """Send a refusal."""
        self.error = refused.code
        await self.answer(refused.status, list(refused.all_headers()), refused.body())

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, unless `end` is called first: it is cancelled then, and EndedError raised."""
        if self._ended:
            work.close()
            raise EndedError
        task = asyncio.current_task()
        assert task is not None
        self._waiting = task
        try:
            return await work
        except asyncio.CancelledError:
            # A cancellation from elsewhere is not ours to swallow.
            if not self._ended or task.uncancel() > 0:
                raise
            raise EndedError from None
        finally:
            self._waiting = None

    def end(self) -> None:
        """Wait no longer for what is being waited for, or will be."""
        if not self._ended:
            self._ended = True
            if self._waiting is not None:
                self._waiting.cancel()

    def halt(self, refused: Refused) -> None:
        """Stop it: its client gets `refused`."""
        if self.stop is None:
            self.stop = refused
            self.end()

    def abort(self) -> None:
        """Cut the connection: what was sent shall not look like a whole answer."""
        if self.link is not None:
            self.link.abort()
