"""Clients and upstreams that mean harm, or are merely broken: they get an error in OpenAI's shape, or a closed connection."""

import asyncio
import json
import re
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.gateway import Answered, Serving, until
from tests.fakes.patience import PATIENCE
from tests.fakes.upstream_server import (
    Behaviour,
    Exchange,
    UpstreamServer,
    answers,
    babbles,
    breaks_chunks,
    cuts,
    lies,
    piece,
    pours,
    sends,
    streams,
)

from pilotbase.domain.traffic import Timeouts
from pilotbase.gateway.asgi import Gateway
from pilotbase.gateway.proxy import behind
from pilotbase.gateway.transport import Limits, Server

SECRET = "sk-upstream-5d1c8f2a9b"
SMALL = Limits(head=2048, fields=20, idle=5)
HURRIED = replace(SMALL, seconds=0.05, stall=0.05, idle=1)
"""For what never comes: whoever sends at all may be held up by a busy machine for longer."""
ENVIRONMENT = {"UPSTREAM_KEY": SECRET}
KEYED = {"key_env": "UPSTREAM_KEY"}


@asynccontextmanager
async def small_door(gateway: Serving, app: Any = None, limits: Limits = SMALL) -> AsyncIterator[int]:
    """The port of a second server before the same data plane, with small limits."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = Server(app or Gateway(gateway.crew[0].plane), drain=1.0, limits=limits)
    task = asyncio.create_task(server.serve([listening]))
    try:
        await until(lambda: server.started)
        yield listening.getsockname()[1]
    finally:
        server.stop()
        await task


async def talk(port: int, *parts: bytes, seconds: float = PATIENCE) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(seconds):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def read_answers(data: bytes) -> list[Answered]:
    """The answers that stand one behind the other in `data`, and nothing else."""
    found: list[Answered] = []
    while data:
        head, blank, data = data.partition(b"\r\n\r\n")
        assert blank, head
        first, *lines = head.split(b"\r\n")
        version, status = first.split(b" ")[:2]
        assert version == b"HTTP/1.1", first
        headers = {k.strip().lower().decode(): v.strip().decode() for k, _, v in (line.partition(b":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                length, _, data = data.partition(b"\r\n")
                count = int(length, 16)
                body, data = body + data[:count], data[count + 2 :]
                if not count:
                    break
        else:
            count = int(headers["content-length"])
            body, data = data[:count], data[count:]
            assert len(body) == count
        found.append(Answered(int(status), headers, body))
    return found


def is_refusal(answer: Answered) -> bool:
    """Whether an answer is an error in OpenAI's shape, with a request id, and none of ours."""
    error = answer.json["error"]
    return set(error) == {"message", "type", "param", "code"} and 400 <= answer.status < 600 and "x-request-id" in answer.headers


def request(key: str, body: bytes, *headers: bytes, target: bytes = b"/v1/chat/completions", length: bool = True) -> bytes:
    lines = [b"POST " + target + b" HTTP/1.1", b"host: g", b"content-type: application/json"]
    lines += [f"authorization: Bearer {key}".encode(), *headers]
    lines += [b"content-length: %d" % len(body)] if length else []
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ask(text: str = "hello", **more: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more})


def leaks(gateway: Serving, server: UpstreamServer, *told: bytes) -> list[str]:
    """What of the upstream's key and address, or of a fault, stands in an answer, in the keeper's words, or in the log."""
    address = server.url.removeprefix("http://").removesuffix("/v1")
    said = "\n".join(gateway.said)
    logs = b"".join(path.read_bytes() for path in (gateway.home / "gateway" / "logs").glob("**/*") if path.is_file())
    places = {"answer": b"".join(told), "said": said.encode(), "log": logs}
    return [
        f"{word} in {place}" for place, text in places.items() for word in (SECRET, address, "Traceback") if word.encode() in text
    ]


# --- requests that try to be two

SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nhost: g\r\n\r\n"
AMBIGUOUS: dict[str, Sequence[bytes]] = {
    "content-length and transfer-encoding": (b"content-length: 5", b"transfer-encoding: chunked"),
    "transfer-encoding and content-length": (b"transfer-encoding: chunked", b"content-length: 5"),
    "two content-lengths": (b"content-length: 5", b"content-length: 60"),
    "a list of content-lengths": (b"content-length: 5, 60",),
    "a signed content-length": (b"content-length: +5",),
    "a negative content-length": (b"content-length: -5",),
    "a hexadecimal content-length": (b"content-length: 0x5",),
    "a content-length beyond 64 bits": (b"content-length: 99999999999999999999999",),
    "a folded transfer-encoding": (b"transfer-encoding:\r\n chunked", b"content-length: 5"),
    "a space before the colon": (b"transfer-encoding : chunked", b"content-length: 5"),
    "an unknown coding": (b"transfer-encoding: xchunked", b"content-length: 5"),
    "chunked that is not last": (b"transfer-encoding: chunked, identity",),
    "two codings": (b"transfer-encoding: chunked", b"transfer-encoding: identity"),
    "a vertical tab before chunked": (b"transfer-encoding: \x0bchunked", b"content-length: 5"),
    "a null byte in a name": (b"x\x00y: 1", b"content-length: 5"),
    "a null byte in a value": (b"x: 1\x002", b"content-length: 5"),
    "a bare return in a value": (b"x: 1\rtransfer-encoding: chunked", b"content-length: 5"),
    "bare newlines": (b"x: 1\ntransfer-encoding: chunked", b"content-length: 5"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_could_be_read_in_two_ways_ends_its_connection(tmp_path: Path, name: str) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            body = b"0\r\n\r\n" + SMUGGLED
            told = await talk(gateway.port, request(key, body, *AMBIGUOUS[name], length=False) + SMUGGLED)
            found = read_answers(told)
            assert [one.status for one in found] == [400]
            assert is_refusal(found[0])
            assert found[0].headers["connection"] == "close"
            assert server.requests == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "chunks",
    [
        b"5;ext=1\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nauthorization: Bearer pb_x_y\r\nx: y\r\n\r\n",
    ],
)
def test_chunks_are_read_as_they_are_written_or_not_at_all(tmp_path: Path, chunks: bytes) -> None:
    """`hello` is no JSON, so the one right reading gets 400 as well; whatever it is, no second request comes of it."""

    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            head = request(key, b"", b"transfer-encoding: chunked", length=False)
            told = await talk(gateway.port, head + chunks + b"GET /healthz HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
            statuses = [one.status for one in read_answers(told)]
            assert statuses in ([400], [400, 200])
            assert statuses == [400] or chunks.startswith((b"5;ext", b"5\r\nhello\r\n"))
            assert server.requests == []

    asyncio.run(story())


def test_trailers_are_no_headers(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            body = ask()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\nconnection: close\r\n"
            told = await talk(
                gateway.port,
                head + f"authorization: Bearer {key}\r\n".encode() + b"transfer-encoding: chunked\r\n\r\n",
                b"%x\r\n%b\r\n0\r\n" % (len(body), body),
                b"openai-beta: smuggled\r\ntraceparent: smuggled\r\n\r\n",
            )
            assert [one.status for one in read_answers(told)] == [200]
            assert "openai-beta" not in server.requests[0].headers
            assert "traceparent" not in server.requests[0].headers

    asyncio.run(story())


def test_pipelined_requests_each_get_their_own_answer_in_order(tmp_path: Path) -> None:
    async def echo(exchange: Exchange) -> None:
        await sends(orjson.dumps({"choices": [], "said": exchange.received.document["messages"][0]["content"]}))(exchange)

    async def story() -> None:
        async with UpstreamServer(echo) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            asked = [request(key, ask(f"text {i}")) for i in range(8)]
            last = b"GET /v1/nothing HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n"
            found = read_answers(await talk(gateway.port, b"".join(asked) + last))
            assert [one.json.get("said") for one in found[:-1]] == [f"text {i}" for i in range(8)]
            assert found[-1].status == 404
            assert len({one.headers["x-request-id"] for one in found}) == 9

    asyncio.run(story())


REST = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "too many headers": (request("x", b"BODY OF ANOTHER", *(b"x-%d: y" % i for i in range(300))), 431),
    "a head that is too large": (request("x", b"BODY OF ANOTHER", b"x: " + b"y" * 80_000), 431),
    "a broken chunk": (request("x", b"zz\r\nBODY OF ANOTHER\r\n", b"transfer-encoding: chunked", length=False), 400),
}


@pytest.mark.parametrize("name", REST)
def test_what_is_wrong_behind_a_request_takes_nothing_from_its_answer(tmp_path: Path, name: str) -> None:
    rest, status = REST[name]
    held = asyncio.Event()

    async def pace(place: int) -> None:
        if place == 1:
            await held.wait()

    async def story() -> None:
        parts = [piece("a"), piece("b"), piece(None, finish="stop")]
        async with UpstreamServer(streams(parts, pace=pace)) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            reader, writer = await gateway.open(gateway.raw_chat(gateway.key(), stream=True) + rest)
            await server.arrival(1)
            head = await reader.readuntil(b'"a"')
            held.set()
            async with asyncio.timeout(PATIENCE):
                found = read_answers(head + await reader.read())
            writer.close()
            assert [one.status for one in found] == [200, status]
            assert found[0].body.endswith(b"data: [DONE]\n\n")
            assert is_refusal(found[1])
            assert b"BODY OF ANOTHER" not in server.requests[0].body

    asyncio.run(story())


def test_the_head_of_a_next_request_may_wait_for_the_answer_before_it(tmp_path: Path) -> None:
    """A clock that ran meanwhile would write an error into the middle of the answer under way."""
    held = asyncio.Event()

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await held.wait()
        await send({"type": "http.response.body", "body": b"cd", "more_body": False})

    async def story() -> None:
        limits = replace(SMALL, seconds=0.5)
        async with Serving(tmp_path) as gateway, small_door(gateway, hold, limits) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: g\r\n\r\nGET /second HTTP/1.1\r\n")
            await reader.readuntil(b"ab")
            writer.write(b"host: ")
            await asyncio.sleep(2 * limits.seconds)
            held.set()
            assert await reader.readexactly(2) == b"cd"
            (late,) = read_answers(await reader.read())
            assert late.status == 408
            writer.close()

    asyncio.run(story())


# --- heads


def test_heads_that_are_too_large_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway, small_door(gateway) as port:
            endless = b"GET /" + b"a" * 4000
            large = b"GET / HTTP/1.1\r\nhost: g\r\nx: " + b"y" * 3000 + b"\r\n\r\n"
            many = b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % i for i in range(40)) + b"\r\n"
            for head in (endless, large, many):
                (found,) = read_answers(await talk(port, head))
                assert (found.status, is_refusal(found)) == (431, True)

    asyncio.run(story())


@pytest.mark.parametrize("start", [b"", b"POST /v1/chat", b"GET / HTTP/1.1\r\nhost: g\r\nx: "])
def test_a_head_that_does_not_come_in_time_is_refused(tmp_path: Path, start: bytes) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway, small_door(gateway, limits=HURRIED) as port:
            (found,) = read_answers(await talk(port, start))
            assert (found.status, is_refusal(found)) == (408, True)

    asyncio.run(story())


class Heard(asyncio.Protocol):
    """A client that keeps what it was told, also where a reset follows: the server had bytes left to read."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


def test_a_head_in_drops_has_no_more_time_than_any_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway, small_door(gateway, limits=HURRIED) as port:
            transport, heard = await asyncio.get_running_loop().create_connection(Heard, "127.0.0.1", port)
            transport.write(b"GET / HTTP/1.1\r\nhost: g\r\nx: ")

            async def drip() -> None:
                while not transport.is_closing():
                    transport.write(b"x")
                    await asyncio.sleep(HURRIED.seconds / 5)

            dripping = asyncio.create_task(drip())
            async with asyncio.timeout(PATIENCE):
                await heard.ended.wait()
            dripping.cancel()
            (found,) = read_answers(heard.data)
            assert found.status == 408

    asyncio.run(story())


# --- bodies


@pytest.mark.parametrize("start", [b"", b'{"model"'])
@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_a_body_that_does_not_come_in_time_is_refused(tmp_path: Path, start: bytes, framing: str) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway, small_door(gateway, limits=HURRIED) as port:
            gateway.route("m", server.url)
            gateway.crew[0].plane.body_seconds = 0.05
            if framing == "declared":
                asked = request(gateway.key(), start, b"content-length: 100", length=False)
            else:
                chunk = b"%x\r\n%b\r\n" % (len(start), start) if start else b""
                asked = request(gateway.key(), chunk, b"transfer-encoding: chunked", length=False)
            (found,) = read_answers(await talk(port, asked))
            assert (found.status, is_refusal(found)) == (408, True)
            assert server.requests == []

    asyncio.run(story())


def test_a_body_that_goes_on_after_its_answer_does_not_keep_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway, small_door(gateway, limits=replace(SMALL, seconds=2.0)) as port:
            (found,) = read_answers(await talk(port, request("pb_no_key", b"{", b"content-length: 100", length=False)))
            assert (found.status, is_refusal(found)) == (401, True)

    asyncio.run(story())


def test_a_body_that_was_not_asked_for_is_never_read_as_a_request(tmp_path: Path) -> None:
    """After a refusal in place of `100 Continue` a client may leave its body out: the connection ends, so nobody must guess."""

    async def story() -> None:
        async with Serving(tmp_path) as gateway:
            asked = request("pb_no_key", b"", b"content-length: 100", b"expect: 100-continue", length=False)
            (found,) = read_answers(await talk(gateway.port, asked))
            assert found.status == 401

    asyncio.run(story())


@pytest.mark.parametrize("framing", ["declared", "chunked", "in one piece"])
def test_a_body_that_is_too_large_is_refused(tmp_path: Path, framing: str) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path, options={"body": 4096}) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            if framing == "declared":
                asked = request(key, b"{", b"content-length: 5000", length=False)
            elif framing == "chunked":
                chunks = b"".join(b"400\r\n%b\r\n" % (b" " * 1024) for _ in range(5))
                asked = request(key, chunks, b"transfer-encoding: chunked", length=False)
            else:
                asked = request(key, ask("x" * 5000))
            (found,) = read_answers(await talk(gateway.port, asked))
            assert (found.status, found.json["error"]["code"]) == (413, "request_too_large")
            assert found.headers["connection"] == "close"
            assert found.headers["x-should-retry"] == "false"
            assert server.requests == []

    asyncio.run(story())


ODD: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no JSON": (b"{", 400),
    "a list": (b"[]", 400),
    "a number": (b"1", 400),
    "invalid UTF-8": (b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}', 400),
    "a byte order mark": (b'\xef\xbb\xbf{"model":"m","messages":[]}', 400),
    "UTF-16": (ask().decode().encode("utf-16"), 400),
    "a lone surrogate": (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', 400),
    "NaN": (b'{"model":"m","messages":[],"temperature":NaN}', 400),
    "Infinity": (b'{"model":"m","messages":[],"temperature":-Infinity}', 400),
    "deep JSON": (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep objects": (b'{"model":"m","messages":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", 400),
    "a model twice": (b'{"model":"m","messages":[],"model":"other"}', 400),
    "a stream twice": (b'{"model":"m","messages":[],"stream":false,"stream":true}', 400),
    "a model twice, once escaped": (b'{"model":"m","messages":[],"\\u006dodel":"other"}', 400),
    "a model that is no text": (b'{"model":["m"],"messages":[]}', 400),
    "an unknown model": (b'{"model":"../../etc","messages":[]}', 404),
    "a null byte in the model": (b'{"model":"m\\u0000","messages":[]}', 404),
    "a stream that is no flag": (b'{"model":"m","messages":[],"stream":"yes"}', 400),
    "a negative limit": (b'{"model":"m","messages":[],"max_tokens":-1}', 400),
    "a huge limit": (b'{"model":"m","messages":[],"max_tokens":1e400}', 400),
    "a huge integer": (b'{"model":"m","messages":[],"max_tokens":' + b"9" * 4000 + b"}", 400),
    "too many answers": (b'{"model":"m","messages":[],"n":1000000000}', 400),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_body_is_refused_and_reaches_nobody(tmp_path: Path, name: str) -> None:
    body, status = ODD[name]

    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            found = await gateway.post("/v1/chat/completions", gateway.key(), body)
            assert found.status == status
            assert is_refusal(found)
            assert found.headers["x-should-retry"] == "false"
            assert server.requests == []

    asyncio.run(story())


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
def test_a_coded_body_is_refused(tmp_path: Path, coding: str) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            found = await gateway.post("/v1/chat/completions", gateway.key(), ask(), Content_Encoding=coding)
            assert (found.status, is_refusal(found)) == (415, True)
            assert server.requests == []

    asyncio.run(story())


# --- methods, paths, protocols


def test_unknown_methods_and_paths_are_refused_in_the_same_shape(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = f"authorization: Bearer {gateway.key()}\r\n".encode()
            asked = {
                b"OPTIONS /v1/chat/completions": 405,
                b"GET /v1/chat/completions": 405,
                b"DELETE /v1/embeddings": 405,
                b"PATCH /v1/models": 404,
                b"OPTIONS *": 404,
                b"TRACE /v1/models": 404,
                b"POST /v1/chat/completions/": 404,
                b"POST /v1//chat/completions": 404,
                b"POST /v1/../v1/chat/completions": 404,
                b"GET /v1/models/%00": 404,
                b"GET /v1/models/%ff%fe": 404,
                b"GET /v1/models/" + b"a" * 9000: 404,
                b"GET /v2/models/../../x": 404,
                b"GET /v2/models/m/infer": 405,
                b"PROPFIND /nothing": 404,
            }
            for line, status in asked.items():
                told = await talk(gateway.port, line + b" HTTP/1.1\r\nhost: g\r\nconnection: close\r\n" + key + b"\r\n")
                (found,) = read_answers(told)
                assert found.status == status, line
                assert "x-request-id" in found.headers
                assert "error" in found.json
            head = await talk(gateway.port, b"HEAD /v1/nothing HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 404")
            assert head.endswith(b"\r\n\r\n")
            assert server.requests == []
            assert not leaks(gateway, server)

    asyncio.run(story())


@pytest.mark.parametrize(
    "line",
    [b"CONNECT example.org:443 HTTP/1.1", b"GET / HTTP/9.9", b"GET /\xff\xfe HTTP/1.1", b"G\x00T / HTTP/1.1",
     b"GET /a\x00b HTTP/1.1", b"GET  HTTP/1.1", b"PRI * HTTP/2.0", b"GET http:// HTTP/1.1"],
)  # fmt: skip
def test_a_request_line_that_cannot_be_read_ends_the_connection(tmp_path: Path, line: bytes) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway:
            found = read_answers(await talk(gateway.port, line + b"\r\nhost: g\r\nconnection: close\r\n\r\n"))
            assert [one.status for one in found] in ([400], [404])
            assert all(is_refusal(one) for one in found)

    asyncio.run(story())


def test_an_absolute_target_means_its_path_here_and_no_other_host(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            asked = request(gateway.key(), ask(), b"connection: close", target=b"http://other.example/v1/chat/completions")
            (found,) = read_answers(await talk(gateway.port, asked))
            assert found.status == 200
            assert server.requests[0].headers["host"] in server.url

    asyncio.run(story())


def test_http_1_0_gets_its_answer_and_the_end_of_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            (found,) = read_answers(await talk(gateway.port, request(gateway.key(), ask()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)))
            assert found.json["choices"][0]["message"]["content"] == "yes"

    asyncio.run(story())


def test_a_websocket_is_refused_clearly(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway:
            upgrade = b"connection: Upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n"
            told = await talk(gateway.port, b"GET /v1/responses HTTP/1.1\r\nhost: g\r\n" + upgrade)
            (found,) = read_answers(told)
            assert (found.status, found.json["error"]["code"]) == (400, "websocket_not_supported")

    asyncio.run(story())


def test_a_client_that_offers_http_2_is_answered_in_http_1_1(tmp_path: Path) -> None:
    """Java's client does with each first request; its body, and the requests behind it, are read like all others."""

    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
            chunked = request(key, b"", *offer, b"transfer-encoding: chunked", length=False)
            chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(ask()), ask())
            told = request(key, ask(), *offer) + chunked + request(key, ask(), b"connection: close")
            for parts in ((told,), tuple(told[i : i + 97] for i in range(0, len(told), 97))):
                found = read_answers(await talk(gateway.port, *parts))
                assert [one.status for one in found] == [200, 200, 200]
            assert [one.document for one in server.requests] == [orjson.loads(ask())] * 6

    asyncio.run(story())


