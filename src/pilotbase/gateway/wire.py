"""Messages between a worker and its keeper over a Unix socket: calls that are answered, and words that are not.

A message is a length (four bytes, little-endian) and a JSON array: `[n, word, body]` asks (n > 0) or tells (n = 0), and
`[-n, ok, body]` answers. Both sides may ask. Whoever connects must be of the same user: the socket's folder is 0700.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

__all__ = ["LostError", "Peer", "RefusedError"]

LARGEST = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")

Answer = Callable[[str, Any], Awaitable[Any]]


class LostError(Exception):
    """The other side is gone, or did not answer in time."""


class RefusedError(Exception):
    """The other side could not do what it was asked; the message says why."""


class Peer:
    """One end of a connection. `answer(word, body)` serves the other side; it runs for each call beside the others."""

    __slots__ = ("_answer", "_closed", "_next", "_reader", "_tasks", "_waiting", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._closed

    async def call(self, word: str, body: Any, *, limit: float = 10.0) -> Any:
        """The other side's answer. LostError where none comes within `limit` seconds, RefusedError where it could not."""
        if self._closed:
            raise LostError("the connection has ended")
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._send([number, word, body])
        try:
            async with asyncio.timeout(limit):
                return await future
        except TimeoutError:
            raise LostError(f"no answer to `{word}` within {limit:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, word: str, body: Any) -> None:
        """Say something that needs no answer. Nothing happens where the connection has ended."""
        if not self._closed:
            self._send([0, word, body])

    async def run(self) -> None:
        """Serve the connection until it ends; returns then, whatever ended it."""
        try:
            while True:
                (size,) = _LENGTH.unpack(await self._reader.readexactly(4))
                if size > LARGEST:
                    return
                self._take(orjson.loads(await self._reader.readexactly(size)))
        except (asyncio.IncompleteReadError, OSError, orjson.JSONDecodeError):
            return
        finally:
            self._end()

    async def aclose(self) -> None:
        """End the connection and what was asked over it. Safe to call twice."""
        self._end()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _take(self, message: Any) -> None:
        number, word, body = message
        if number < 0:
            future = self._waiting.pop(-number, None)
            if future is not None and not future.done():
                if word:
                    future.set_result(body)
                else:
                    future.set_exception(RefusedError(str(body)))
            return
        task = asyncio.get_running_loop().create_task(self._serve(number, word, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, word: str, body: Any) -> None:
        try:
            answer = [-number, True, await self._answer(word, body)]
        except RefusedError as error:
            answer = [-number, False, str(error)]
        except Exception:
            # A fault of ours: it is told where it happened, and whoever waits does not wait in vain.
            if number and not self._closed:
                self._send([-number, False, "this could not be answered"])
            raise
        if number and not self._closed:
            self._send(answer)

    def _send(self, message: list[Any]) -> None:
        data = orjson.dumps(message)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        for task in self._tasks:
            task.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LostError("the connection has ended"))
