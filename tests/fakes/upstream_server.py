"""An OpenAI-compatible upstream that misbehaves on order, on raw asyncio streams.

    async with UpstreamServer(answers("yes")) as server:
        server.url                       # http://127.0.0.1:PORT/v1, for `Upstream(url=...)`
        server.requests[0].document      # what came: method, path, query, headers (names in lower case), body
        await server.arrival(3)          # waits until the third request has come whole
        await server.requests[0].gone()  # waits until the client of this request closed its connection
        await server.closed()            # waits until no connection is open
        server.connections, server.open  # connections taken so far, and open now

Requests are answered by the behaviours in turn, and the last one repeats; `server.behaviours` may be changed at any time.
A behaviour is `async (exchange) -> None`; the ready ones:

    answers("yes", tokens_in=11, tokens_out=3)   right, on every endpoint; streams when the request says `"stream": true`,
                                                 with a chunk of usage when it asks for it
    sends(body, status=200, kind=..., headers=)  these bytes with a right content-length
    says(429, "slow down", retry_after="2")      an error document with a status
    streams(chunks, pace=hook, done=True)        an event stream; a chunk is bytes (sent raw) or a mapping (sent as `data:`)
        cut=True drops the connection after the chunks; `await pace(i)` runs before the i-th chunk and before the end
    holds(event, then=answers())                 no byte of the answer before the event is set
    hangs()                                      no byte ever
    cuts("head"), cuts("status"), cuts("headers"), cuts("body")
                                                 close before any byte, within the status line, after the head, within the body
    resets()                                     the same as cuts("head"), with a TCP reset
    lies(body, declared=N)                       a content-length of N with this body, then the connection is closed
    breaks_chunks(body, after=event)             a chunked body whose second chunk has no size
    pours(size, declared=False, kind=...)        a body of `size` bytes (None: without end) as fast as it is read
    echoes()                                     a JSON document of the request as it came
    babbles(b"not HTTP")                         these bytes and nothing else
    redirects("http://elsewhere/")               302

`pours` counts what it could hand over in `server.poured`, which shows whether a reader holds it back.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Part = bytes | Mapping[str, Any]


@dataclass
class Received:
    """One request as it came. `headers` have lower-case names; `raw_headers` are as written, repeated ones included."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]]
    body: bytes
    left: asyncio.Event = field(repr=False)

    @property
    def document(self) -> Any:
        """The JSON body."""
        return orjson.loads(self.body)

    async def gone(self) -> None:
        """Wait until the client closed the connection that this request came on."""
        await self.left.wait()


class Exchange:
    """One request and the way to answer it."""

    def __init__(self, server: "UpstreamServer", received: Received, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.received = received
        self.writer = writer
        self.keep = True

    async def write(self, data: bytes) -> None:
        """Send raw bytes now; waits while the client does not read."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, *, length: int | None = None, kind: str = "application/json", **headers: str) -> None:
        """Send a response head, chunked where no length is given. `_` in header names stands for `-`."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def cut(self, *, reset: bool = False) -> None:
        """Close the connection: in order, or with a TCP reset."""
        self.keep = False
        if reset:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()


Behaviour = Callable[[Exchange], Awaitable[None]]


class UpstreamServer:
    """An in-process server; see the module's docstring."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours: Sequence[Behaviour] = behaviours or (answers(),)
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self.poured = 0
        self.url = ""
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "UpstreamServer":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def arrival(self, number: int) -> Received:
        """The `number`-th request (from 1), when it has come."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= number)
        return self.requests[number - 1]

    async def closed(self) -> None:
        """Wait until no connection is open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.open == 0)

    def _make(self) -> asyncio.Protocol:
        left = asyncio.Event()

        def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer, left))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            line.task = task

        line = _Line(asyncio.StreamReader(), start, left)
        return line

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: asyncio.Event) -> None:
        self.connections += 1
        self.open += 1
        try:
            # What a client does to its connection is the test's business, never this server's error.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while (received := await _read_request(reader, left)) is not None:
                    behave = self.behaviours[min(len(self.requests), len(self.behaviours) - 1)]
                    self.requests.append(received)
                    async with self._changed:
                        self._changed.notify_all()
                    exchange = Exchange(self, received, writer)
                    await behave(exchange)
                    if not exchange.keep:
                        break
        finally:
            writer.close()
            left.set()
            self.open -= 1
            async with self._changed:
                self._changed.notify_all()


class _Line(asyncio.StreamReaderProtocol):
    """Ends the behaviour when the client closes its side, whatever it is waiting for."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        start: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
        left: asyncio.Event,
    ) -> None:
        super().__init__(reader, start)
        self._left = left
        self.task: asyncio.Task[None] | None = None

    def eof_received(self) -> bool | None:
        self._end()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _end(self) -> None:
        self._left.set()
        if self.task is not None:
            self.task.cancel()


