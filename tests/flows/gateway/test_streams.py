"""Streams through the whole gateway: what is charged, what the client sees, and what it never sees, however they end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.gateway import Answered, Serving, until
from tests.fakes.upstream_server import Behaviour, UpstreamServer, answers, piece, stream_parts, streams, usage_only

from pilotbase.domain.price import Price
from pilotbase.domain.traffic import GuardUse
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.estimate import estimate, prompt_tokens

PRICE = Price(per_call="1 CNY", per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
PROMPT = prompt_tokens("chat", {"messages": [{"role": "user", "content": "hello"}]})
DONE = b"data: [DONE]"


def cost(read: int, wrote: int) -> int:
    return 10**9 + read * 2000 + wrote * 6000


async def only(gateway: Serving) -> dict[str, Any]:
    """The one request in the ledger, which balances."""
    await gateway.settled()
    (row,) = gateway.rows()
    assert row["reserved"] == row["settled"] + row["released"]
    assert row["state"] in ("settled", "released")
    report = gateway.reconcile()
    assert report.balanced, report
    return row


def charged(row: Mapping[str, Any]) -> tuple[str, str, str, int, int, int]:
    cost = row["settled"] + row["overrun"]
    return row["state"], row["outcome"], row["source"], row["tokens_in"], row["tokens_out"], cost


def play(
    folder: Path,
    behaviour: Behaviour,
    body: Callable[[Serving, UpstreamServer, str], Coroutine[Any, Any, None]],
    *,
    upstream: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **route: Any,
) -> None:
    """Run a story with one route `m` of one upstream, priced, and a key."""

    async def story() -> None:
        async with UpstreamServer(behaviour) as server, Serving(folder, options=options or {}) as gateway:
            gateway.route("m", server.url, price=PRICE, upstream=upstream, **route)
            await body(gateway, server, gateway.key(budget="100 CNY"))

    asyncio.run(story())


async def walk_out(gateway: Serving, key: str, after: bytes) -> None:
    """Ask for a stream, and hang up once `after` has come."""
    reader, writer = await gateway.open(gateway.raw_chat(key, stream=True))
    await reader.readuntil(after)
    writer.transport.abort()


def paced(parts: list[Any], gate: asyncio.Event, at: int) -> Behaviour:
    """A stream that goes on from part `at` once the gate is open."""

    async def pace(i: int) -> None:
        if i >= at:
            await gate.wait()

    return streams(parts, pace=pace)


def test_a_client_that_leaves_lets_the_upstream_run_on_and_the_final_count_is_charged(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b'"content":"a"')
        await until(lambda: gateway.crew[0].plane.drained == 1)
        gate.set()
        assert charged(await only(gateway)) == ("settled", "gone", "upstream", 11, 7, cost(11, 7))
        assert gateway.crew[0].plane.drained == 0

    play(tmp_path, paced([*stream_parts("/chat/completions", "abc"), usage_only(11, 7)], gate, 1), body)


def test_what_runs_on_unseen_is_cut_off_at_the_tokens_that_are_declared(tmp_path: Path) -> None:
    gate = asyncio.Event()
    parts = [piece("a"), *(piece("word word word word ") for _ in range(100_000))]

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b'"content":"a"')
        await until(lambda: gateway.crew[0].plane.drained == 1)
        gate.set()
        await server.requests[0].gone()
        row = await only(gateway)
        assert (row["state"], row["outcome"], row["source"]) == ("settled", "gone", "estimate")
        assert 20 < row["tokens_out"] < 50_000
        assert charged(row)[-1] == cost(PROMPT, row["tokens_out"])

    play(tmp_path, paced(parts, gate, 1), body, upstream={"drain_tokens": 20})


def test_tokens_that_the_client_saw_do_not_count_against_those_that_run_on_unseen(tmp_path: Path) -> None:
    gate = asyncio.Event()
    parts = [piece("many words that were seen " * 40), piece("b"), piece(None, finish="stop"), usage_only(11, 300)]

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b"seen ")
        await until(lambda: gateway.crew[0].plane.drained == 1)
        gate.set()
        assert charged(await only(gateway)) == ("settled", "gone", "upstream", 11, 300, cost(11, 300))

    play(tmp_path, paced(parts, gate, 1), body, upstream={"drain_tokens": 20})


def test_what_runs_on_unseen_is_cut_off_after_the_time_that_is_declared(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b'"content":"a"')
        await server.requests[0].gone()
        assert charged(await only(gateway)) == ("settled", "gone", "estimate", PROMPT, 1, cost(PROMPT, 1))

    play(tmp_path, paced([piece("a"), piece("b")], asyncio.Event(), 1), body, upstream={"drain_for": "100ms"})


def test_no_more_upstreams_run_on_unseen_than_the_cap_allows(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b'"content":"a"')
        await until(lambda: gateway.crew[0].plane.drained == 1)
        await walk_out(gateway, key, b'"content":"a"')
        await server.requests[1].gone()
        assert not server.requests[0].left.is_set()
        gateway.stop("all", "")
        await gateway.settled()
        assert {row["outcome"] for row in gateway.rows()} == {"gone", "stopped"}
        assert gateway.reconcile().balanced

    play(tmp_path, paced([piece("a"), piece("b")], asyncio.Event(), 1), body, options={"drains": 1})


def test_a_client_that_leaves_stops_an_upstream_declared_so_and_what_came_is_estimated(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await walk_out(gateway, key, b'"content":" there"')
        await server.requests[0].gone()
        wrote = estimate("hello there")
        assert charged(await only(gateway)) == ("settled", "gone", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    parts = [piece("hello"), piece(" there"), piece("never")]
    play(tmp_path, paced(parts, asyncio.Event(), 2), body, upstream={"on_disconnect": "abort"})


def test_a_client_that_leaves_before_the_first_byte_owes_its_prompt_where_the_upstream_is_stopped(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        _, writer = await gateway.open(gateway.raw_chat(key, stream=True))
        await server.arrival(1)
        writer.transport.abort()
        await server.requests[0].gone()
        assert charged(await only(gateway)) == ("settled", "gone", "estimate", PROMPT, 0, cost(PROMPT, 0))

    from_nothing = paced([piece("a")], asyncio.Event(), 0)
    play(tmp_path, from_nothing, body, upstream={"on_disconnect": "abort"})


def test_an_explicit_count_of_zero_is_charged_as_zero(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.body.count(DONE) == 1
        assert charged(await only(gateway)) == ("settled", "answered", "upstream", 0, 0, cost(0, 0))

    play(tmp_path, streams([piece("cached words"), piece(None, finish="stop"), usage_only(0, 0)]), body)


def test_a_count_that_never_came_is_estimated_and_marked(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.chat(key, stream=True)
        wrote = estimate("some words")
        assert charged(await only(gateway)) == ("settled", "answered", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    play(tmp_path, streams([piece("some words"), piece(None, finish="stop")]), body)


def test_usage_is_asked_of_the_upstream_and_taken_out_again_where_the_client_did_not_ask(tmp_path: Path) -> None:
    parts = [piece("a") | {"usage": None}, piece(None, finish="stop") | {"usage": None}, usage_only(11, 3)]

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert server.requests[0].document["stream_options"] == {"include_usage": True}
        assert b"usage" not in answer.body
        assert [one["choices"][0]["delta"] for one in answer.events[:-1]] == [{"content": "a"}, {}]
        assert answer.events[-1] == "[DONE]"
        assert charged(await only(gateway)) == ("settled", "answered", "upstream", 11, 3, cost(11, 3))

    play(tmp_path, streams(parts), body)


def test_usage_stays_where_the_client_asked_for_it(tmp_path: Path) -> None:
    parts = [piece("a") | {"usage": None}, piece(None, finish="stop") | {"usage": None}, usage_only(11, 3)]

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True, stream_options={"include_usage": True})
        assert answer.body == b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts) + DONE + b"\n\n"
        assert charged(await only(gateway))[2:5] == ("upstream", 11, 3)

    play(tmp_path, streams(parts), body)


def responding(status: str, **more: Any) -> list[bytes]:
    """A stream of `responses` that ends so."""
    counted = {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
    begun: dict[str, Any] = {"id": "resp_9", "object": "response", "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "yes"},
        {"type": f"response.{status}", "response": begun | {"status": status, "usage": counted} | more},
    ]
    return [
        b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one | {"sequence_number": i}))
        for i, one in enumerate(events)
    ]


@pytest.mark.parametrize(
    ("status", "more", "outcome"),
    [
        ("completed", {}, "answered"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "answered"),
        ("failed", {"error": {"code": "server_error", "message": "it broke"}}, "failed"),
    ],
)
def test_a_response_is_charged_by_its_last_event_however_it_ends(
    tmp_path: Path, status: str, more: Mapping[str, Any], outcome: str
) -> None:
    parts = responding(status, **more)

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/responses", key, {"model": "m", "input": "hello", "stream": True})
        assert orjson.loads(answer.body.split(b"data: ")[-1])["type"] == f"response.{status}"
        row = await only(gateway)
        assert charged(row) == ("settled", outcome, "upstream", 11, 3, cost(11, 3))
        assert orjson.loads(row["detail"])["response_id"] == "resp_9"

    play(tmp_path, streams(parts, done=False), body)


def test_the_words_of_a_failed_response_tell_nothing_of_the_upstream(tmp_path: Path) -> None:
    error = {"code": "server_error", "message": "POST http://10.1.2.3:8000/v1 with Bearer sk-verysecret1 failed"}

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/responses", key, {"model": "m", "input": "hello", "stream": True})
        last = orjson.loads(answer.body.split(b"data: ")[-1])
        assert last["response"]["error"]["code"] == "server_error"
        assert b"10.1.2.3" not in answer.body
        assert b"verysecret" not in answer.body

    play(tmp_path, streams(responding("failed", error=error), done=False), body)


def test_a_refusal_is_charged_as_the_words_that_it_has(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.chat(key, stream=True)
        wrote = estimate("I will not.")
        assert charged(await only(gateway)) == ("settled", "answered", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    play(tmp_path, streams([piece(None, refusal="I will not."), piece(None, finish="stop")]), body)


def test_an_answer_of_tool_calls_alone_is_charged_for_their_names_and_arguments(tmp_path: Path) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"city": "Beijing"}'}}
    parts = [piece(None, tool_calls=[call]), piece(None, tool_calls=[more]), piece(None, finish="tool_calls")]

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.events[1]["choices"][0]["delta"]["tool_calls"] == [more]
        wrote = estimate('weather{"city": "Beijing"}')
        assert charged(await only(gateway)) == ("settled", "answered", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    play(tmp_path, streams(parts), body)


def test_the_words_of_an_error_within_a_stream_are_no_output_and_no_done_follows(tmp_path: Path) -> None:
    error = {
        "error": {
            "message": "worker http://10.1.2.3:8000 died, Bearer sk-verysecret1 " + "x" * 500,
            "type": "server_error",
            "code": 500,
            "where": "rack 7",
        }
    }

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.status == 200
        assert answer.events[-1]["error"]["type"] == "server_error"
        assert set(answer.events[-1]["error"]) == {"message", "type", "param", "code"}
        for word in (b"[DONE]", b"10.1.2.3", b"verysecret", b"rack"):
            assert word not in answer.body
        wrote = estimate("some words")
        assert charged(await only(gateway)) == ("settled", "failed", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    play(tmp_path, streams([piece("some words"), error]), body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"message": "too long for this model", "type": "invalid_request_error", "code": "context_length_exceeded"}, 400, None),
        ({"message": "out of memory", "type": "server_error", "code": None}, 502, "upstream_error"),
        ({"message": "slow down", "type": "rate_limit_error", "code": 429}, 429, "upstream_rate_limited"),
    ],
)
def test_an_error_before_anything_else_of_a_stream_is_a_status_and_costs_nothing(
    tmp_path: Path, error: Mapping[str, Any], status: int, code: str | None
) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.status == status
        assert answer.json["error"]["code"] == (code or error["code"])
        row = await only(gateway)
        assert (row["state"], row["source"], row["settled"], row["overrun"]) == ("released", "none", 0, 0)

    play(tmp_path, streams([{"error": error}]), body)


def test_an_upstream_cut_within_a_stream_is_told_in_it_without_done_and_what_came_is_charged(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.status == 200
        assert answer.events[-1]["error"]["code"] == "upstream_cut"
        assert DONE not in answer.body
        wrote = estimate("some words")
        assert charged(await only(gateway)) == ("settled", "cut", "estimate", PROMPT, wrote, cost(PROMPT, wrote))
        assert gateway.crew[0].counts.of("m").cut == 1

    play(tmp_path, streams([piece("some "), piece("words")], cut=True), body)


@pytest.mark.parametrize("before", [[], [b": keep-alive\n\n"]])
def test_an_upstream_cut_before_anything_of_the_answer_came_costs_nothing(tmp_path: Path, before: list[bytes]) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        if before:
            assert answer.events[-1]["error"]["code"] == "upstream_cut"
        else:
            assert answer.status == 502
            assert answer.json["error"]["code"] == "upstream_cut"
        assert charged(await only(gateway)) == ("released", "released: upstream_cut", "none", 0, 0, 0)

    play(tmp_path, streams(before, cut=True), body)


def test_a_stream_that_just_stops_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.events[-1]["error"]["code"] == "upstream_cut"
        assert charged(await only(gateway))[:3] == ("settled", "cut", "estimate")

    play(tmp_path, streams([piece("some words")], done=False), body)


def test_a_stream_without_done_whose_choices_ended_is_whole(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer: Answered = await gateway.chat(key, stream=True)
        assert b"error" not in answer.body
        assert charged(await only(gateway))[:5] == ("settled", "answered", "upstream", 11, 3)

    play(tmp_path, streams([piece("yes"), piece(None, finish="stop"), usage_only(11, 3)], done=False), body)


def test_the_last_event_of_a_response_passes_the_guards_too(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("secretword\n", encoding="utf-8")
    item = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "the secretword", "annotations": []}],
    }
    parts = responding("completed", output=[item])

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/responses", key, {"model": "m", "input": "hello", "stream": True})
        assert b"secretword" not in answer.body
        assert charged(await only(gateway))[2:5] == ("upstream", 11, 3)

    guard = GuardUse(guard="keywords", on="output", action="mask", options={"file": str(words)})
    play(tmp_path, streams(parts, done=False), body, guards=[guard])


def test_an_image_larger_than_a_megabyte_passes_in_a_stream(tmp_path: Path) -> None:
    picture = {
        "type": "image_generation.completed",
        "b64_json": "A" * 3_000_000,
        "usage": {"input_tokens": 9, "output_tokens": 80},
    }

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/images/generations", key, {"model": "m", "prompt": "a cat", "stream": True})
        assert orjson.loads(answer.body.partition(b"data: ")[2]) == picture
        assert charged(await only(gateway)) == ("settled", "answered", "upstream", 9, 80, cost(9, 80))

    play(tmp_path, streams([picture], done=False), body)


def test_a_worker_that_leaves_settles_the_streams_that_it_cuts(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        reader, writer = await gateway.open(gateway.raw_chat(key, stream=True))
        await reader.readuntil(b'"content":"words"')
        gateway.crew[0].leaving.set()
        left = await reader.read()
        assert DONE not in left
        assert b'"error"' in left
        writer.close()
        wrote = estimate("words")
        assert charged(await only(gateway)) == ("settled", "stopped", "estimate", PROMPT, wrote, cost(PROMPT, wrote))

    play(tmp_path, paced([piece("words"), piece("never")], asyncio.Event(), 1), body, options={"drain": 1.0})


def test_an_upstream_with_another_content_type_is_metered_as_a_stream_all_the_same(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.chat(key, stream=True)
        assert charged(await only(gateway))[2:5] == ("upstream", 11, 3)

    play(tmp_path, streams([*stream_parts("/chat/completions"), usage_only(11, 3)], kind="text/plain"), body)


def test_a_fallback_streams_and_is_charged_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            UpstreamServer(streams([], cut=True)) as bad,
            UpstreamServer(answers("yes")) as good,
            Serving(tmp_path) as gateway,
        ):
            await bad.stop()
            gateway.route("m", bad.url, good.url, price=PRICE)
            for _ in range(4):
                answer = await gateway.chat(key := gateway.key(budget="100 CNY"), stream=True)
                assert DONE in answer.body
                assert key not in answer.body.decode()
            await gateway.settled()
            rows = gateway.rows()
            assert [row["upstream"] for row in rows] == ["u1"] * 4
            assert [row["settled"] for row in rows] == [cost(11, 3)] * 4
            assert gateway.reconcile().balanced

    asyncio.run(story())


def test_what_is_known_of_a_stream_when_it_is_over_is_told_for_the_log(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        plane = gateway.crew[0].plane
        entries: list[Entry] = []
        plane.told = entries.append
        await gateway.post("/v1/responses", key, {"model": "m", "input": "hello", "stream": True})
        await gateway.settled()
        (entry,) = entries
        assert (entry.provider, entry.upstream, entry.attempts, entry.stream) == ("openai", "u0", 1, True)
        assert (entry.response_id, entry.finish, entry.outcome, entry.status) == (
            "resp_9",
            ("max_output_tokens",),
            "answered",
            200,
        )
        assert (entry.read, entry.wrote, entry.cost, entry.currency) == (11, 3, cost(11, 3), "CNY")

    ending = responding("incomplete", incomplete_details={"reason": "max_output_tokens"})
    play(tmp_path, streams(ending, done=False), body)
