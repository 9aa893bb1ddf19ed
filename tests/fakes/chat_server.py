"""A chat endpoint that misbehaves on order: requests are answered by the behaviours in turn, and the last one repeats."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

CLOSING = web.AppKey("closing", asyncio.Event)
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ChatServer:
    """An in-process server: `async with ChatServer(answers("yes")) as server: server.url`.

    `bodies` and `headers` are of the requests so far, in order of arrival.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = behaviours or (answers("yes"),)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "ChatServer":
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app[CLOSING] = asyncio.Event()
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._runner is not None:
            assert self._runner.app is not None
            self._runner.app[CLOSING].set()
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(orjson.loads(await request.read()))
        self.headers.append(request.headers)
        place = min(len(self.bodies), len(self.behaviours)) - 1
        return await self.behaviours[place](request)


def completion(text: str | None = "yes", *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A whole chat completion."""
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }


def answers(text: str | None = "yes", *, finish: str = "stop", **message: Any) -> Behaviour:
    """Answer with a whole completion."""
    return sends(orjson.dumps(completion(text, finish=finish, **message)))


def sends(
    body: bytes, *, status: int = 200, kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with these bytes, whatever they are."""

    async def behave(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=kind, headers=headers)

    return behave


def says(status: int, message: str = "no", *, retry_after: str | None = None) -> Behaviour:
    """Answer with an error status and an error body."""
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return sends(orjson.dumps({"error": {"message": message}}), status=status, headers=headers)


def piece(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One chunk of a streamed completion."""
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}]}


def usage_only(tokens_in: int = 11, tokens_out: int = 3) -> dict[str, Any]:
    """The chunk that `stream_options: {include_usage: true}` asks for: no choices, only usage."""
    return {"id": "c1", "model": "m", "choices": [], "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}}


def streams(
    pieces: Sequence[Mapping[str, Any]], *, done: bool = True, cut: bool = False, last_line: bytes = b"\n\n"
) -> Behaviour:
    """Answer with an event stream. `cut` drops the connection after the pieces; `done` ends them with `[DONE]`."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for part in pieces:
            await response.write(b"data: " + orjson.dumps(part) + b"\n\n")
        if cut:
            assert request.transport is not None
            request.transport.abort()
            return response
        if done:
            await response.write(b"data: [DONE]" + last_line)
        await response.write_eof()
        return response

    return behave


def hangs(started: asyncio.Event | None = None) -> Behaviour:
    """Take the request and never answer, until the server stops."""

    async def behave(request: web.Request) -> web.StreamResponse:
        if started is not None:
            started.set()
        await request.app[CLOSING].wait()
        return web.Response()

    return behave


def drips(interval: float, *, kind: str = "application/json") -> Behaviour:
    """Send one byte an interval, without end: alive by every sign but progress."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(interval)

    return behave


def resets() -> Behaviour:
    """Cut the connection before any answer."""

    async def behave(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return behave


def pours(size: int, *, declared: bool) -> Behaviour:
    """Send a body of `size` bytes, with its length declared in the head or not."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if declared:
            response.content_length = size
        await response.prepare(request)
        block = b"x" * 65536
        for _ in range(size // len(block)):
            await response.write(block)
        await response.write_eof()
        return response

    return behave


class Admits:
    """Answer while at most `cap` calls are under way, else 429. `hold` is awaited by every admitted call."""

    def __init__(self, cap: int, hold: Callable[[], Awaitable[object]]) -> None:
        self.cap = cap
        self.hold = hold
        self.under_way = 0
        self.most = 0
        self.refused = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.under_way >= self.cap:
            self.refused += 1
            return web.json_response({"error": {"message": "too many"}}, status=429)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.hold()
        finally:
            self.under_way -= 1
        return web.json_response(completion())
