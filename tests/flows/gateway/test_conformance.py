"""What clients of OpenAI's interface rely on, line by line.

Sources: OpenAI's OpenAPI description 2.3.0; what its Python client 3.54 reads (its retry rules, its stream reader).
"""

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from tests.fakes.gateway import Answered, Serving
from tests.fakes.upstream_server import Behaviour, UpstreamServer, answers, cuts, echoes, piece, says, sends, streams, usage_only

from pilotbase.domain.price import Price
from pilotbase.gateway.endpoints import ENDPOINTS

JSON_PATHS = [f"/v1{one.path}" for one in ENDPOINTS.values() if one.body == "json"]
Story = Callable[[Serving, UpstreamServer, str], Awaitable[None]]


def play(home: Path, behaviour: Behaviour, story: Story, *, limits: Mapping[str, Any] | None = None, **route: Any) -> None:
    """A gateway with one route `m` to one upstream, and a key."""

    async def run() -> None:
        async with UpstreamServer(behaviour) as server, Serving(home) as gateway:
            gateway.route("m", server.url, **route)
            await story(gateway, server, gateway.key(**(limits or {})))
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(run())


def error_of(answer: Answered) -> dict[str, Any]:
    """The error, after its shape is checked."""
    assert answer.headers["content-type"] == "application/json"
    error = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    return dict(error)


@pytest.mark.parametrize("more", [{}, {"stream": False}, {"stream": None}])
def test_a_request_that_does_not_ask_for_a_stream_gets_a_document(tmp_path: Path, more: dict[str, Any]) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, **more)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["object"] == "chat.completion"
        assert int(answer.headers["content-length"]) == len(answer.body)

    play(tmp_path, answers("yes"), story)


def test_a_stream_comes_as_events_that_nobody_buffers_and_ends_with_done(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.events[-1] == "[DONE]"
        assert "".join(one["choices"][0]["delta"].get("content") or "" for one in answer.events[:-1]) == "yes"

    play(tmp_path, answers("yes"), story)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 429, 500, 503])
def test_an_error_before_the_first_byte_has_its_status_even_in_a_stream(tmp_path: Path, status: int) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        whole, stream = await gateway.chat(key), await gateway.chat(key, stream=True)
        for answer in (whole, stream):
            # What an upstream says of the gateway's own key, or of its own trouble, is not the caller's fault.
            assert answer.status == status or (status in (401, 403, 404, 408, 500) and answer.status in (500, 502, 503))
            error_of(answer)
        assert whole.status == stream.status

    play(tmp_path, says(status), story, retries=0)


def test_an_error_of_the_gateway_has_its_status_even_in_a_stream(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, model="none", stream=True)
        assert answer.status == 404
        assert error_of(answer)["code"] == "model_not_found"
        assert error_of(await gateway.chat(None, stream=True))["code"] == "invalid_api_key"

    play(tmp_path, answers(), story)


def test_an_error_after_the_first_byte_comes_in_band_and_no_done_follows(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.status == 200
        assert set(answer.events[-1]["error"]) == {"message", "type", "param", "code"}
        assert b"[DONE]" not in answer.body

    play(tmp_path, streams([piece("a"), piece("b")], cut=True), story)


def test_an_upstream_s_error_in_band_is_passed_on_and_its_done_is_not(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True)
        assert answer.events[-1]["error"]["message"] == "overloaded"
        assert b"[DONE]" not in answer.body

    play(tmp_path, streams([piece("a"), {"error": {"message": "overloaded", "type": "server_error"}}]), story)


def test_usage_that_was_asked_for_comes_once_before_done(tmp_path: Path) -> None:
    chunks = [{**piece("a"), "usage": None}, {**piece(None, finish="stop"), "usage": None}, usage_only(11, 3)]

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True, stream_options={"include_usage": True})
        assert answer.events == [*chunks, "[DONE]"]
        assert server.requests[0].document["stream_options"] == {"include_usage": True}

    play(tmp_path, streams(chunks), story)


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {}}, {"stream_options": {"include_usage": False}}]
)
def test_usage_that_was_not_asked_for_is_asked_of_the_upstream_and_taken_out(tmp_path: Path, options: dict[str, Any]) -> None:
    chunks = [{**piece("a"), "usage": None}, {**piece(None, finish="stop"), "usage": None}, usage_only(11, 3)]

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key, stream=True, **options)
        assert answer.events == [piece("a"), piece(None, finish="stop"), "[DONE]"]
        assert server.requests[0].document["stream_options"]["include_usage"] is True
        await gateway.settled()
        (row,) = gateway.rows()
        assert (row["tokens_in"], row["tokens_out"], row["source"]) == (11, 3, "upstream")

    play(tmp_path, streams(chunks), story)


