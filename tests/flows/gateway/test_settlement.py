"""Settlement through the whole gateway: charged once, before the last byte, and never without a record of it."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.gateway import Serving, until
from tests.fakes.upstream_server import (
    Behaviour,
    UpstreamServer,
    answers,
    cuts,
    hangs,
    holds,
    resets,
    says,
    sends,
    streams,
    usage_only,
    whole,
)

from pilotbase.domain.price import Price
from pilotbase.domain.traffic import Limits, Route, Timeouts, Upstream
from pilotbase.gateway.estimate import estimate, prompt_tokens
from pilotbase.gateway.ledger import Ledger
from pilotbase.store.disk import Calls, LocalDisk

PRICE = Price(per_call="1 CNY", per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
PROMPT = prompt_tokens("chat", {"messages": [{"role": "user", "content": "hello"}]})
CALL = 10**9
Body = Callable[[Serving, UpstreamServer, str], Coroutine[Any, Any, None]]


def cost(read: int, wrote: int) -> int:
    return CALL + read * 2000 + wrote * 6000


async def ledger_of(gateway: Serving) -> list[dict[str, Any]]:
    """All requests in the ledger, which balances, and no key has money left on hold."""
    await gateway.settled()
    rows = gateway.rows()
    for row in rows:
        assert row["reserved"] == row["settled"] + row["released"]
        assert row["state"] in ("settled", "released")
    report = gateway.reconcile()
    assert report.balanced, report
    return rows


async def only(gateway: Serving) -> dict[str, Any]:
    (row,) = await ledger_of(gateway)
    return row


def charged(row: Mapping[str, Any]) -> tuple[str, str, str, int, int, int]:
    total = row["settled"] + row["overrun"]
    return row["state"], row["outcome"], row["source"], row["tokens_in"], row["tokens_out"], total


def play(
    folder: Path,
    behaviours: Behaviour | Sequence[Behaviour],
    body: Body,
    *,
    upstream: Mapping[str, Any] | None = None,
    **route: Any,
) -> None:
    """Run a story with one route `m` of one upstream, priced, and a key."""
    played = behaviours if isinstance(behaviours, Sequence) else (behaviours,)

    async def story() -> None:
        async with UpstreamServer(*played) as server, Serving(folder) as gateway:
            gateway.route("m", server.url, price=PRICE, upstream=upstream, **route)
            await body(gateway, server, gateway.key(budget="100 CNY"))

    asyncio.run(story())


def test_a_client_that_leaves_while_an_answer_is_awaited_is_charged_what_the_upstream_counted(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        _, writer = await gateway.open(gateway.raw_chat(key))
        await server.arrival(1)
        writer.transport.abort()
        await until(lambda: gateway.crew[0].plane.drained == 1)
        gate.set()
        assert charged(await only(gateway)) == ("settled", "gone", "upstream", 11, 3, cost(11, 3))

    play(tmp_path, holds(gate), body)


def test_a_client_that_leaves_while_an_answer_is_awaited_owes_its_prompt_where_the_upstream_is_stopped(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        _, writer = await gateway.open(gateway.raw_chat(key))
        await server.arrival(1)
        writer.transport.abort()
        await server.requests[0].gone()
        assert charged(await only(gateway)) == ("settled", "gone", "estimate", PROMPT, 0, cost(PROMPT, 0))

    play(tmp_path, hangs(), body, upstream={"on_disconnect": "abort"})


def test_a_client_that_leaves_while_it_waits_for_its_turn_owes_nothing(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        first = asyncio.create_task(gateway.chat(key))
        await server.arrival(1)
        _, writer = await gateway.open(gateway.raw_chat(key))
        lines = gateway.crew[0].pool.lines
        await until(lambda: any(line.slots.waiting for _, line in lines()))
        writer.transport.abort()
        await until(lambda: not any(line.slots.waiting for _, line in lines()))
        gate.set()
        assert (await first).status == 200
        rows = await ledger_of(gateway)
        assert sorted(charged(row) for row in rows) == [
            ("released", "released: gone", "none", 0, 0, 0),
            ("settled", "answered", "upstream", 11, 3, cost(11, 3)),
        ]
        assert len(server.requests) == 1

    play(tmp_path, holds(gate), body, upstream={"limits": Limits(concurrency=1), "on_disconnect": "abort"})


def test_a_client_that_leaves_before_its_body_came_is_not_in_the_ledger(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        raw = gateway.raw_chat(key)
        _, writer = await gateway.open(raw[:-5])
        await until(lambda: gateway.crew[0].plane.under_way)
        writer.transport.abort()
        assert await ledger_of(gateway) == []
        assert server.requests == []

    play(tmp_path, answers(), body)


@pytest.mark.parametrize(
    ("usage", "source", "read", "wrote"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, "upstream", 0, 0),
        ({"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11}, "upstream", 11, 0),
        (None, "estimate", PROMPT, estimate("yes")),
        ({"prompt_tokens": -1, "completion_tokens": 3}, "estimate", PROMPT, estimate("yes")),
    ],
)
def test_a_count_of_zero_is_a_count_and_a_missing_one_is_estimated_and_marked(
    tmp_path: Path, usage: Mapping[str, int] | None, source: str, read: int, wrote: int
) -> None:
    document = whole("/chat/completions") | {"usage": usage}

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        assert (await gateway.chat(key)).json == document
        assert charged(await only(gateway)) == ("settled", "answered", source, read, wrote, cost(read, wrote))

    play(tmp_path, sends(orjson.dumps(document)), body)


@pytest.mark.parametrize("place", ["headers", "body"])
def test_an_answer_cut_short_is_a_502_and_costs_nothing(tmp_path: Path, place: Any) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key)
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_cut")
        row = await only(gateway)
        assert charged(row) == ("released", "released: upstream_cut", "none", 0, 0, 0)
        assert row["status"] == 502

    play(tmp_path, cuts(place), body)


@pytest.mark.parametrize(
    ("behaviour", "status", "retry"),
    [
        (says(400, "no such thing", code="wrong"), 400, "false"),
        (says(401, "bad key"), 502, "false"),
        (says(404, "no model"), 502, "false"),
        (says(422, "no"), 422, "false"),
        (says(429, "slow down", retry_after="7"), 429, "true"),
        (says(500, "oops"), 502, "true"),
        (says(503, "down"), 503, "true"),
        (cuts("head"), 502, "true"),
        (resets(), 502, "true"),
    ],
)
def test_an_upstream_that_refuses_costs_nothing_and_the_client_is_told_whether_to_try_again(
    tmp_path: Path, behaviour: Behaviour, status: int, retry: str
) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key)
        assert (answer.status, answer.headers["x-should-retry"]) == (status, retry)
        assert answer.headers["x-request-id"]
        row = await only(gateway)
        assert (row["state"], row["settled"], row["overrun"], row["source"]) == ("released", 0, 0, "none")
        assert row["status"] == status

    play(tmp_path, behaviour, body, retries=0)


def test_an_answer_after_retries_is_charged_once(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        assert (await gateway.chat(key)).status == 200
        assert len(server.requests) == 3
        row = await only(gateway)
        assert charged(row) == ("settled", "answered", "upstream", 11, 3, cost(11, 3))
        assert row["upstream"] == "u0"

    play(tmp_path, (says(500), cuts("head"), answers()), body)


def test_an_answer_of_a_fallback_is_charged_once_and_under_its_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(says(500)) as bad, UpstreamServer(answers()) as good, Serving(tmp_path) as gateway:
            ups = (Upstream(name="first", url=bad.url), Upstream(name="second", url=good.url, tier=1))
            gateway.put(Route(name="m", upstreams=ups, price=PRICE))
            assert (await gateway.chat(gateway.key(budget="9 CNY"))).status == 200
            row = await only(gateway)
            assert charged(row) == ("settled", "answered", "upstream", 11, 3, cost(11, 3))
            assert row["upstream"] == "second"

    asyncio.run(story())


def test_an_answer_that_two_upstreams_were_asked_for_is_charged_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(hangs()) as slow, UpstreamServer(answers()) as quick, Serving(tmp_path) as gateway:
            ups = (Upstream(name="slow", url=slow.url), Upstream(name="quick", url=quick.url, tier=1))
            gateway.put(Route(name="m", upstreams=ups, price=PRICE, hedge_after="20ms"))
            assert (await gateway.chat(gateway.key(budget="9 CNY"))).status == 200
            await slow.requests[0].gone()
            row = await only(gateway)
            assert charged(row) == ("settled", "answered", "upstream", 11, 3, cost(11, 3))
            assert row["upstream"] == "quick"

    asyncio.run(story())


def test_a_timeout_of_the_upstream_is_a_504_and_costs_nothing(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key)
        assert (answer.status, answer.headers["x-should-retry"]) == (504, "false")
        assert charged(await only(gateway)) == ("released", "released: upstream_timeout", "none", 0, 0, 0)

    play(tmp_path, hangs(), body, upstream={"timeouts": Timeouts(first_byte="50ms")}, retries=0)


class Slow:
    """A disk whose syncs wait while `gate` is closed, and whose writes and syncs fail once they are told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.syncs = 0
        self.disk = LocalDisk(Calls(sync=self._sync, write=self._write))
        self.fail_sync = self.fail_write = False

    def _sync(self, fd: int) -> None:
        self.syncs += 1
        self.gate.wait()
        if self.fail_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)

    def _write(self, fd: int, data: bytes | memoryview) -> int:
        if self.fail_write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data)

    @asynccontextmanager
    async def under(self, gateway: Serving) -> AsyncIterator[None]:
        """Let the first worker keep its ledger on this disk."""
        worker = gateway.crew[0]
        await worker.plane.ledger.aclose()
        ledger = Ledger(gateway.keeper.folder, f"{worker.name}s", self.disk, on_broken=lambda _: worker.leaving.set())
        worker.plane.ledger = ledger
        try:
            yield
        finally:
            self.fail_sync = self.fail_write = False
            self.gate.set()
            if ledger.broken is None:
                await ledger.aclose()


