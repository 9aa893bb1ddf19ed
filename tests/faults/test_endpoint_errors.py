"""An endpoint that refuses, breaks off or talks nonsense: a retry or a named failure, never a hang and never a leak."""

import asyncio
from typing import Any

import pytest
from tests.fakes.asking import ask, converse, reply_to, target
from tests.fakes.chat_server import (
    ChatServer,
    answers,
    drips,
    hangs,
    piece,
    pours,
    resets,
    says,
    sends,
    streams,
)
from tests.fakes.fake_time import FakeTime

from pilotbase.errors import UserError
from pilotbase.targets.openai import OpenAI


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_a_passing_error_is_tried_again(status: int) -> None:
    reply, requests, _ = reply_to(says(status), answers("yes"))
    assert (reply.answer, reply.attempts, requests) == ("yes", 2, 2)


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_an_error_that_will_not_pass_is_not_tried_again(status: int) -> None:
    reply, requests, _ = reply_to(says(status, "bad question"), answers())
    assert (reply.answer, reply.failure, requests) == (None, "refused", 1)
    assert reply.detail == f"HTTP {status}: bad question"


def test_500_for_ever_is_unreachable_with_every_attempt_counted() -> None:
    reply, requests, waits = reply_to(says(500, "broken"), retries=3)
    assert (reply.failure, reply.attempts, requests) == ("unreachable", 4, 4)
    assert waits == [0.5, 1.0, 2.0]
    assert reply.detail == "HTTP 500: broken"


def test_retry_after_is_obeyed_before_the_next_attempt() -> None:
    reply, requests, waits = reply_to(says(429, retry_after="7"), answers())
    assert (reply.answer, requests) == ("yes", 2)
    assert sum(waits) >= 7


def test_retry_after_holds_back_the_other_calls_too() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> tuple[int, float]:
        await asyncio.gather(*(ask(asked) for _ in range(3)))
        return len(server.bodies), time.now

    requests, waited = converse((says(503, retry_after="5"), answers()), story, concurrency=1)
    assert requests == 4
    assert waited >= 5


def test_an_open_loop_call_is_made_once() -> None:
    reply, requests, waits = reply_to(says(429, retry_after="7"), answers(), open_loop=True)
    assert (reply.failure, reply.attempts, requests, waits) == ("unreachable", 1, 1, [])


def test_an_open_loop_call_does_not_wait_for_a_slot() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> tuple[str, bool]:
        slow = asyncio.create_task(ask(asked))
        await started.wait()
        quick = await ask(asked, open_loop=True)
        still = not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        return str(quick.answer), still

    started = asyncio.Event()
    assert converse((hangs(started), answers()), story, concurrency=1) == ("yes", True)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404])
def test_a_wrong_place_or_key_on_the_first_call_stops_the_run_and_says_what_to_do(status: int) -> None:
    with pytest.raises(UserError) as caught:
        reply_to(says(status, "no entry"))
    assert caught.value.code == 4
    assert f"HTTP {status}" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_same_later_is_a_failure_of_that_case(status: int) -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> list[Any]:
        return [(await ask(asked)).failure, (await ask(asked)).failure, (await ask(asked)).failure]

    assert converse((answers(), says(status), answers()), story) == [None, "refused", None]


def test_a_refused_connection_on_the_first_call_stops_the_run() -> None:
    async def story() -> None:
        async with ChatServer() as server:
            url = server.url
        asked = target(url)
        try:
            await ask(asked)
        finally:
            await asked.aclose()

    with pytest.raises(UserError, match="cannot be reached") as caught:
        asyncio.run(story())
    assert caught.value.code == 4


def test_an_endpoint_that_goes_away_later_is_unreachable_after_retries() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> tuple[Any, Any, int]:
        first = await ask(asked)
        await server.stop()
        second = await ask(asked)
        return first.failure, second.failure, second.attempts

    assert converse((answers(),), story, retries=2) == (None, "unreachable", 3)


def test_a_name_that_does_not_resolve_stops_the_run() -> None:
    async def story() -> None:
        asked = target("http://no-such-host.invalid/v1")
        try:
            await ask(asked)
        finally:
            await asked.aclose()

    with pytest.raises(UserError, match="cannot be reached"):
        asyncio.run(story())


