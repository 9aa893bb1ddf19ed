"""The official Python client of the OpenAI API, unchanged: what it sends arrives, what comes back it reads, all is settled."""

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from tests.fakes.gateway import Serving, until
from tests.fakes.patience import PATIENCE
from tests.fakes.upstream_server import Behaviour, UpstreamServer, answers, holds, piece, says, sends, streams, usage_only

from pilotbase.domain.price import Price

PRICE = Price(per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
Story = Callable[[AsyncOpenAI, Serving, UpstreamServer], Awaitable[None]]


def play(home: Path, story: Story, *behaviours: Behaviour, key: dict[str, Any] | None = None, leaving: str = "abort") -> None:
    """Run a story with a client whose key has a budget, before an upstream that behaves so; the account balances afterwards.

    `leaving` is what becomes of the upstream's answer when the client goes away.
    """

    async def run() -> None:
        async with UpstreamServer(*behaviours) as server, Serving(home) as gateway:
            gateway.route("m", server.url, price=PRICE, upstream={"on_disconnect": leaving})
            token = gateway.key(**{"budget": "100 CNY", **(key or {})})
            async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=token) as client:
                await story(client, gateway, server)
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(run())


class Verdict(BaseModel):
    """What a client parses an answer into."""

    right: bool
    why: str


async def only_row(gateway: Serving) -> dict[str, Any]:
    """The one request of the ledger."""
    await gateway.settled()
    (row,) = gateway.rows()
    return row


def test_chat_gives_its_text_its_usage_and_a_request_id(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.chat.completions.create(model="m", messages=HELLO)
        assert answer.choices[0].message.content == "yes"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 3)
        row = await only_row(gateway)
        assert answer._request_id == row["id"]
        assert (row["state"], row["tokens_in"], row["tokens_out"], row["source"]) == ("settled", 11, 3, "upstream")

    play(tmp_path, story)


def test_a_stream_gives_each_piece_and_never_the_usage_that_nobody_asked_for(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "yes"
        assert all(chunk.usage is None for chunk in chunks)
        assert server.requests[0].document["stream_options"] == {"include_usage": True}
        row = await only_row(gateway)
        assert (row["tokens_in"], row["tokens_out"], row["source"], row["outcome"]) == (11, 3, "upstream", "answered")

    play(tmp_path, story)


def test_a_stream_gives_its_usage_last_where_it_was_asked_for(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        options: Any = {"include_usage": True}
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options)
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 3
        assert (await only_row(gateway))["tokens_out"] == 3

    play(tmp_path, story)


def test_the_helper_for_streams_puts_the_whole_answer_together(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        async with client.chat.completions.stream(model="m", messages=HELLO) as stream:
            whole = await stream.get_final_completion()
        assert whole.choices[0].message.content == "yes"
        assert whole.choices[0].finish_reason == "stop"

    play(tmp_path, story)


def called(**call: Any) -> dict[str, Any]:
    """A piece of a stream that carries a piece of a tool call."""
    return piece(None, tool_calls=[{"index": 0, **call}])


def test_a_tool_call_that_is_streamed_in_pieces_arrives_whole_and_is_counted(tmp_path: Path) -> None:
    arguments = '{"city": "北京", "days": 3}'
    parts = [
        called(id="call_1", type="function", function={"name": "weather", "arguments": ""}),
        *(called(function={"arguments": letter}) for letter in arguments),
        piece(None, finish="tool_calls"),
        usage_only(30, 12),
    ]
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, tools=[tool], tool_choice="auto", stream=True)
        deltas = [call async for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]
        assert (deltas[0].id, deltas[0].function and deltas[0].function.name) == ("call_1", "weather")
        assert "".join(delta.function.arguments or "" for delta in deltas if delta.function) == arguments
        assert server.requests[0].document["tools"] == [tool]
        row = await only_row(gateway)
        assert (row["tokens_in"], row["tokens_out"], row["source"]) == (30, 12, "upstream")

    play(tmp_path, story, streams(parts))


def test_a_tool_call_and_its_result_go_through_a_conversation(tmp_path: Path) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"北京"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
    reply["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        first = await client.chat.completions.create(model="m", messages=HELLO)
        asked: Any = first.choices[0].message
        assert asked.tool_calls[0].function.arguments == '{"city":"北京"}'
        told: list[Any] = [*HELLO, asked, {"role": "tool", "tool_call_id": "call_1", "content": "sun"}]
        second = await client.chat.completions.create(model="m", messages=told)
        assert second.choices[0].message.content == "yes"
        assert server.requests[1].document["messages"][1]["tool_calls"] == [call]

    play(tmp_path, story, sends(orjson.dumps(reply)), answers("yes"))


def test_parts_with_pictures_arrive_as_they_were_sent(tmp_path: Path) -> None:
    picture = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 40).decode()
    parts: list[Any] = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
    ]

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        asked: Any = [{"role": "user", "content": parts}]
        answer = await client.chat.completions.create(model="m", messages=asked)
        assert answer.choices[0].message.content == "yes"
        assert server.requests[0].document["messages"][0]["content"] == parts

    play(tmp_path, story)