ENDINGS: Sequence[tuple[str, Mapping[str, Any], bytes]] = (
    ("/v1/chat/completions", {"messages": []}, b"HTTP/1.1"),
    ("/v1/chat/completions", {"messages": [], "stream": True}, b"[DONE]"),
    ("/v1/completions", {"prompt": "a", "stream": True}, b"[DONE]"),
    ("/v1/responses", {"input": "a", "stream": True}, b"response.completed"),
    ("/v1/embeddings", {"input": "a"}, b"HTTP/1.1"),
    ("/v1/audio/speech", {"input": "a"}, b"yes"),
)


@pytest.mark.parametrize(("path", "asked", "ending"), ENDINGS)
def test_the_end_of_an_answer_goes_out_when_its_settlement_is_on_the_disk(
    tmp_path: Path, path: str, asked: Mapping[str, Any], ending: bytes
) -> None:
    slow = Slow()
    data = orjson.dumps({"model": "m", **asked})

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        async with slow.under(gateway):
            await gateway.chat(key)
            before = slow.syncs
            slow.gate.clear()
            head = f"POST {path} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\n"
            rest = b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(data) + data
            reader, writer = await gateway.open(head.encode() + rest)
            came = bytearray()
            reading = asyncio.create_task(_collect(reader, came))
            await until(lambda: slow.syncs > before)
            # Whatever may go out before has gone out when the worker has nothing left to do but to wait for the disk.
            for _ in range(20):
                await asyncio.sleep(0)
            assert ending not in bytes(came)
            assert not reading.done()
            slow.gate.set()
            await reading
            assert ending in bytes(came)
            writer.close()
            assert len(await ledger_of(gateway)) == 2

    play(tmp_path, answers("yes"), body)


