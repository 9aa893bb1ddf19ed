"""Labels of generated content on every route, read back as a client gets them: never missing, never twice, nothing else moved."""

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.gateway import Answered, Serving
from tests.fakes.guard_cases import answers, frame, written
from tests.fakes.guard_cases import streams as stream_frames
from tests.fakes.upstream_server import UpstreamServer, sends
from tests.fakes.upstream_server import streams as says
from tests.flows.stories import pilotbase

from pilotbase.detect import aigc_label
from pilotbase.domain.traffic import Labels
from pilotbase.gateway.endpoints import ENDPOINTS, Kind
from pilotbase.gateway.labels import GENERATED

PRODUCER = "0011" + "91350100M000100Y43" + "00000"
WORDS = "内容由AI生成"
TEXT = "春眠不觉晓，处处闻啼鸟。"
WRITTEN: tuple[Kind, ...] = ("chat", "completions", "responses")
PATHS = {one.kind: f"/v1{one.path}" for one in ENDPOINTS.values()}
STREAMED: tuple[Kind, ...] = ("chat", "completions", "responses", "images")

WAYS: Mapping[str, Labels] = {
    "header and metadata": Labels(producer=PRODUCER),
    "header": Labels(producer=PRODUCER, metadata=False),
    "metadata": Labels(producer=PRODUCER, header=False),
    "content": Labels(producer=PRODUCER, header=False, metadata=False, content=True),
    "words at the start": Labels(producer=PRODUCER, header=False, metadata=False, explicit=WORDS),
    "words at the end": Labels(producer=PRODUCER, header=False, metadata=False, explicit=WORDS, place="end"),
    "everything at the start": Labels(producer=PRODUCER, content=True, explicit=WORDS),
    "everything at the end": Labels(producer=PRODUCER, content=True, explicit=WORDS, place="end"),
}