def test_a_connection_cut_before_the_answer_is_tried_again() -> None:
    reply, requests, _ = reply_to(resets(), answers())
    assert (reply.answer, reply.attempts, requests) == ("yes", 2, 2)


def test_a_stream_cut_in_the_middle_is_tried_again_and_its_half_is_thrown_away() -> None:
    half, whole = [piece({"content": "ma"})], [piece({"content": "benign"}), piece({}, "stop")]
    reply, _, _ = reply_to(streams(half, cut=True), streams(whole), stream=True)
    assert (reply.answer, reply.attempts) == ("benign", 2)


def test_a_stream_cut_every_time_is_unreachable() -> None:
    reply, requests, _ = reply_to(streams([piece({"content": "ma"})], cut=True), stream=True, retries=2)
    assert (reply.answer, reply.failure, requests, reply.ttft) == (None, "unreachable", 3, None)


def test_invalid_json_is_unparseable_and_not_tried_again() -> None:
    reply, requests, _ = reply_to(sends(b'{"choices": [{"mess'))
    assert (reply.failure, requests) == ("unparseable", 1)


def test_a_web_page_is_unparseable_and_its_content_type_is_named() -> None:
    reply, _, _ = reply_to(sends(b"<html>welcome</html>", kind="text/html"))
    assert reply.failure == "unparseable"
    assert "text/html" in reply.detail


def test_json_of_another_shape_is_named_so() -> None:
    assert reply_to(sends(b'{"result": "yes"}'))[0].failure == "shape"


@pytest.mark.parametrize("declared", [True, False])
def test_a_reply_over_the_limit_is_cut_off(declared: bool) -> None:
    reply, requests, _ = reply_to(pours(9 * 1024 * 1024, declared=declared))
    assert (reply.failure, requests) == ("too-large", 1)
    assert reply.detail == "the reply is over 8 MiB"


def test_a_byte_at_a_time_ends_at_the_time_limit_and_is_not_tried_again() -> None:
    reply, requests, _ = reply_to(drips(0.02), timeout="1s")
    assert (reply.failure, requests) == ("timeout", 1)
    assert reply.detail == "the answer was not whole after 1 s"


def test_a_stream_that_drips_ends_at_the_time_limit() -> None:
    reply, _, _ = reply_to(drips(0.02, kind="text/event-stream"), stream=True, timeout="200ms", first_byte_timeout="150ms")
    assert reply.failure == "timeout"


def test_no_byte_in_time_is_tried_again_and_then_a_timeout() -> None:
    reply, requests, _ = reply_to(hangs(), timeout="10s", first_byte_timeout="500ms", retries=1)
    assert (reply.failure, reply.attempts, requests) == ("timeout", 2, 2)
    assert reply.detail == "no byte of an answer within 0.5 s"


def test_no_error_repeats_the_key() -> None:
    secrets = {"CHAT_KEY": "s3cret-key"}
    echo = says(400, "the key s3cret-key is not allowed to do this")
    reply, _, _ = reply_to(echo, key_env="CHAT_KEY", secrets=secrets)
    assert reply.detail == "HTTP 400: the key *** is not allowed to do this"
    with pytest.raises(UserError) as caught:
        reply_to(says(401, "bad key s3cret-key"), key_env="CHAT_KEY", secrets=secrets)
    assert "s3cret" not in str(caught.value)
    assert "key-env" in str(caught.value)
    bare, _, _ = reply_to(sends(b"s3cret-key"), key_env="CHAT_KEY", secrets=secrets)
    assert "s3cret" not in bare.detail


def test_no_error_repeats_the_query_of_the_address() -> None:
    async def story() -> None:
        async with ChatServer(says(404)) as server:
            asked = target(server.url + "?token=abc")
            try:
                await ask(asked)
            finally:
                await asked.aclose()

    with pytest.raises(UserError) as caught:
        asyncio.run(story())
    assert "abc" not in str(caught.value)


def test_a_cancelled_call_gives_its_slot_back() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> Any:
        slow = asyncio.create_task(ask(asked))
        await started.wait()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        return (await ask(asked)).answer

    started = asyncio.Event()
    assert converse((hangs(started), answers()), story, concurrency=1) == "yes"