def test_every_answer_has_a_request_id_and_no_two_the_same(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        found = [
            await gateway.chat(key),
            await gateway.chat(key, stream=True),
            await gateway.chat("pb_no_key"),
            await gateway.chat(None),
        ]
        found += [await gateway.post(path, key, b"{") for path in JSON_PATHS]
        found += [await gateway.post(path, key, {"model": "none"}) for path in JSON_PATHS]
        plain = "/nothing /v1 /v1/nothing /v1/models /v1/models/m /v1/models/none /v1/chat/completions /v1/responses/none"
        own = "/healthz /readyz /metrics /v2 /v2/health/live /v2/models/none"
        for path in f"{plain} {own}".split():
            found.append(await gateway.get(path, key))
        ids = [answer.headers["x-request-id"] for answer in found]
        assert len(set(ids)) == len(ids)
        for answer in found:
            assert answer.status < 400 or "error" in answer.json
            assert answer.status != 500

    play(tmp_path, answers(), story)


def test_a_budget_that_is_used_up_is_told_so_that_no_client_tries_again(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        assert (await gateway.chat(key)).status == 200
        answer = await gateway.chat(key, stream=True)
        assert answer.status == 429
        assert error_of(answer)["code"] == error_of(answer)["type"] == "insufficient_quota"
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers

    play(tmp_path, answers(), story, limits={"budget": "1 CNY"}, price=Price(per_call="1 CNY"))


def test_a_limit_of_requests_is_told_with_the_time_to_wait(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        first = await gateway.chat(key)
        assert first.headers["x-ratelimit-limit-requests"] == "1"
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        assert first.headers["x-ratelimit-reset-requests"].endswith("s")
        answer = await gateway.chat(key)
        assert answer.status == 429
        assert error_of(answer)["code"] == "rate_limit_exceeded"
        assert answer.headers.get("x-should-retry") != "false"
        # Clients do not wait longer than two minutes.
        assert 0 < int(answer.headers["retry-after-ms"]) <= 120_000
        assert 0 < int(answer.headers["retry-after"]) <= 120

    play(tmp_path, answers(), story, limits={"rpm": 1})


def test_an_upstream_s_time_to_wait_is_passed_on(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "7"

    play(tmp_path, says(429, "slow down", retry_after="7"), story, retries=0)


def test_a_connection_that_broke_before_the_first_byte_may_be_tried_again(tmp_path: Path) -> None:
    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.chat(key)
        assert answer.status in (502, 503, 504)
        assert error_of(answer)["type"]
        assert answer.headers.get("x-should-retry") != "false"

    play(tmp_path, cuts("head"), story, retries=0)


def test_a_request_that_can_never_be_right_is_not_tried_again(tmp_path: Path) -> None:
    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        for answer in (
            await gateway.post("/v1/chat/completions", key, b"{"),
            await gateway.chat(key, model="none"),
            await gateway.chat(None),
        ):
            assert answer.headers["x-should-retry"] == "false"
            error_of(answer)
        assert server.requests == []

    play(tmp_path, answers(), story)


def test_deltas_of_tools_choices_and_unknown_members_pass_byte_for_byte(tmp_path: Path) -> None:
    raw = [
        b'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":'
        b'[{"index":0,"id":"call_1","type":"function","function":'
        b'{"name":"f","arguments":""}}]}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\": 1.0"}}]}}]}\n\n',
        b'data: {"choices":[{"index":1,"delta":{"refusal":"no"},"logprobs":{"content":'
        b'[{"token":"a","logprob":-0.10}]}}],"obfuscation":"aX3"}\n\n',
        b': a comment\n\n',
        b'event: future\ndata: {"choices":[],"future":{"z":1e5,"a":[1.50]}}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm","x":"\\u4f60"},"finish_reason":"tool_calls"}]}\n\n',
        b"data: [DONE]\n\n",
    ]  # fmt: skip

    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        assert (await gateway.chat(key, stream=True, n=2)).body == b"".join(raw)

    play(tmp_path, streams([b"".join(raw)[i : i + 37] for i in range(0, len(b"".join(raw)), 37)], done=False), story)


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_events_of_a_response_keep_their_names_numbers_and_bytes(tmp_path: Path, end: str) -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    error = {"code": "server_error", "message": "broke"} if end == "failed" else None
    events = [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}, "sequence_number": 0},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "a", "sequence_number": 1, "logprobs": []},
        {"type": "response.future.thing", "x": [1.5], "sequence_number": 2},
        {
            "type": f"response.{end}",
            "response": {"id": "resp_1", "status": end, "usage": usage, "error": error},
            "sequence_number": 3,
        },
    ]
    raw = b"".join(b"event: %b\ndata: %b\n\n" % (str(one["type"]).encode(), orjson.dumps(one)) for one in events)

    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/responses", key, {"model": "m", "input": "x", "stream": True})
        assert answer.body == raw
        await gateway.settled()
        (row,) = gateway.rows()
        assert (row["state"], row["tokens_in"], row["tokens_out"], row["source"]) == ("settled", 5, 2, "upstream")

    play(tmp_path, streams([raw], done=False), story)


def test_embeddings_in_base64_pass_untouched(tmp_path: Path) -> None:
    vector = base64.b64encode(struct.pack("<3f", 0.1, -0.2, 3e-7)).decode()
    raw = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":"%b"}],"model":"up",'
    raw += b'"usage":{"prompt_tokens":3,"total_tokens":3}}'

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        body = b'{"input": ["a", "b"], "model": "m", "encoding_format": "base64", "dimensions": 3}'
        answer = await gateway.post("/v1/embeddings", key, body)
        assert answer.body == raw % vector.encode()
        assert server.requests[0].body == body

    play(tmp_path, sends(raw % vector.encode()), story)


def test_parts_with_pictures_and_schemas_reach_the_upstream_byte_for_byte(tmp_path: Path) -> None:
    body = (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url",'
        b'"image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]}],"response_format":{"type":"json_schema",'
        b'"json_schema":{"name":"x","strict":true,"schema":{"type":"object"}}},"tools":[{"type":"function","function":{"name":"f"}}],'
        b'"tool_choice":"auto","metadata":{"a":"b"},"future":1.0}'
    )

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        assert (await gateway.post("/v1/chat/completions", key, body)).status == 200
        assert server.requests[0].body == body

    play(tmp_path, answers(), story)


@pytest.mark.parametrize("path", JSON_PATHS)
def test_every_path_reaches_its_own_at_the_upstream(tmp_path: Path, path: str) -> None:
    body = {
        "model": "m",
        "input": "x",
        "prompt": "x",
        "messages": [{"role": "user", "content": "x"}],
        "query": "q",
        "documents": ["d"],
    }

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post(path, key, body)
        assert answer.status == 200
        (received,) = server.requests
        assert (received.method, received.path) == ("POST", path)
        assert received.document == body
        assert key not in received.body.decode()
        assert key not in str(received.raw_headers)

    play(tmp_path, echoes(), story)


@pytest.mark.parametrize("path", [f"/v1{one.path}" for one in ENDPOINTS.values() if one.body == "multipart"])
def test_a_form_reaches_the_upstream_with_its_files_untouched(tmp_path: Path, path: str) -> None:
    file = bytes(range(256)) * 300

    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        form = aiohttp.FormData()
        form.add_field("file", file, filename="声.wav", content_type="audio/wav")
        form.add_field("model", "m")
        form.add_field("timestamp_granularities[]", "word")
        data = form()
        told = {"Authorization": f"Bearer {key}"}
        async with gateway.session.post(gateway.url + path, data=data, headers=told) as response:
            assert response.status == 200
        (received,) = server.requests
        assert received.path == path
        assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert file in received.body
        assert b'name="timestamp_granularities' in received.body

    play(tmp_path, sends(b'{"text":"yes"}'), story)


def test_sound_comes_back_byte_for_byte(tmp_path: Path) -> None:
    sound = bytes(range(256)) * 1000

    async def story(gateway: Serving, _: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/audio/speech", key, {"model": "m", "input": "x", "voice": "v"})
        assert (answer.headers["content-type"], answer.body) == ("audio/mpeg", sound)

    play(tmp_path, sends(sound, kind="audio/mpeg"), story)


def test_models_are_those_that_the_key_may_use(tmp_path: Path) -> None:
    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        gateway.route("org/other", server.url)
        every = await gateway.get("/v1/models", key)
        assert [one["id"] for one in every.json["data"]] == ["m", "org/other"]
        assert every.json["object"] == "list"
        for one in every.json["data"]:
            assert set(one) == {"id", "object", "created", "owned_by"}
            assert (one["object"], type(one["created"]), type(one["owned_by"])) == ("model", int, str)
        narrow = gateway.key("narrow", routes=("org/other",))
        assert [one["id"] for one in (await gateway.get("/v1/models", narrow)).json["data"]] == ["org/other"]
        for path in ("/v1/models/org/other", "/v1/models/org%2Fother"):
            assert (await gateway.get(path, narrow)).json["id"] == "org/other"
        assert error_of(await gateway.get("/v1/models/m", narrow))["code"] == "model_not_found"
        assert (await gateway.chat(narrow, model="m")).status == 404
        assert (await gateway.get("/v1/models")).status == 401

    play(tmp_path, answers(), story)


def test_a_key_of_idempotency_answers_a_second_request_from_the_first(tmp_path: Path) -> None:
    async def story(gateway: Serving, server: UpstreamServer, key: str) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        first = await gateway.post("/v1/chat/completions", key, body, Idempotency_Key="one")
        again = await gateway.post("/v1/chat/completions", key, body, Idempotency_Key="one")
        assert first.body == again.body
        assert again.headers["x-idempotent-replay"] == "true"
        assert first.headers["x-request-id"] != again.headers["x-request-id"]
        other = await gateway.post("/v1/chat/completions", key, {**body, "n": 2}, Idempotency_Key="one")
        assert (other.status, error_of(other)["code"]) == (422, "idempotency_key_reused")
        assert len(server.requests) == 1

    play(tmp_path, answers(), story)


def test_a_conversation_stays_with_the_upstream_that_holds_it_and_the_key_that_began_it(tmp_path: Path) -> None:
    def responds(name: str) -> Behaviour:
        return sends(orjson.dumps({"id": f"resp_{name}", "object": "response", "status": "completed", "output": [], "usage": {}}))

    async def run() -> None:
        async with UpstreamServer(responds("a")) as a, UpstreamServer(responds("b")) as b, Serving(tmp_path) as gateway:
            gateway.route("m", a.url, b.url)
            key = gateway.key()
            first = await gateway.post("/v1/responses", key, {"model": "m", "input": "x"})
            await gateway.settled()
            holder, other = (a, b) if first.json["id"] == "resp_a" else (b, a)
            others = len(other.requests)
            for _ in range(6):
                body = {"model": "m", "input": "x", "previous_response_id": first.json["id"]}
                assert (await gateway.post("/v1/responses", key, body)).json["id"] == first.json["id"]
            assert len(other.requests) == others
            assert (await gateway.get(f"/v1/responses/{first.json['id']}", key)).status == 200
            stranger = gateway.key("stranger")
            assert (await gateway.get(f"/v1/responses/{first.json['id']}", stranger)).status == 404
            refused = await gateway.post("/v1/responses", stranger, body)
            assert (refused.status, error_of(refused)["code"]) == (404, "previous_response_not_found")
            assert len(holder.requests) == 8

    asyncio.run(run())