async def _read_request(reader: asyncio.StreamReader, left: asyncio.Event) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    raw: list[tuple[str, str]] = []
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        raw.append((name, value.strip()))
    headers = {name.lower(): value for name, value in raw}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return Received(method, path, query, headers, raw, body, left)


def answers(text: str = "yes", *, tokens_in: int = 11, tokens_out: int = 3) -> Behaviour:
    """Answer rightly, whatever endpoint is asked."""

    async def behave(exchange: Exchange) -> None:
        received = exchange.received
        endpoint = received.path.partition("/v1")[2]
        if endpoint.startswith("/audio/speech"):
            await sends(b"RIFF" + text.encode(), kind="audio/wav")(exchange)
            return
        asked = received.document if received.headers.get("content-type", "").startswith("application/json") else {}
        if asked.get("stream"):
            usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            parts = stream_parts(endpoint, text, tokens_in, tokens_out, usage=usage)
            await streams(parts, done=endpoint != "/responses")(exchange)
        else:
            await sends(orjson.dumps(whole(endpoint, text, tokens_in, tokens_out)))(exchange)

    return behave


def whole(endpoint: str, text: str = "yes", tokens_in: int = 11, tokens_out: int = 3) -> dict[str, Any]:
    """The document that answers a request which does not stream."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    usage2 = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    shape: dict[str, Any]
    match endpoint:
        case "/chat/completions":
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            shape = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage}
        case "/completions":
            choice = {"index": 0, "text": text, "finish_reason": "stop"}
            shape = {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice], "usage": usage}
        case "/responses":
            shape = _response("completed", text, usage2)
        case "/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
            shape = {"object": "list", "data": data, "usage": {"prompt_tokens": tokens_in, "total_tokens": tokens_in}}
        case "/moderations":
            shape = {"id": "modr-1", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]}
        case "/audio/transcriptions" | "/audio/translations":
            shape = {"text": text, "usage": {"type": "tokens", **usage2}}
        case "/images/generations" | "/images/edits" | "/images/variations":
            shape = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage2}
        case "/rerank":
            shape = {"id": "rr-1", "results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": tokens_in}}
        case _:
            shape = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "me"}]}
    return {"model": "m", **shape} if endpoint != "/models" else shape


def stream_parts(
    endpoint: str, text: str = "yes", tokens_in: int = 11, tokens_out: int = 3, *, usage: bool = False
) -> list[Part]:
    """The events of a stream that says `text`, a character an event."""
    if endpoint == "/responses":
        counted = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        events: list[Mapping[str, Any]] = [{"type": "response.created", "response": _response("in_progress", "", None)}]
        events += [{"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": c} for c in text]
        events.append({"type": "response.completed", "response": _response("completed", text, counted)})
        return [
            b"event: %b\ndata: %b\n\n" % (e["type"].encode(), orjson.dumps({**e, "sequence_number": i}))
            for i, e in enumerate(events)
        ]
    chat = endpoint != "/completions"
    parts = [piece(c, chat=chat) for c in text] + [piece(None, finish="stop", chat=chat)]
    return [*parts, usage_only(tokens_in, tokens_out)] if usage else list(parts)


def piece(text: str | None, *, finish: str | None = None, chat: bool = True, **delta: Any) -> dict[str, Any]:
    """One chunk of a streamed completion."""
    words = ({"content": text} if text is not None else {}) | delta
    choice = {"index": 0, "delta": words} if chat else {"index": 0, "text": text or ""}
    name = "chat.completion.chunk" if chat else "text_completion"
    return {"id": "chatcmpl-1", "object": name, "created": 1, "model": "m", "choices": [choice | {"finish_reason": finish}]}


def usage_only(tokens_in: int = 11, tokens_out: int = 3) -> dict[str, Any]:
    """The chunk that `stream_options: {include_usage: true}` asks for: no choices, only usage."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}