async def _collect(reader: asyncio.StreamReader, came: bytearray) -> None:
    while part := await reader.read(65536):
        came += part


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_whole_goes_out_once_the_ledger_is_broken_and_the_worker_leaves(tmp_path: Path, stream: bool) -> None:
    slow = Slow()

    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, price=PRICE)
            key = gateway.key(budget="100 CNY")
            async with slow.under(gateway):
                slow.fail_sync = True
                reader, writer = await gateway.open(gateway.raw_chat(key, stream=stream))
                came = bytearray()
                try:
                    await _collect(reader, came)
                except ConnectionResetError:
                    assert stream
                assert b"[DONE]" not in came
                if stream:
                    assert not came.endswith(b"0\r\n\r\n")
                else:
                    assert came.startswith(b"HTTP/1.1 503")
                    assert b"ledger_unavailable" in came
                    assert b"yes" not in came
                worker = gateway.crew[0]
                assert worker.plane.unready()
                assert worker.leaving.is_set()
                writer.close()
            assert gateway.crew[0].counts.of("m").in_doubt == 1

    asyncio.run(story())


def test_a_full_disk_refuses_what_it_cannot_record_and_dispatches_none_of_it(tmp_path: Path) -> None:
    slow = Slow()

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        async with slow.under(gateway):
            slow.fail_write = True
            answer = await gateway.chat(key)
            assert (answer.status, answer.json["error"]["code"]) == (503, "ledger_unavailable")
            assert answer.headers["x-should-retry"] == "true"
            assert str(tmp_path) not in answer.body.decode()
            assert server.requests == []
            slow.fail_write = False
            assert (await gateway.chat(key)).status == 200
        assert charged(await only(gateway)) == ("settled", "answered", "upstream", 11, 3, cost(11, 3))

    play(tmp_path, answers(), body)