def body_of(kind: Kind) -> dict[str, Any]:
    match kind:
        case "chat":
            return {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        case "speech":
            return {"model": "m", "input": "x", "voice": "v"}
        case "responses":
            return {"model": "m", "input": "x"}
    return {"model": "m", "prompt": "x"}


def answer_of(kind: Kind, text: str = TEXT) -> bytes:
    if kind == "speech":
        return b"RIFF1234"
    # Spaces and a number that no reader of JSON in Python keeps: other bytes must not move.
    return b'{ "seed": 1.50,' + orjson.dumps(answers(kind, text))[1:] + b"\n"


def stream_of(kind: Kind, text: str = TEXT) -> bytes:
    if kind == "images":
        events = [
            {"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0},
            {"type": "image_generation.completed", "b64_json": "aGk="},
        ]
        return b"".join(frame(one, one["type"]).raw for one in events)  # type: ignore[arg-type]
    return b"".join(one.raw for one in stream_frames(kind, list(text)))


def text_of(kind: Kind, document: Any) -> str:
    if kind == "responses":
        return str(document["output"][0]["content"][0]["text"])
    choice = document["choices"][0]
    return str(choice["message"]["content"] if kind == "chat" else choice["text"])


def events_of(body: bytes) -> list[bytes]:
    return [block + b"\n\n" for block in body.split(b"\n\n") if block]


def documents(body: bytes) -> list[dict[str, Any]]:
    data = [b"".join(line[6:] for line in one.splitlines() if line.startswith(b"data: ")) for one in events_of(body)]
    return [orjson.loads(one) for one in data if one.startswith(b"{")]


def check_text(labels: Labels, text: str, own: str = TEXT) -> None:
    """The text is the upstream's, with what is asked for inside, once, in its place."""
    rest = text
    if labels.content:
        found = aigc_label.read_front_matter(text)
        assert found is not None
        label, faults = found
        assert faults == []
        assert label["ContentProducer"] == PRODUCER
        behind = aigc_label.behind_front_matter(text)
        assert behind is not None
        assert aigc_label.read_front_matter(behind) is None
        rest = behind.lstrip("\n")
    if labels.explicit and labels.place == "start":
        assert rest == f"{WORDS}\n\n{own}"
        assert aigc_label.starts_labelled(rest)
    elif labels.explicit:
        assert rest == f"{own}\n\n{WORDS}"
        assert aigc_label.ends_labelled(rest)
    else:
        assert rest == own


def check_header(labels: Labels, answer: Answered) -> None:
    if not labels.header:
        assert "aigc" not in answer.headers
        return
    label, faults = aigc_label.read_header(answer.headers["aigc"].encode())
    assert faults == []
    assert label["ContentProducer"] == PRODUCER
    assert label["ProduceID"].endswith(answer.headers["x-request-id"])


async def serve(home: Path, behaviour: Any, labels: Labels, kind: Kind, **more: Any) -> Answered:
    async with UpstreamServer(behaviour) as server, Serving(home) as gateway:
        gateway.route("m", server.url, labels=labels)
        answer = await gateway.post(PATHS[kind], gateway.key(), {**body_of(kind), **more})
        await gateway.settled()
        assert gateway.reconcile().balanced
        return answer


def test_every_kind_that_is_generated_content_is_in_this_table() -> None:
    assert set(GENERATED) == {*WRITTEN, "speech", "images", "image-edits", "image-variations"}


@pytest.mark.parametrize(("kind", "way"), list(itertools.product((*WRITTEN, "images", "speech"), WAYS)))
def test_a_whole_answer_carries_its_label_and_no_other_byte_moves(tmp_path: Path, kind: Kind, way: str) -> None:
    labels, own = WAYS[way], answer_of(kind)
    form = "audio/wav" if kind == "speech" else "application/json"
    answer = asyncio.run(serve(tmp_path, sends(own, kind=form), labels, kind))
    assert answer.status == 200
    assert answer.headers["content-type"] == form
    check_header(labels, answer)
    if kind == "speech":
        assert answer.body == own
        return
    document = answer.json
    member = document.pop("AIGC", None)
    assert (member is not None) == labels.metadata
    if member is not None:
        assert aigc_label.check(member) == []
        assert answer.body.count(b'"AIGC":{') == 1
    if kind == "images" or not (labels.content or labels.explicit):
        added = b"" if member is None else b"," + aigc_label.member(member)
        assert answer.body == own[: own.rindex(b"}")] + added + own[own.rindex(b"}") :]
    else:
        check_text(labels, text_of(kind, document))


@pytest.mark.parametrize(("kind", "way"), list(itertools.product(STREAMED, WAYS)))
def test_a_stream_carries_its_label_and_no_other_event_moves(tmp_path: Path, kind: Kind, way: str) -> None:
    labels, own = WAYS[way], stream_of(kind)
    cut = [own[i : i + 61] for i in range(0, len(own), 61)]
    answer = asyncio.run(serve(tmp_path, says(cut, done=False), labels, kind, stream=True))
    assert answer.status == 200
    check_header(labels, answer)
    told = documents(answer.body)
    members = [place for place, one in enumerate(told) if "AIGC" in one]
    assert members == ([0] if labels.metadata else [])
    if labels.metadata:
        assert aigc_label.check(told[0]["AIGC"]) == []
    assert (b"data: [DONE]" in answer.body) == (kind in ("chat", "completions"))
    if kind == "images" or not (labels.content or labels.explicit):
        for place, (mine, theirs) in enumerate(zip(events_of(answer.body), events_of(own), strict=True)):
            # The end of a response holds the whole answer, and so its label too.
            assert mine == theirs or (labels.metadata and (place == 0 or b"response.completed" in theirs))
        return
    check_text(labels, written(kind, events_of(answer.body)))
    if kind == "responses":
        numbers = [one["sequence_number"] for one in told]
        assert numbers == list(range(len(numbers)))
        for one in told:
            if one["type"] == "response.output_text.done":
                check_text(labels, one["text"])
            elif one["type"] == "response.completed":
                check_text(labels, text_of("responses", one["response"]))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", WRITTEN)
def test_what_an_upstream_has_labelled_is_not_labelled_again(tmp_path: Path, kind: Kind, stream: bool) -> None:
    labels = Labels(producer=PRODUCER, content=True, explicit=WORDS)
    own = aigc_label.front_matter(aigc_label.build(PRODUCER, "theirs")) + f"【AI生成】\n\n{TEXT}"
    behaviour = says([stream_of(kind, own)], done=False) if stream else sends(answer_of(kind, own))
    answer = asyncio.run(serve(tmp_path, behaviour, labels, kind, stream=stream))
    text = written(kind, events_of(answer.body)) if stream else text_of(kind, answer.json)
    assert text == own


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    ],
)
def test_an_answer_that_must_be_json_stays_json(tmp_path: Path, form: dict[str, Any], stream: bool) -> None:
    labels, own = Labels(producer=PRODUCER, content=True, explicit=WORDS), '{"a": 1}'
    behaviour = says([stream_of("chat", own)], done=False) if stream else sends(answer_of("chat", own))
    answer = asyncio.run(serve(tmp_path, behaviour, labels, "chat", stream=stream, **form))
    text = written("chat", events_of(answer.body)) if stream else text_of("chat", answer.json)
    assert text == own
    check_header(labels, answer)