class Faulty:
    """A part of the gateway with a fault."""

    async def pass_on(self, x: Any) -> None:
        raise KeyError(SECRET)

    async def aclose(self) -> None:
        return None


def test_a_fault_of_the_gateway_is_told_to_its_operator_and_shows_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway:
            app = Gateway(gateway.crew[0].plane, Faulty())  # type: ignore[arg-type]
            async with small_door(gateway, app) as port:
                (found,) = read_answers(await talk(port, b"GET /api/x HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n"))
            assert (found.status, found.json["error"]["code"]) == (500, "internal_error")
            assert is_refusal(found)
            name = found.headers["x-request-id"]
            await until(lambda: any(name in one and "KeyError" in one for one in gateway.said))
            assert SECRET not in "".join(gateway.said) + found.body.decode()

    asyncio.run(story())


# --- upstreams

HOSTILE: dict[str, Behaviour] = {
    "a shorter body than declared": lies(b'{"choices":[]}', declared=5000),
    "a longer body than declared": lies(b'{"choices":[]}' + b" " * 5000, declared=10),
    "no HTTP": babbles(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "an endless head": babbles(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000),
    "nothing": cuts("head"),
    "half a body": cuts("body"),
    "broken chunks": breaks_chunks(),
    "a folded header": babbles(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n set-cookie: evil=1\r\ncontent-length: 2\r\n\r\n{}"
    ),
    "a bare return in a header": babbles(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\rset-cookie: evil=1\r\ncontent-length: 2\r\n\r\n{}"
    ),
    "a null byte in a header": babbles(b"HTTP/1.1 200 OK\r\ncontent-type: a\x00b\r\ncontent-length: 2\r\n\r\n{}"),
    "a bell in a header": babbles(b"HTTP/1.1 200 OK\r\ncontent-type: a\x07b\r\ncontent-length: 2\r\n\r\n{}"),
    "letters beyond Latin-1 in a header": babbles("HTTP/1.1 200 OK\r\ncontent-type: 文\r\ncontent-length: 2\r\n\r\n{}".encode()),
    "two lengths": babbles(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x"),
    "a length and chunks": babbles(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "an answer that switches protocols": babbles(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
    "an error with its own key": sends(
        orjson.dumps({"error": {"message": f"bad key {SECRET} at http://127.0.0.1:1/x"}}), status=401
    ),
    "an error page": sends(b"<html>" + SECRET.encode() + b"</html>", status=500, kind="text/html"),
    "invalid UTF-8": sends(b'{"choices":[{"message":{"content":"\xff"}}]}'),
    "no JSON": sends(b"<html></html>", kind="text/html"),
    "deep JSON": sends(b"[" * 200_000),
    "usage that is no usage": sends(
        b'{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":"many","total_tokens":1e999}}'
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("stream", [False, True])
def test_a_hostile_upstream_breaks_and_reveals_nothing(tmp_path: Path, name: str, stream: bool) -> None:
    async def story() -> None:
        async with UpstreamServer(HOSTILE[name]) as server, Serving(tmp_path, environment=ENVIRONMENT) as gateway:
            gateway.route("m", server.url, upstream=KEYED, retries=0)
            told = await talk(gateway.port, request(gateway.key(), ask(stream=stream), b"connection: close"))
            for found in read_answers(told):
                assert "set-cookie" not in found.headers
                assert found.status < 400 or (is_refusal(found) and found.status != 500)
            await gateway.settled()
            assert gateway.reconcile().balanced
            assert not leaks(gateway, server, told)
            assert (await gateway.get("/healthz")).status == 200

    asyncio.run(story())


def test_no_header_of_an_upstream_becomes_two(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json;\r\n x-injected: 1\r\n"
    head += b"set-cookie: a=b\r\nserver: s\r\nx-request-id: theirs\r\n"

    async def story() -> None:
        async with UpstreamServer(babbles(head + b"content-length: 2\r\n\r\n{}")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            (found,) = read_answers(await talk(gateway.port, request(gateway.key(), ask(), b"connection: close")))
            assert "x-injected" not in found.headers
            assert "set-cookie" not in found.headers
            assert found.headers["x-request-id"].startswith("w0-")

    asyncio.run(story())


def test_an_event_without_an_end_is_cut_at_its_limit(tmp_path: Path) -> None:
    async def story() -> None:
        behaviour = pours(None, kind="text/event-stream", block=b"data: " + b"x" * 65536)
        async with UpstreamServer(behaviour) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            found = await gateway.chat(gateway.key(), stream=True)
            assert (found.status, found.json["error"]["code"]) == (502, "upstream_event_too_large")
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(story())


def _event(size: int) -> bytes:
    return b"data: " + orjson.dumps(piece("x" * size)) + b"\n\n"


def test_a_long_stream_passes_in_bounded_memory(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    total = size(20, 100) * 1024 * 1024
    event = _event(8000)

    async def pour(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for _ in range(total // len(event)):
            await exchange.chunk(event)
        await exchange.chunk(b"data: " + orjson.dumps(piece(None, finish="stop")) + b"\n\ndata: [DONE]\n\n")
        await exchange.chunk(b"")

    async def story() -> None:
        async with UpstreamServer(answers("warm"), pour) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            await gateway.chat(key)
            tracemalloc.start()
            reader, writer = await gateway.open(gateway.raw_chat(key, stream=True))
            count, last = await _drink_one(reader)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            writer.close()
            assert count > total * 0.99
            assert b"[DONE]" in last
            assert peak < 8 * 1024 * 1024

    asyncio.run(story())


async def _drink_one(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """How many bytes come until the last chunk, and the last of them; the connection stays."""
    count, last = 0, b""
    while not last.endswith(b"\r\n0\r\n\r\n"):
        data = await reader.read(1 << 18)
        assert data
        count += len(data)
        last = (last + data)[-200:]
    return count, last


def test_a_reader_that_does_not_read_holds_the_upstream_back_and_is_cut(tmp_path: Path) -> None:
    async def story() -> None:
        behaviour = pours(None, kind="text/event-stream", block=_event(8000))
        async with UpstreamServer(behaviour) as server, Serving(tmp_path, options={"slow": 1.0}) as gateway:
            gateway.route("m", server.url)
            tracemalloc.start()
            asked = gateway.raw_chat(gateway.key(), stream=True)
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(asked)
            received = await server.arrival(1)
            await asyncio.wait_for(received.gone(), PATIENCE)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            client.close()
            await gateway.settled()
            (row,) = gateway.rows()
            assert server.poured < 32 * 1024 * 1024
            assert peak < 8 * 1024 * 1024
            assert row["state"] == "settled"
            assert row["tokens_out"] > 0
            assert gateway.reconcile().balanced

    asyncio.run(story())


def test_an_answer_without_end_is_given_up_at_its_total_time(tmp_path: Path) -> None:
    async def story() -> None:
        behaviour = pours(None, kind="application/json")
        async with UpstreamServer(behaviour) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, upstream={"timeouts": Timeouts(total="1s")}, retries=0)
            found = await gateway.chat(gateway.key())
            assert found.status in (502, 504)
            assert is_refusal(found)
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(story())


# --- fuzz

_ASCII = st.characters(min_codepoint=33, max_codepoint=126)
_VALUE = st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
_NAMES = st.sampled_from(
    ["authorization", "content-type", "content-encoding", "idempotency-key", "traceparent", "accept", "x-unknown", "openai-beta",
     "inference-header-content-length", "cookie", "forwarded", "range", "if-none-match", "tracestate"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    ["model", "messages", "stream", "n", "max_tokens", "input", "prompt", "tools", "stream_options", "previous_response_id",
     "response_format", "user", "text", "documents", "query", "conversation", "best_of", "inputs", "id"]
)  # fmt: skip


def _document(value: dict[str, Any], model: bool) -> bytes:
    return json.dumps({**value, **({"model": "m"} if model else {})}).encode("utf-8", "surrogatepass")


_BODIES = st.binary(max_size=200) | st.builds(_document, st.dictionaries(_FIELDS, _JSON, max_size=8), st.booleans())
_PATHS = st.sampled_from(
    ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations", "/v1/audio/speech",
     "/v1/audio/transcriptions", "/v1/images/generations", "/v1/images/edits", "/v1/rerank", "/v2/models/m/infer", "/v1/models",
     "/v1/responses/resp_1", "/metrics", "/readyz"]
)  # fmt: skip


def test_fuzzed_bodies_and_headers_never_make_a_fault(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    @settings(max_examples=size(150, 3000))
    @given(
        path=_PATHS | st.text(_ASCII, max_size=30).map("/".__add__),
        method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD"]),
        body=_BODIES,
        headers=st.lists(st.tuples(_NAMES, _VALUE), max_size=4),
        right=st.booleans(),
    )
    def fuzz(path: str, method: str, body: bytes, headers: list[tuple[str, bytes]], right: bool) -> None:
        asked.append((path, method, body, headers, right))

    asked: list[tuple[str, str, bytes, list[tuple[str, bytes]], bool]] = []
    fuzz()

    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path, environment=ENVIRONMENT) as gateway:
            gateway.route("m", server.url, upstream=KEYED)
            key = gateway.key(budget="1000 CNY")
            for path, method, body, headers, right in asked:
                lines = [f"{method} {path} HTTP/1.1".encode(), b"host: g", b"connection: close"]
                lines += [b"%b: %b" % (name.encode(), value) for name, value in headers]
                lines += [f"authorization: Bearer {key}".encode(), b"content-type: application/json"] if right else []
                lines += [b"content-length: %d" % len(body)]
                told = await talk(gateway.port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
                assert re.match(rb"HTTP/1\.1 [2-5]\d\d ", told), (path, method, body, headers)
                assert not told.startswith(b"HTTP/1.1 500"), (path, method, body, headers, told)
                ours = not behind(path.partition("?")[0])  # the console and /api speak in shapes of their own
                if ours and method != "HEAD" and told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 502", b"HTTP/1.1 504")):
                    assert "error" in read_answers(told)[0].json, told
                assert not leaks(gateway, server, told)
            assert not any("fault" in one for one in gateway.said)
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(story())


def test_fuzzed_bytes_never_make_a_fault(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    word = st.sampled_from(
        [b"POST ", b"GET ", b"/v1/models", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"host: g\r\n",
         b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b"\x00",
         b"connection: close\r\n", b"expect: 100-continue\r\n",
         b"upgrade: x\r\nconnection: upgrade\r\n", b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n"]
    )  # fmt: skip
    asked: list[bytes] = []

    @settings(max_examples=size(150, 3000))
    @given(st.lists(word | st.binary(max_size=8), max_size=12).map(b"".join))
    def fuzz(data: bytes) -> None:
        asked.append(data)

    fuzz()

    async def story() -> None:
        async with Serving(tmp_path) as gateway, small_door(gateway, limits=HURRIED) as port:
            for data in asked:
                told = await talk(port, data)
                found = read_answers(told.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""))
                assert all(one.status != 500 for one in found), data
            assert not any("fault" in one for one in gateway.said)

    asyncio.run(story())