def test_the_same_request_under_the_same_idempotency_key_gets_the_first_answer_and_is_charged_once(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        first = await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")
        second = await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")
        assert first.body == second.body
        assert (second.status, second.headers["x-idempotent-replay"]) == (200, "true")
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        other = await gateway.post("/v1/chat/completions", key, asked | {"n": 1}, Idempotency_Key="k1")
        assert (other.status, other.json["error"]["code"]) == (422, "idempotency_key_reused")
        assert other.headers["x-should-retry"] == "false"
        stranger = await gateway.post("/v1/chat/completions", gateway.key("other", budget="9 CNY"), asked, Idempotency_Key="k1")
        assert "x-idempotent-replay" not in stranger.headers
        assert len(server.requests) == 2
        assert [row["state"] for row in await ledger_of(gateway)] == ["settled", "settled"]

    play(tmp_path, answers(), body)


def test_a_request_whose_idempotency_key_is_under_way_is_told_so(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        asked = {"model": "m", "messages": []}
        first = asyncio.create_task(gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1"))
        await server.arrival(1)
        second = await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")
        assert (second.status, second.json["error"]["code"]) == (409, "idempotency_in_progress")
        assert second.headers["x-should-retry"] == "true"
        gate.set()
        assert (await first).status == 200
        assert len(await ledger_of(gateway)) == 1

    play(tmp_path, holds(gate), body)


def test_a_request_that_failed_frees_its_idempotency_key(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        asked = {"model": "m", "messages": []}
        assert (await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")).status == 400
        second = await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")
        assert second.status == 200
        assert "x-idempotent-replay" not in second.headers
        assert [row["state"] for row in await ledger_of(gateway)] == ["released", "settled"]

    play(tmp_path, (says(400), answers()), body)


def test_streams_are_not_kept_for_an_idempotency_key(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        asked = {"model": "m", "messages": [], "stream": True}
        for _ in range(2):
            answer = await gateway.post("/v1/chat/completions", key, asked, Idempotency_Key="k1")
            assert "x-idempotent-replay" not in answer.headers
        assert len(server.requests) == 2

    play(tmp_path, answers(), body)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\tb"])
def test_an_idempotency_key_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/chat/completions", key, {"model": "m", "messages": []}, Idempotency_Key=name)
        assert (answer.status, answer.json["error"]["param"]) == (400, "Idempotency-Key")
        assert await ledger_of(gateway) == []

    play(tmp_path, answers(), body)


def test_what_a_key_has_left_is_what_it_had_less_what_was_charged(tmp_path: Path) -> None:
    """Whatever becomes of requests, nothing stays on hold: the last of the budget can be spent."""
    behaviours = (answers(), says(500), cuts("body"), streams([usage_only(11, 3)]), answers())

    async def story() -> None:
        async with UpstreamServer(*behaviours) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, price=Price(per_call="1 CNY"), retries=0)
            key = gateway.key(budget="3 CNY")
            found = [(await gateway.chat(key, stream=i == 3)).status for i in range(6)]
            assert found == [200, 502, 502, 200, 200, 429]
            rows = await ledger_of(gateway)
            assert sum(row["settled"] for row in rows) == 3 * CALL

    asyncio.run(story())