def _response(status: str, text: str, usage: Mapping[str, int] | None) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}
    output = [message] if text else []
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "output": output, "usage": usage}


def sends(
    body: bytes, *, status: int = 200, kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with these bytes, whatever they are."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(status, length=len(body), kind=kind, **dict(headers or {}))
        await exchange.write(body)

    return behave


def says(status: int, message: str = "no", *, code: str | None = None, retry_after: str | None = None) -> Behaviour:
    """Answer with an error status and an error document in OpenAI's shape."""
    document = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return sends(orjson.dumps(document), status=status, headers={"Retry-After": retry_after} if retry_after else None)


def streams(
    chunks: Sequence[Part],
    *,
    pace: Callable[[int], Awaitable[object]] | None = None,
    done: bool = True,
    cut: bool = False,
    kind: str = "text/event-stream; charset=utf-8",
) -> Behaviour:
    """Answer with an event stream."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind=kind)
        for i, part in enumerate(chunks):
            if pace is not None:
                await pace(i)
            await exchange.chunk(part if isinstance(part, bytes) else b"data: %b\n\n" % orjson.dumps(part))
        if pace is not None:
            await pace(len(chunks))
        if cut:
            exchange.cut()
            return
        if done:
            await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.chunk(b"")

    return behave


def holds(event: asyncio.Event, then: Behaviour | None = None) -> Behaviour:
    """Wait for the event before the first byte."""

    async def behave(exchange: Exchange) -> None:
        await event.wait()
        await (then or answers())(exchange)

    return behave


def hangs() -> Behaviour:
    """Take the request and never answer; ends when the client goes."""

    async def behave(exchange: Exchange) -> None:
        await exchange.received.gone()
        exchange.keep = False

    return behave


def cuts(place: Literal["head", "status", "headers", "body"]) -> Behaviour:
    """Close the connection in order: before any byte, within the status line, after the head, or within the body."""
    sent = {
        "head": b"",
        "status": b"HTTP/1.1 20",
        "headers": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        "body": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"id": "half',
    }[place]

    async def behave(exchange: Exchange) -> None:
        await exchange.write(sent)
        exchange.cut()

    return behave


def resets() -> Behaviour:
    """Reset the connection before any byte of an answer."""

    async def behave(exchange: Exchange) -> None:
        exchange.cut(reset=True)

    return behave


def lies(body: bytes, *, declared: int, status: int = 200, kind: str = "application/json") -> Behaviour:
    """Declare another length than the body has, then close."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(status, length=declared, kind=kind)
        await exchange.write(body)
        exchange.cut()

    return behave


def breaks_chunks(
    body: bytes = b"data: {}\n\n", *, after: asyncio.Event | None = None, kind: str = "text/event-stream"
) -> Behaviour:
    """Send one right chunk and then, once `after` is set, one without a size."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind=kind)
        await exchange.chunk(body)
        if after is not None:
            await after.wait()
        await exchange.write(b"not a size\r\n")
        exchange.cut()

    return behave


def pours(size: int | None, *, declared: bool = False, kind: str = "application/json", block: bytes = b" " * 65536) -> Behaviour:
    """Send `size` bytes (None: without end), in blocks, as fast as they are read."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(length=size if declared else None, kind=kind)
        left = size
        while left is None or left > 0:
            data = block if left is None else block[:left]
            await (exchange.write(data) if declared else exchange.chunk(data))
            exchange.server.poured += len(data)
            left = None if left is None else left - len(data)
            await asyncio.sleep(0)
        if not declared:
            await exchange.chunk(b"")

    return behave


def echoes() -> Behaviour:
    """Answer with the request as it came: {method, path, query, headers, body}."""

    async def behave(exchange: Exchange) -> None:
        got = exchange.received
        document = {
            "method": got.method,
            "path": got.path,
            "query": got.query,
            "headers": got.headers,
            "body": got.body.decode(errors="replace"),
        }
        await sends(orjson.dumps(document))(exchange)

    return behave


def babbles(data: bytes = b"SSH-2.0-OpenSSH\r\n\r\n") -> Behaviour:
    """Send something that is not HTTP."""

    async def behave(exchange: Exchange) -> None:
        await exchange.write(data)
        exchange.cut()

    return behave


def redirects(location: str, *, status: int = 302) -> Behaviour:
    """Point elsewhere."""
    return sends(b"", status=status, headers={"Location": location})