def test_a_json_schema_is_passed_on_and_its_answer_parsed(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.chat.completions.parse(model="m", messages=HELLO, response_format=Verdict)
        parsed = answer.choices[0].message.parsed
        assert parsed == Verdict(right=True, why="因为")
        form = server.requests[0].document["response_format"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)

    play(tmp_path, story, answers('{"right": true, "why": "因为"}'))


def test_a_response_gives_its_text_and_is_counted(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.responses.create(model="m", input="hello")
        assert answer.output_text == "yes"
        assert answer.usage is not None
        assert answer.usage.output_tokens == 3
        row = await only_row(gateway)
        assert (row["endpoint"], row["tokens_in"], row["tokens_out"]) == ("responses", 11, 3)

    play(tmp_path, story)


def test_a_streamed_response_gives_its_events_in_order_and_is_counted(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        events: list[Any] = [event async for event in await client.responses.create(model="m", input="hello", stream=True)]
        assert events[0].type == "response.created"
        assert events[-1].type == "response.completed"
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "yes"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        row = await only_row(gateway)
        assert (row["tokens_out"], row["source"], row["outcome"]) == (3, "upstream", "answered")

    play(tmp_path, story)


def test_a_response_goes_on_from_one_of_the_same_key_only(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        first = await client.responses.create(model="m", input="hello")
        await gateway.settled()
        second = await client.responses.create(model="m", input="and then?", previous_response_id=first.id)
        assert second.output_text == "yes"
        assert server.requests[1].document["previous_response_id"] == first.id
        stranger = client.with_options(api_key=gateway.key("stranger", budget="1 CNY"))
        with pytest.raises(openai.NotFoundError):
            await stranger.responses.create(model="m", input="and then?", previous_response_id=first.id)
        assert len(server.requests) == 2

    play(tmp_path, story)


def test_old_completions_are_answered_whole_and_streamed(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.completions.create(model="m", prompt="hello")
        assert answer.choices[0].text == "yes"
        stream = await client.completions.create(model="m", prompt="hello", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "yes"
        await gateway.settled()
        assert [row["tokens_out"] for row in gateway.rows()] == [3, 3]

    play(tmp_path, story)


def test_embeddings_come_in_base64_which_the_client_asks_for_by_itself(tmp_path: Path) -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.5, -0.25, 1.0)).decode()
    data = [{"object": "embedding", "index": 0, "embedding": packed}]
    reply = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5}}

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.embeddings.create(model="m", input=["one", "二"])
        assert answer.data[0].embedding == [0.5, -0.25, 1.0]
        assert server.requests[0].document["encoding_format"] == "base64"
        assert server.requests[0].document["input"] == ["one", "二"]
        row = await only_row(gateway)
        assert (row["tokens_in"], row["tokens_out"], row["source"]) == (5, 0, "upstream")

    play(tmp_path, story, sends(orjson.dumps(reply)))


def test_a_recording_is_uploaded_byte_for_byte_and_its_words_come_back(tmp_path: Path) -> None:
    sound = b"RIFF" + bytes(range(256)) * 200 + b"\r\n--not the boundary\r\n"

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.audio.transcriptions.create(model="m", file=("会议.wav", sound), language="zh")
        assert answer.text == "yes"
        received = server.requests[0]
        assert received.path == "/v1/audio/transcriptions"
        assert sound in received.body
        assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
        row = await only_row(gateway)
        assert (row["endpoint"], row["tokens_in"], row["tokens_out"]) == ("transcriptions", 11, 3)

    play(tmp_path, story)


def test_speech_comes_back_as_the_bytes_that_were_made(tmp_path: Path) -> None:
    sound = bytes(range(256)) * 1000

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.audio.speech.create(model="m", voice="alloy", input="hello")
        assert answer.content == sound
        assert answer.response.headers["content-type"] == "audio/mpeg"
        async with client.audio.speech.with_streaming_response.create(model="m", voice="alloy", input="hello") as streamed:
            assert b"".join([part async for part in streamed.iter_bytes(1024)]) == sound
        await gateway.settled()
        assert [row["state"] for row in gateway.rows()] == ["settled", "settled"]

    play(tmp_path, story, sends(sound, kind="audio/mpeg"))


def test_a_picture_is_made_and_counted(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.images.generate(model="m", prompt="a cat")
        assert answer.data is not None
        assert answer.data[0].b64_json == "aGk="
        assert (await only_row(gateway))["endpoint"] == "images"

    play(tmp_path, story)


def test_a_text_is_moderated(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.moderations.create(model="m", input="hello")
        assert answer.results[0].flagged is False

    play(tmp_path, story)


def test_models_are_those_that_the_key_may_use(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        gateway.route("other-model", server.url)
        assert [model.id async for model in client.models.list()] == ["m"]
        everything = client.with_options(api_key=gateway.key("free", budget="1 CNY"))
        assert sorted([model.id async for model in everything.models.list()]) == ["m", "other-model"]
        assert (await everything.models.retrieve("other-model")).id == "other-model"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("other-model")

    play(tmp_path, story, key={"routes": ("m",)})


def test_a_wrong_key_is_an_authentication_error_and_is_not_tried_again(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stranger = client.with_options(api_key="pb_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbb")
        with pytest.raises(openai.AuthenticationError) as caught:
            await stranger.chat.completions.create(model="m", messages=HELLO)
        assert caught.value.code == "invalid_api_key"
        assert caught.value.request_id == caught.value.response.headers["x-request-id"]
        assert server.requests == []

    play(tmp_path, story)


def test_an_unknown_model_is_not_found_streamed_or_not(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        for stream in (False, True):
            with pytest.raises(openai.NotFoundError) as caught:
                await client.chat.completions.create(model="nobody", messages=HELLO, stream=stream)
            assert (caught.value.code, caught.value.param) == ("model_not_found", "model")

    play(tmp_path, story)


def test_an_exhausted_budget_is_told_once_since_trying_again_is_no_use(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        poor = client.with_options(api_key=gateway.key("poor", budget="0.000001 CNY"))
        with pytest.raises(openai.RateLimitError) as caught:
            await poor.chat.completions.create(model="m", messages=HELLO)
        assert caught.value.code == "insufficient_quota"
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
        assert server.requests == []

    play(tmp_path, story)


def test_a_limit_of_requests_says_when_to_come_back(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        patient = client.with_options(max_retries=0)
        raw = await patient.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        assert raw.headers["x-ratelimit-limit-requests"] == "1"
        assert raw.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as caught:
            await patient.chat.completions.create(model="m", messages=HELLO)
        assert caught.value.code == "rate_limit_exceeded"
        headers = caught.value.response.headers
        assert headers.get("x-should-retry") != "false"
        # The client ignores a wait of more than two minutes, and would not come back by itself.
        assert 0 < int(headers["retry-after-ms"]) <= 120_000
        assert 0 < int(headers["retry-after"]) <= 120
        assert len(server.requests) == 1

    play(tmp_path, story, key={"rpm": 1})


def test_a_busy_upstream_is_tried_again_and_each_request_is_settled_once(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        answer = await client.with_options(max_retries=3).chat.completions.create(model="m", messages=HELLO)
        assert answer.choices[0].message.content == "yes"
        await gateway.settled()
        rows = gateway.rows()
        assert sum(row["tokens_out"] for row in rows) == 3
        assert sum(row["settled"] > 0 for row in rows) == 1

    play(tmp_path, story, says(503, "overloaded"), says(503, "overloaded"), answers("yes"))


def test_a_request_that_the_upstream_finds_wrong_is_a_bad_request_with_its_words(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO, extra_body={"top_k": -1})
        assert "top_k" in caught.value.message
        assert server.url not in str(caught.value.body)
        assert len(server.requests) == 1
        assert (await only_row(gateway))["settled"] == 0

    play(tmp_path, story, says(400, "top_k must not be negative"))


def test_an_error_within_a_stream_is_raised_and_what_came_is_charged(tmp_path: Path) -> None:
    failure = {"error": {"message": "the engine died", "type": "server_error", "param": None, "code": "engine"}}

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        got: list[str] = []

        async def read() -> None:
            async for chunk in stream:
                got.append(chunk.choices[0].delta.content or "")

        with pytest.raises(openai.APIError, match="the engine died"):
            await read()
        assert got == ["half ", "an answer"]
        row = await only_row(gateway)
        assert (row["state"], row["source"], row["outcome"]) == ("settled", "estimate", "failed")
        assert row["tokens_out"] > 0

    play(tmp_path, story, streams([piece("half "), piece("an answer"), failure], done=False))


def test_an_answer_cut_short_is_an_error_to_the_client_and_settled_with_what_came(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError):
            _ = [chunk async for chunk in stream]
        row = await only_row(gateway)
        assert (row["source"], row["outcome"]) == ("estimate", "cut")
        assert row["tokens_out"] > 0

    play(tmp_path, story, streams([piece("half "), piece("an answer")], cut=True))


def test_a_stream_that_the_client_leaves_is_settled_with_what_came(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def pace(number: int) -> None:
        if number == 2:
            await more.wait()

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content == "second":
                break
        await stream.close()
        await server.requests[0].gone()
        row = await only_row(gateway)
        assert (row["state"], row["outcome"], row["source"]) == ("settled", "gone", "estimate")
        assert row["tokens_out"] > 0
        assert row["reserved"] == row["settled"] + row["released"]

    parts = [piece("first"), piece("second"), piece("third"), piece(None, finish="stop")]
    play(tmp_path, story, streams(parts, pace=pace))


def test_a_stream_that_the_client_leaves_runs_on_unseen_and_is_charged_by_its_own_count(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def pace(number: int) -> None:
        if number == 1:
            await more.wait()

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()
        await until(lambda: gateway.crew[0].plane.drained == 1)
        more.set()
        row = await only_row(gateway)
        assert (row["outcome"], row["source"], row["tokens_in"], row["tokens_out"]) == ("gone", "upstream", 17, 5)

    parts = [piece("first"), piece("second"), piece(None, finish="stop"), usage_only(17, 5)]
    play(tmp_path, story, streams(parts, pace=pace), leaving="drain")


def test_a_request_that_is_cancelled_before_its_answer_is_settled(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        task = asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO))
        await server.arrival(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.requests[0].gone()
        row = await only_row(gateway)
        assert (row["state"], row["outcome"]) == ("settled", "gone")
        assert row["tokens_in"] > 0

    play(tmp_path, story, holds(never))


def test_a_client_that_gives_up_waiting_is_settled_too(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        hurried = client.with_options(timeout=1.0, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            await hurried.chat.completions.create(model="m", messages=HELLO)
        await until(lambda: len(server.requests) == 1)
        await server.requests[0].gone()
        assert (await only_row(gateway))["state"] == "settled"

    play(tmp_path, story, holds(never))


def test_each_answer_has_an_id_of_its_own_streamed_or_not(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        streamed = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO, stream=True)
        _ = [chunk async for chunk in streamed.parse()]
        listed = await client.models.with_raw_response.list()
        ids = [raw.request_id, streamed.request_id, listed.request_id]
        assert len({*ids}) == 3
        assert all(ids)
        await gateway.settled()
        assert {row["id"] for row in gateway.rows()} == set(ids[:2])

    play(tmp_path, story)


def test_an_idempotency_key_brings_the_same_answer_and_is_charged_once(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        headers = {"Idempotency-Key": "order-17"}
        first = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO, extra_headers=headers)
        again = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO, extra_headers=headers)
        assert first.parse() == again.parse()
        assert again.headers["x-idempotent-replay"] == "true"
        assert len(server.requests) == 1
        other: Any = [{"role": "user", "content": "something else"}]
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="m", messages=other, extra_headers=headers)
        assert caught.value.code == "idempotency_key_reused"
        assert (await only_row(gateway))["tokens_out"] == 3

    play(tmp_path, story)


def test_words_that_no_client_knows_yet_pass_both_ways(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes", "mood": "calm"}, "finish_reason": "stop"}
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage, "new": [1]}

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        more = {"enable_thinking": False, "深": {"x": 1.5}}
        answer: Any = await client.chat.completions.create(model="m", messages=HELLO, extra_body=more)
        assert (answer.new, answer.choices[0].message.mood) == ([1], "calm")
        assert server.requests[0].document["深"] == {"x": 1.5}
        assert server.requests[0].document["enable_thinking"] is False

    play(tmp_path, story, sends(orjson.dumps(reply)))


def test_no_header_of_the_client_that_names_it_reaches_the_upstream(tmp_path: Path) -> None:
    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        await client.chat.completions.create(model="m", messages=HELLO)
        headers = server.requests[0].headers
        assert "authorization" not in headers
        assert not any(name.startswith("x-stainless") for name in headers)
        assert client.api_key not in str(headers)

    play(tmp_path, story)


def test_a_stop_of_the_route_ends_a_stream_with_an_error_to_the_client(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def pace(number: int) -> None:
        if number == 1:
            await never.wait()

    async def story(client: AsyncOpenAI, gateway: Serving, server: UpstreamServer) -> None:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        got: list[Any] = []

        async def read() -> None:
            async for chunk in stream:
                got.append(chunk)
                gateway.stop("route", "m")

        with pytest.raises(openai.APIError, match="stopped by its operator"):
            await asyncio.wait_for(read(), PATIENCE)
        assert len(got) == 1
        row = await only_row(gateway)
        assert (row["state"], row["outcome"]) == ("settled", "stopped")
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO)
        assert (caught.value.code, caught.value.status_code) == ("stopped", 503)

    play(tmp_path, story, streams([piece("first"), piece("second")], pace=pace))
