"""Targets of the spine as upstreams."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import orjson
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from tests.fakes.patience import PATIENCE

from pilotbase.domain.evidence import FAILURES, Ask, Reply, Usage
from pilotbase.errors import UserError
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.local import Asked, Local, LocalAnswer
from pilotbase.gateway.local_asks import Declared
from pilotbase.gateway.slots import Slots
from pilotbase.sse import Events

Respond = Callable[[Ask], Reply]
SECRET = "Traceback: /srv/models/secret.py line 7, key sk-123"
HELLO = {"model": "m", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]}


class Candidate:
    """A target that answers by a function; it may be held back, and it remembers what it was asked."""

    def __init__(self, respond: Respond, *, concurrency: int = 1, batch: int = 1) -> None:
        self.concurrency = concurrency
        self.batch = batch
        self.respond = respond
        self.asked: list[list[Mapping[str, Any]]] = []
        self.busy = self.busiest = self.closed = 0
        self.gate: asyncio.Event | None = None
        self.dead: UserError | None = None

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        self.asked.append([ask.inputs for ask in asks])
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            if self.dead is not None:
                raise self.dead
            return [self.respond(ask) for ask in asks]
        finally:
            self.busy -= 1

    async def aclose(self) -> None:
        self.closed += 1


def echo(ask: Ask) -> Reply:
    return Reply(answer=f"you said {ask.inputs['text']}")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def local(
    *candidates: Candidate,
    columns: tuple[str, ...] = (),
    positive: str | None = None,
    clock: Clock | None = None,
    slots: Slots | None = None,
    total: float = 20.0,
) -> Local:
    made = iter(candidates)
    return Local(
        "main",
        lambda: next(made),
        Declared(columns=columns, positive=positive),
        slots or Slots(64, 64, 20.0),
        estimate=len,
        clock=clock or Clock(),
        total=total,
    )


def asked(kind: Kind = "chat", document: Mapping[str, Any] = HELLO, **options: Any) -> Asked:
    return Asked(**{"kind": kind, "document": document, "id": "r1", "model": "assistant", "created": 1_780_000_000, **options})


def converse(upstream: Local, story: Callable[[Local], Coroutine[Any, Any, Any]]) -> Any:
    """Run a story and close the upstream; ends within 30 s whatever happens."""

    async def run() -> Any:
        try:
            return await story(upstream)
        finally:
            await upstream.aclose()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def answer(upstream: Local, request: Asked) -> tuple[LocalAnswer, bytes]:
    async def story(upstream: Local) -> tuple[LocalAnswer, bytes]:
        got = await upstream.open(request)
        if not request.stream:
            return got, await got.read(1_000_000)
        pieces = []
        while (piece := await got.chunk()) is not None:
            pieces.append(piece)
        return got, b"".join(pieces)

    result: tuple[LocalAnswer, bytes] = converse(upstream, story)
    return result


def document(upstream: Local, request: Asked) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(answer(upstream, request)[1])
    return result


def frames(body: bytes) -> list[bytes]:
    return Events().feed(body)


def refusal(upstream: Local, request: Asked) -> Refused:
    with pytest.raises(Refused) as caught:
        answer(upstream, request)
    return caught.value


def test_a_chat_request_is_answered_in_openais_shape_with_usage_marked_as_estimated() -> None:
    candidate = Candidate(echo)
    got, body = answer(local(candidate), asked())
    assert candidate.asked == [[{"text": "hello"}]]
    read = ChatCompletion.model_validate_json(body)
    assert read.model == "assistant" and read.object == "chat.completion" and read.created == 1_780_000_000
    assert read.choices[0].message.content == "you said hello" and read.choices[0].finish_reason == "stop"
    assert orjson.loads(body)["usage"] == {"prompt_tokens": 5, "completion_tokens": 14, "total_tokens": 19, "estimated": True}
    assert (got.status, got.upstream, got.estimated, got.read_tokens, got.wrote_tokens) == (200, "main", True, 5, 14)
    assert dict(got.headers)[b"content-type"] == b"application/json"
    assert candidate.closed == 1


def test_usage_that_the_target_knows_is_not_estimated_and_zero_is_known() -> None:
    candidate = Candidate(lambda ask: Reply(answer="x", usage=Usage(tokens_in=0, tokens_out=3)))
    got, body = answer(local(candidate), asked())
    assert not got.estimated
    assert orjson.loads(body)["usage"] == {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3}


def test_a_chat_stream_has_role_content_stop_and_usage_and_ends_with_done() -> None:
    got, body = answer(local(Candidate(echo)), asked(stream=True))
    *chunks, done = frames(body)
    assert done == b"[DONE]" and dict(got.headers)[b"content-type"].startswith(b"text/event-stream")
    read = [ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks]
    assert [c.choices[0].delta.role for c in read[:1]] == ["assistant"]
    assert "".join(c.choices[0].delta.content or "" for c in read if c.choices) == "you said hello"
    assert [c.choices[0].finish_reason for c in read if c.choices] == [None, None, "stop"]
    assert read[-1].choices == [] and read[-1].usage is not None and read[-1].usage.total_tokens == 19
    assert len({c.id for c in read}) == 1


def test_a_stream_without_usage_has_no_chunk_without_choices() -> None:
    _, body = answer(local(Candidate(echo)), asked(stream=True, usage=False))
    read = [orjson.loads(chunk) for chunk in frames(body)[:-1]]
    assert all(chunk["choices"] and "usage" not in chunk for chunk in read)


def test_completions_answer_every_prompt_in_order() -> None:
    candidate = Candidate(echo, batch=2)
    body = answer(local(candidate), asked("completions", {"prompt": ["a", "b", "c"]}))[1]
    read = Completion.model_validate_json(body)
    assert [choice.text for choice in read.choices] == ["you said a", "you said b", "you said c"]
    assert [len(batch) for batch in candidate.asked] == [2, 1]


def test_a_completions_stream_gives_each_choice_its_text_and_its_end() -> None:
    _, body = answer(local(Candidate(echo)), asked("completions", {"prompt": "a"}, stream=True))
    *chunks, done = frames(body)
    read = [orjson.loads(chunk) for chunk in chunks]
    assert done == b"[DONE]" and "".join(c["choices"][0]["text"] for c in read if c["choices"]) == "you said a"
    assert read[-1]["usage"]["total_tokens"] == 11 and read[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_responses_request_is_answered_in_its_own_shape() -> None:
    read = Response.model_validate(document(local(Candidate(echo)), asked("responses", {"input": "hello"})))
    assert read.output_text == "you said hello" and read.status == "completed" and read.id == "resp_r1"
    assert read.usage is not None and read.usage.total_tokens == 19


def test_a_responses_stream_is_numbered_and_ends_with_the_whole_response() -> None:
    _, body = answer(local(Candidate(echo)), asked("responses", {"input": [{"role": "user", "content": "hello"}]}, stream=True))
    read = [orjson.loads(chunk) for chunk in frames(body)]
    assert [one["sequence_number"] for one in read] == list(range(len(read)))
    assert read[0]["type"] == "response.created" and read[-1]["type"] == "response.completed"
    assert "".join(one["delta"] for one in read if one["type"] == "response.output_text.delta") == "you said hello"
    assert Response.model_validate(read[-1]["response"]).output_text == "you said hello"
    assert body.count(b"event: response.completed\n") == 1 and b"[DONE]" not in body


@pytest.mark.parametrize(
    ("columns", "inputs"),
    [
        ((), {"text": "hello"}),
        (("text",), {"text": "hello"}),
        (("question",), {"question": "hello"}),
        (("text", "age"), {"text": "hello"}),
        (("messages",), {"messages": HELLO["messages"]}),
        (("question", "messages"), {"question": "hello", "messages": HELLO["messages"]}),
    ],
)
def test_the_users_last_words_go_to_the_declared_input(columns: tuple[str, ...], inputs: Mapping[str, Any]) -> None:
    candidate = Candidate(lambda ask: Reply(answer="x"))
    answer(local(candidate, columns=columns), asked())
    assert candidate.asked == [[inputs]]


def test_instructions_of_a_responses_request_lead_the_conversation() -> None:
    candidate = Candidate(lambda ask: Reply(answer="x"))
    answer(local(candidate, columns=("messages",)), asked("responses", {"input": "hi", "instructions": "be kind"}))
    assert candidate.asked[0][0]["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]


def test_the_text_parts_of_a_message_are_put_together() -> None:
    candidate = Candidate(echo)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    answer(local(candidate), asked(document={"messages": [{"role": "user", "content": parts}]}))
    assert candidate.asked == [[{"text": "a\nb"}]]


@pytest.mark.parametrize(
    ("kind", "body", "columns", "words"),
    [
        ("chat", {"messages": []}, (), "`messages` must hold at least one message"),
        ("chat", {"messages": "hello"}, (), "`messages` must hold at least one message"),
        ("chat", {"messages": [7]}, (), "`messages` must hold at least one message"),
        ("chat", {"messages": [{"role": "system", "content": "x"}]}, (), "no message of the user"),
        ("chat", {"messages": [{"role": "user", "content": None}]}, (), "must be text or a list of parts"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, (), "takes text only"),
        ("chat", HELLO | {"n": 2}, (), "leave `n` out"),
        ("chat", HELLO, ("age", "sex"), "takes the inputs age, sex: ask it with an inference request"),
        ("completions", {"prompt": [1, 2]}, (), "takes no tokens"),
        ("responses", {}, (), "`input` must hold at least one message"),
    ],
)
def test_a_request_that_cannot_be_asked_is_refused_with_what_to_do(
    kind: Kind, body: Mapping[str, Any], columns: tuple[str, ...], words: str
) -> None:
    candidate = Candidate(echo)
    refused = refusal(local(candidate, columns=columns), asked(kind, body))
    assert refused.status == 400 and words in refused.message and candidate.asked == []


def test_an_endpoint_that_it_does_not_answer_is_said_to_be_so() -> None:
    refused = refusal(local(Candidate(echo)), asked("embeddings", {"input": "x"}))
    assert (refused.status, refused.code) == (404, "unsupported_endpoint")


def test_a_classifiers_label_is_the_text_and_its_score_stands_beside_it() -> None:
    candidate = Candidate(lambda ask: Reply(answer={"label": "spam", "score": 0.9}))
    read = document(local(candidate), asked())
    assert read["choices"][0]["message"]["content"] == "spam" and read["pilotbase"] == [{"label": "spam", "score": 0.9}]
    ranked = Candidate(lambda ask: Reply(answer=["b", "a"]))
    assert document(local(ranked), asked())["choices"][0]["message"]["content"] == '{"ranking":["b","a"]}'


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_is_an_error_of_its_kind_and_tells_nothing_of_the_inside(failure: Any) -> None:
    candidate = Candidate(lambda ask: Reply(failure=failure, detail=SECRET))
    refused = refusal(local(candidate), asked())
    expected = {"timeout": 504, "unreachable": 503}.get(failure, 502)
    assert refused.status == expected and refused.type == "server_error"
    assert "secret" not in refused.body().decode() and "sk-123" not in refused.body().decode()


@pytest.mark.parametrize("given", [{"unknown": 1}, object(), float("nan"), [1, "a"]])
def test_an_answer_of_no_known_shape_is_an_error(given: Any) -> None:
    refused = refusal(local(Candidate(lambda ask: Reply(answer=given))), asked())
    assert (refused.status, refused.code) == (502, "upstream_invalid_answer")


def test_too_few_replies_are_an_error() -> None:
    class Short(Candidate):
        async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
            return []

    assert refusal(local(Short(echo)), asked()).code == "upstream_invalid_answer"


def table(rows: int) -> dict[str, Any]:
    return {"id": "7", "inputs": [{"name": "text", "shape": [rows], "datatype": "BYTES", "data": [f"t{i}" for i in range(rows)]}]}


def test_an_inference_request_is_answered_row_by_row_in_batches_and_in_order() -> None:
    candidate = Candidate(lambda ask: Reply(answer={"label": ask.inputs["text"], "score": 0.5}), concurrency=3, batch=4)
    read = document(local(candidate, columns=("text",)), asked("infer", table(30)))
    assert (read["model_name"], read["id"]) == ("assistant", "7")
    label, score = read["outputs"]
    assert label["data"] == [f"t{i}" for i in range(30)] and score["datatype"] == "FP64"
    assert [len(batch) for batch in candidate.asked] == [4] * 7 + [2] and candidate.busiest == 3


def test_one_failed_row_fails_the_request_and_the_calls_beside_it_end() -> None:
    def respond(ask: Ask) -> Reply:
        return Reply(failure="raised", detail=SECRET) if ask.inputs["text"] == "t5" else Reply(answer="x")

    candidate = Candidate(respond, concurrency=4)
    assert refusal(local(candidate), asked("infer", table(100))).code == "upstream_error"
    assert candidate.busy == 0 and len(candidate.asked) < 100


def test_a_wrong_tensor_is_named() -> None:
    refused = refusal(local(Candidate(echo), columns=("age",)), asked("infer", table(1)))
    assert (refused.status, refused.param) == (400, "text")


def test_no_more_calls_than_the_target_takes_are_under_way_and_a_full_queue_says_so() -> None:
    candidate = Candidate(echo, concurrency=2)
    slots = Slots(64, 3, 20.0)

    async def story(upstream: Local) -> None:
        candidate.gate = asyncio.Event()
        calls = [asyncio.ensure_future(upstream.open(asked())) for _ in range(6)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert (candidate.busy, slots.busy, slots.waiting) == (2, 2, 3)
        with pytest.raises(Refused) as caught:
            await calls[5]
        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        candidate.gate.set()
        await asyncio.gather(*calls[:5])
        assert slots.busy == 0 and candidate.busiest == 2

    converse(local(candidate, slots=slots), story)


def test_a_caller_that_goes_away_leaves_no_place_taken() -> None:
    candidate = Candidate(echo)
    slots = Slots(64, 8, 20.0)

    async def story(upstream: Local) -> None:
        candidate.gate = asyncio.Event()
        calls = [asyncio.ensure_future(upstream.open(asked())) for _ in range(3)]
        for _ in range(20):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (slots.busy, slots.waiting, candidate.busy) == (0, 0, 0)
        candidate.gate = None
        assert (await upstream.open(asked())).status == 200

    converse(local(candidate, slots=slots), story)


def test_a_request_that_takes_too_long_in_all_is_a_timeout() -> None:
    candidate = Candidate(echo)

    async def story(upstream: Local) -> Refused:
        candidate.gate = asyncio.Event()
        with pytest.raises(Refused) as caught:
            await upstream.open(asked())
        return caught.value

    refused: Refused = converse(local(candidate, total=0.01), story)
    assert (refused.status, refused.code) == (504, "upstream_timeout") and candidate.busy == 0


def test_a_target_that_cannot_be_reached_is_made_anew_after_a_rest() -> None:
    first, second, clock = Candidate(echo), Candidate(echo), Clock()
    first.dead = UserError(SECRET)

    async def story(upstream: Local) -> None:
        for _ in range(2):  # the second comes within the rest: nothing is made
            with pytest.raises(Refused) as caught:
                await upstream.open(asked())
            assert caught.value.status == 503 and caught.value.after == 1.0 and "secret" not in caught.value.message
        assert first.closed == 1 and upstream.trouble == SECRET and second.asked == []
        clock.now += 1.0
        assert (await upstream.open(asked())).status == 200

    converse(local(first, second, clock=clock), story)
    assert (first.closed, second.closed) == (1, 1)


def test_a_target_that_only_crashes_is_made_anew() -> None:
    first, second, clock = Candidate(lambda ask: Reply(failure="crashed")), Candidate(echo), Clock()

    async def story(upstream: Local) -> None:
        for _ in range(3):
            with pytest.raises(Refused) as caught:
                await upstream.open(asked())
            assert caught.value.code == "upstream_crashed"
        assert first.closed == 1
        clock.now += 1.0
        assert (await upstream.open(asked())).status == 200

    converse(local(first, second, clock=clock), story)


def test_a_retired_target_is_closed_only_when_its_last_call_ended() -> None:
    first, second, clock = Candidate(echo, concurrency=2), Candidate(echo), Clock()

    async def story(upstream: Local) -> None:
        first.gate = asyncio.Event()
        slow = asyncio.ensure_future(upstream.open(asked()))
        for _ in range(5):
            await asyncio.sleep(0)
        held, first.gate = first.gate, None
        first.dead = UserError("gone")
        with pytest.raises(Refused):
            await upstream.open(asked())
        assert first.closed == 0
        first.dead = None
        held.set()
        assert (await slow).status == 200
        assert first.closed == 1

    converse(local(first, second, clock=clock), story)


def test_a_factory_that_fails_is_a_model_out_of_reach_and_is_tried_again_later() -> None:
    clock = Clock()
    tries = []

    def make() -> Candidate:
        tries.append(clock.now)
        if len(tries) == 1:
            raise UserError(SECRET)
        return Candidate(echo)

    async def story() -> None:
        upstream = Local("main", make, Declared(), Slots(4, 4, 20.0), estimate=len, clock=clock)
        with pytest.raises(Refused) as caught:
            await upstream.open(asked())
        assert caught.value.status == 503 and "secret" not in caught.value.message
        clock.now += 5
        assert (await upstream.open(asked())).status == 200
        await upstream.aclose()
        await upstream.aclose()
        with pytest.raises(Refused):
            await upstream.open(asked())

    asyncio.run(story())
    assert len(tries) == 2


def test_an_answer_beyond_the_callers_limit_is_refused_and_an_aborted_one_gives_nothing_more() -> None:
    async def story(upstream: Local) -> None:
        with pytest.raises(Refused, match="too large"):
            await (await upstream.open(asked())).read(10)
        stream = await upstream.open(asked(stream=True))
        assert await stream.chunk() is not None
        stream.abort()
        assert await stream.chunk() is None

    converse(local(Candidate(echo)), story)
