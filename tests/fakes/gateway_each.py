"""A gateway of several workers, each behind a port of its own besides: a test says which worker it talks to.

On the shared port one worker of a single event loop takes every connection; requests made here go to the workers in turn.

    async with Each(tmp_path, workers=4) as gateway:
        await gateway.chat(key)                  # worker 0, then 1, ...
        live = await gateway.stream(key, at=2)   # a stream through worker 2, its first event read
"""

import asyncio
import itertools
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from tests.fakes.gateway import Answered, Serving
from tests.fakes.patience import PATIENCE
from tests.fakes.upstream_server import Behaviour, piece, streams

__all__ = ["Each", "Live", "endless"]


@dataclass
class Live:
    """A stream that has begun. `head` is what was read of it when it had."""

    response: aiohttp.ClientResponse
    head: bytes

    @property
    def status(self) -> int:
        return self.response.status

    async def rest(self, seconds: float = PATIENCE) -> bytes:
        """All that follows, to its end."""
        async with asyncio.timeout(seconds):
            return await self.response.content.read()

    async def error(self, seconds: float = PATIENCE) -> str:
        """The code of the error that ends it in band; no `[DONE]` may follow."""
        rest = await self.rest(seconds)
        assert b"[DONE]" not in rest
        events = [orjson.loads(one.removeprefix(b"data: ")) for one in rest.split(b"\n\n") if one]
        return str(events[-1]["error"]["code"])


@dataclass
class Each(Serving):
    """See the module. `urls` are the workers' own addresses."""

    urls: list[str] = field(default_factory=list)
    turn: Iterator[int] = field(default_factory=itertools.count)

    async def _hire(self, name: str) -> None:
        shared = self._listening
        own = socket.create_server(("127.0.0.1", 0), backlog=1024)
        own.setblocking(False)
        self.urls.append(f"http://127.0.0.1:{own.getsockname()[1]}")
        self._listening = own
        try:
            await super()._hire(name)
        finally:
            self._listening = shared
            own.close()

    async def post(self, path: str, key: str | None, body: bytes | Mapping[str, Any], **headers: str) -> Answered:
        self.url = self.urls[next(self.turn) % len(self.urls)]
        return await super().post(path, key, body, **headers)

    async def stream(self, key: str, *, at: int = 0, model: str = "m") -> Live:
        """A stream through the worker `at`, when its first event has come."""
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        told = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        url = f"{self.urls[at]}/v1/chat/completions"
        response = await self.session.post(url, data=orjson.dumps(body), headers=told)
        async with asyncio.timeout(PATIENCE):
            head = await response.content.readuntil(b"\n\n")
        return Live(response, head)


def endless(go_on: asyncio.Event) -> Behaviour:
    """An upstream's stream that says `a`, and `b` and its end only when `go_on` is set."""

    async def pace(i: int) -> None:
        if i:
            await go_on.wait()

    return streams([piece("a"), piece("b"), piece(None, finish="stop")], pace=pace)