def test_a_response_that_must_be_json_stays_json(tmp_path: Path) -> None:
    labels, own = Labels(producer=PRODUCER, content=True, explicit=WORDS), '{"a": 1}'
    form = {"format": {"type": "json_schema", "name": "x", "schema": {}}}
    answer = asyncio.run(serve(tmp_path, sends(answer_of("responses", own)), labels, "responses", text=form))
    assert text_of("responses", answer.json) == own


def test_calls_of_tools_get_no_words(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    own = orjson.dumps({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    labels = Labels(producer=PRODUCER, metadata=False, content=True, explicit=WORDS)
    assert asyncio.run(serve(tmp_path, sends(own), labels, "chat")).body == own


@pytest.mark.parametrize("odd", [b'"\\ud83d"', b"NaN", b"123456789012345678901234567890"])
def test_an_answer_with_odd_but_readable_json_is_labelled_too(tmp_path: Path, odd: bytes) -> None:
    own = b'{"odd":' + odd + b',"choices":[{"index":0,"delta":{"content":"a"},"message":{"content":"a"}}]}'
    labels = Labels(producer=PRODUCER, explicit=WORDS)

    async def story() -> None:
        whole = await serve(tmp_path / "a", sends(own), labels, "chat")
        end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        stream = await serve(tmp_path / "b", says([b"data: " + own + b"\n\n" + end], done=False), labels, "chat", stream=True)
        for body in (whole.body, stream.body):
            assert body.count(b'"AIGC":{') == 1
            assert body.count(WORDS.encode()) + body.count(rb"\u5185\u5bb9\u7531AI\u751f\u6210") == 1

    asyncio.run(story())


@pytest.mark.parametrize("index", [b"[1]", b"{}", b"null", b'"0"', b"1.5", b"-1", b"true"])
def test_choices_with_odd_places_break_nothing(tmp_path: Path, index: bytes) -> None:
    event = b'data: {"id":"x","choices":[{"index":%b,"delta":{"content":"hello"},"finish_reason":%b}]}\n\n'
    own = event % (index, b"null") + event % (index, b'"stop"') + b"data: [DONE]\n\n"
    labels = Labels(producer=PRODUCER, explicit=WORDS, place="end")
    answer = asyncio.run(serve(tmp_path, says([own], done=False), labels, "chat", stream=True))
    assert answer.status == 200
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.body.decode().count(WORDS) == 1


def test_more_parts_than_can_be_labelled_end_the_stream(tmp_path: Path) -> None:
    event = b'data: {"choices":[{"index":%d,"delta":{"content":"a"}}]}\n\n'
    own = b"".join(event % i for i in range(2000))
    labels = Labels(producer=PRODUCER, explicit=WORDS, place="end")
    answer = asyncio.run(serve(tmp_path, says([own], done=False), labels, "chat", stream=True))
    assert b"label_overflow" in answer.body
    assert b"[DONE]" not in answer.body


def test_what_is_not_generated_and_what_is_refused_carries_no_label(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(sends(b'{"object":"list","data":[]}')) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, labels=Labels(producer=PRODUCER, content=True, explicit=WORDS))
            key = gateway.key()
            found = await gateway.post("/v1/embeddings", key, {"model": "m", "input": "x"})
            assert found.body == b'{"object":"list","data":[]}'
            assert "aigc" not in found.headers
            refused = await gateway.post("/v1/chat/completions", key, {"model": "m", "messages": [], "n": 0})
            assert refused.status == 400
            assert "aigc" not in refused.headers

    asyncio.run(story())


@pytest.mark.parametrize("producer", ["x", PRODUCER[:-1], "1111" + PRODUCER[4:], PRODUCER.replace("Y43", "Y44")])
def test_a_route_with_a_wrong_provider_code_is_not_added(tmp_path: Path, producer: str) -> None:
    document = {"name": "m", "upstreams": [{"name": "a", "url": "http://127.0.0.1:9/v1"}], "labels": {"producer": producer}}
    (tmp_path / "route.json").write_bytes(orjson.dumps(document))
    said = pilotbase(tmp_path / "home", "route", "add", "m", "--file", tmp_path / "route.json", environment={})
    assert said.code != 0
    assert "producer" in said.err
    listed = pilotbase(tmp_path / "home", "route", "ls", "--json", environment={})
    assert listed.json == []
