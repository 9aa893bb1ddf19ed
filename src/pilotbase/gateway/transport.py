"""The HTTP server under the data plane: uvicorn on httptools, with limits on slow and oversized clients.

Everything above speaks ASGI and `Link`, so that another server can take its place. A request's scope holds its link under
`LINK`: whether the client is still there, who wants to know when it goes, and a way to cut it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from pilotbase.gateway.answers import error_body

__all__ = ["LINK", "App", "Limits", "Link", "Server"]

App = Callable[[Any, Any, Any], Awaitable[None]]
LINK = "pilotbase.link"
WHOLE = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take: `head` bytes of names and values, of `fields` fields at most, within `seconds`; `stall` seconds
    between two pieces of a body. `idle` is how many seconds a connection is kept on which no request is under way.
    """

    head: int = 64 * 1024
    fields: int = 200
    seconds: float = 10.0
    stall: float = 30.0
    idle: int = 75


_USUAL = Limits()


class Link:
    """A client's connection. Its requests are served one after another: `on_gone` is of the one that is being served."""

    __slots__ = ("_transport", "gone", "on_gone")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.gone = False
        self.on_gone: Callable[[], None] | None = None

    def lose(self) -> None:
        """The client has gone away."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()

    def answer(self, send: Any, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer in one piece: half the work of ASGI's two messages. False where it has to go their way.

        `send` is the ASGI callable of the request.

        The names and values are the caller's to check: what came from outside has no line ends, since it was parsed.
        """
        # The request that is served, which need not be the newest one: requests may come before their turn.
        cycle = getattr(send, "__self__", None)
        if (
            not isinstance(cycle, RequestResponseCycle)
            or self.gone
            or cycle.response_started
            or cycle.scope["method"] == "HEAD"
            or len(body) > WHOLE
        ):
            return False
        parts = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        cycle.response_started = cycle.response_complete = True
        self._transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()
        return True

    def abort(self) -> None:
        """Close the connection at once: what was sent so far is not a whole answer, and shall not look like one."""
        self._transport.abort()


_TOO_LARGE = (b"431 Request Header Fields Too Large", "headers_too_large", "the request's head is too large")


def _kept(name: bytes, value: bytes) -> bytes:
    """A header's value without the offer of another protocol."""
    if name != b"connection":
        return value
    return b",".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")


class _BrokenError(Exception):
    """Ends the reading of a connection from within the parser; what is to be told stands already."""


class _Protocol(HttpToolsProtocol):
    """One connection. What cannot be read, is too large or too slow ends it, behind the answers that are still due on it.

    `head` counts the bytes of a head as far as it has come; -1 while a body is coming.
    """

    def __init__(self, limits: Limits, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.limits = limits
        self.head = 0
        self.piece = 0
        self.due = 0
        self.refusal = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.link = Link(transport)
        self.patience: asyncio.TimerHandle | None = None
        self._wait(self.limits.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._at_ease()
        self.link.lose()

    def data_received(self, data: bytes) -> None:
        if self.refusal:
            return
        self._unset_keepalive_if_required()
        self.piece = len(data)
        if self.head >= 0:
            self.head += self.piece
        try:
            self._read(data)
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request", "bad_request", "this is not an HTTP request that can be read")
            return
        if self.head < 0:
            self._wait(self.limits.stall)
        elif self.head > self.limits.head:
            self._refuse(*_TOO_LARGE)
        elif self.head > 0 and self.patience is None and not self.due:
            self._wait(self.limits.seconds)

    def _read(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # Offers of another protocol are let lie (RFC 9110, section 7.8), and Java's client makes one with each first request.
            # The parser would hand over what follows as the other protocol's: another one reads the head without the offer.
            told = [b"%b: %b\r\n" % (name, _kept(name, value)) for name, value in self.headers]
            version = self.parser.get_http_version().encode()
            head = b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(told))
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(head)
            self._read(data[offer.args[0] :])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)[LINK] = self.link

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too. They are no part of the head (RFC 9110, section 6.5.1), and endless ones must go nowhere.
        if self.head >= 0:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._at_ease()
        limits = self.limits
        if len(self.headers) > limits.fields:
            self._refuse(_TOO_LARGE[0], _TOO_LARGE[1], "the request has too many headers")
            raise _BrokenError
        if max(self.head, self.piece) > limits.head and self._told() > limits.head:
            self._refuse(*_TOO_LARGE)
            raise _BrokenError
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return
        super().on_headers_complete()
        self.head = -1
        self.due += 1

    def on_message_complete(self) -> None:
        if self.head >= 0:
            return
        self.head = 0
        self._at_ease()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.due -= 1
        super().on_response_complete()
        if self.due or self.transport.is_closing():
            return
        if self.refusal:
            self._close_with(self.refusal)
        elif self.head < 0 and self.expect_100_continue:
            # The client may leave out the body that it was not asked for: what comes next could be either.
            self.transport.close()
        elif self.head:
            self._wait(self.limits.seconds)

    def _told(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wait(self, seconds: float) -> None:
        self._at_ease()
        self.patience = self.loop.call_later(seconds, self._too_slow)

    def _at_ease(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def _too_slow(self) -> None:
        self.patience = None
        if self.flow.read_paused:
            # It is not the client that is slow.
            self._wait(self.limits.stall)
            return
        what = "body" if self.head < 0 else "head"
        self._refuse(b"408 Request Timeout", "request_timeout", f"the request's {what} did not arrive in time")

    def _refuse(self, status: bytes, code: str, message: str) -> None:
        """Read no more, and say why once the requests before have their answers."""
        if self.refusal or self.transport.is_closing():
            return
        body = error_body(message, "invalid_request_error", code)
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\nx-should-retry: false\r\n"
        rest = b"x-request-id: unread-%b\r\ncontent-length: %d\r\n\r\n"
        self.refusal = head % status + rest % (token_hex(8).encode(), len(body)) + body
        if self.head < 0 and self.pipeline:
            # Its body is broken, and it waits for its turn, which will not come.
            self.pipeline.popleft()
            self.due -= 1
        elif self.head < 0 and self.cycle.response_started:
            if self.cycle.response_complete:
                self.transport.close()
            else:
                self.transport.abort()
            return
        elif self.head < 0:
            self.due = 0
        if not self.due:
            self._close_with(self.refusal)

    def _close_with(self, words: bytes) -> None:
        self.transport.write(words)
        self.transport.close()


class Server:
    """An ASGI app on listening sockets. `serve` returns after `stop`, when the requests under way have ended, or after `drain`
    seconds.
    """

    def __init__(self, app: App, *, drain: float, backlog: int = 2048, limits: Limits = _USUAL) -> None:
        config = uvicorn.Config(
            cast(Any, app),
            http=cast(Any, partial(_Protocol, limits)),
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=limits.idle,
            timeout_graceful_shutdown=max(1, int(drain)),
            backlog=backlog,
        )
        self._server = uvicorn.Server(config)

    @property
    def started(self) -> bool:
        """Whether it listens."""
        return self._server.started

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.server_state.connections)

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until stopped. Signals are the caller's affair."""
        await self._server._serve(list(sockets))

    def stop(self) -> None:
        """Accept no more, let what is under way end."""
        self._server.should_exit = True
