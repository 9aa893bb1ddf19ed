"""Labels on answers: beside the content, inside it, whole and streamed, and never twice."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.guard_cases import DONE, answers, frame, streams, written

from pilotbase.detect import aigc_label
from pilotbase.domain.traffic import Labels
from pilotbase.errors import UserError
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.label_stream import LabelStream
from pilotbase.gateway.labels import insert_member, mark
from pilotbase.spec.route import label_problems

PRODUCER = "0011" + "91350100M000100Y43" + "00000"
WORDS = "内容由AI生成"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WRITTEN: tuple[Kind, ...] = ("chat", "completions", "responses")


def made(kind: Kind, *, structured: bool = False, **more: Any):
    return mark(Labels(producer=PRODUCER, **more), kind, "req_1", MOMENT, structured=structured)


def text_of(kind: Kind, document: dict[str, Any]) -> str:
    if kind == "responses":
        return document["output"][0]["content"][0]["text"]
    choice = document["choices"][0]
    return choice["message"]["content"] if kind == "chat" else choice["text"]


def run(stream: LabelStream, raws: list[bytes]) -> list[bytes]:
    return [*(raw for one in raws for raw in stream.feed([one])), *stream.finish()]


def documents(raws: list[bytes]) -> list[Any]:
    found = [b"".join(line[6:] for line in raw.splitlines() if line.startswith(b"data: ")) for raw in raws]
    return [orjson.loads(data) for data in found if data and data != b"[DONE]"]


def test_the_header_holds_a_label_without_fault_and_with_the_content_s_id() -> None:
    label = made("chat")
    ((name, value),) = label.headers()
    read, faults = aigc_label.read_header(value)
    assert name == b"aigc" and faults == [] and read["ProduceID"] == "20260102T030405Z-req_1"
    assert made("chat", header=False).headers() == []


def test_an_id_with_characters_that_a_label_may_not_hold_is_made_fit() -> None:
    label = mark(Labels(producer=PRODUCER), "chat", 'a b"中\\', MOMENT)
    assert label and aigc_label.check(label.label) == []


def test_a_wrong_provider_code_is_told_with_what_to_do() -> None:
    with pytest.raises(UserError, match="27 characters"):
        mark(Labels(producer="x"), "chat", "id", MOMENT)
    assert list(label_problems(Labels(producer="x", explicit=" ")))
    assert not list(label_problems(Labels(producer=PRODUCER, explicit=WORDS)))


def test_what_is_not_generated_is_not_labelled() -> None:
    for kind in ("embeddings", "moderations", "transcriptions", "rerank", "infer"):
        assert made(kind) is None  # type: ignore[arg-type]


def test_the_member_is_added_and_no_other_byte_moves() -> None:
    body = b'{ "id":"x", "choices":[],\n "big":12345678901234567890123 }\n'
    labelled = made("chat").document(body)
    assert labelled.startswith(body[: body.rindex(b"}")]) and labelled.endswith(b"}\n")
    assert orjson.loads(labelled)["AIGC"] == made("chat").label
    assert insert_member(b"{ }", {"a": "b"}) == b'{ "AIGC":{"a":"b"}}'


@pytest.mark.parametrize("body", [b"", b"[]", b"text }", b'{"error":{"message":"m"}}', b'{"AIGC":{"Label":"1"},"choices":[]}'])
def test_errors_other_bodies_and_labelled_ones_stay_as_they_are(body: bytes) -> None:
    assert made("chat", explicit=WORDS, content=True).document(body) == body


@pytest.mark.parametrize("kind", WRITTEN)
def test_words_and_front_matter_go_inside_a_whole_answer_once(kind: Kind) -> None:
    label = made(kind, explicit=WORDS, content=True)
    once = label.document(orjson.dumps(answers(kind, "正文。")))
    text = text_of(kind, orjson.loads(once))
    assert text == f"{aigc_label.front_matter(label.label)}{WORDS}\n\n正文。"
    assert aigc_label.read_front_matter(text) == (label.label, [])
    ending = made(kind, explicit=WORDS, place="end").document(orjson.dumps(answers(kind, "正文。")))
    assert text_of(kind, orjson.loads(ending)) == f"正文。\n\n{WORDS}"
    assert made(kind, explicit=WORDS, place="end").document(ending) == ending


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize(
    "own", [f"{WORDS}\n\n正文", "【AI生成】正文", "（本内容由人工智能生成）正文", "**AI-generated**\n\ntext"]
)
def test_words_of_an_upstream_are_not_doubled(kind: Kind, own: str) -> None:
    body = orjson.dumps(answers(kind, own))
    label = made(kind, explicit=WORDS, metadata=False)
    assert label.document(body) == body
    raws = [one.raw for one in streams(kind, list(own))]
    assert run(LabelStream(label), raws) == raws


def test_an_answer_that_must_be_json_gets_no_words_inside() -> None:
    body = orjson.dumps(answers("chat", '{"a": 1}'))
    labelled = made("chat", explicit=WORDS, content=True, structured=True).document(body)
    assert text_of("chat", orjson.loads(labelled)) == '{"a": 1}'


def test_an_answer_of_tool_calls_alone_gets_no_words() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    body = orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    assert made("chat", explicit=WORDS, metadata=False).document(body) == body
    call = frame({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}, "finish_reason": "tool_calls"}]}).raw
    for place in ("start", "end"):
        assert run(LabelStream(made("chat", explicit=WORDS, metadata=False, place=place)), [call, DONE.raw]) == [call, DONE.raw]


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_stream_carries_the_member_in_its_first_event_and_no_event_more(kind: Kind) -> None:
    raws = [b": ping\n\n", *(one.raw for one in streams(kind, ["正", "文"]))]
    label = made(kind)
    sent = run(LabelStream(label), raws)
    assert len(sent) == len(raws)
    assert documents(sent)[0]["AIGC"] == label.label
    changed = [i for i, (a, b) in enumerate(zip(sent, raws, strict=True)) if a != b]
    assert changed == [1], "the other events pass as they came"


def test_an_upstream_s_own_member_in_the_first_event_stays_the_only_one() -> None:
    raws = [frame({"AIGC": {"Label": "1"}, "choices": []}).raw, *(one.raw for one in streams("chat", ["a"]))]
    assert run(LabelStream(made("chat")), raws) == raws


@pytest.mark.parametrize("place", ["start", "end"])
@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("kind", WRITTEN)
def test_a_stream_reads_as_the_labelled_whole(kind: Kind, size: int, place: str) -> None:
    for text in ("正文，不短。", "本来如此。", "AI生成的内容往往有误，" * 9, "---\nnot a front matter", "以" * 200):
        label = made(kind, explicit=WORDS, content=True, place=place)
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        sent = run(LabelStream(label), [one.raw for one in streams(kind, parts)])
        whole = text_of(kind, orjson.loads(label.document(orjson.dumps(answers(kind, text)))))
        assert written(kind, sent) == whole
        assert sent[-1] == DONE.raw or kind == "responses"
        if kind == "responses":
            events = documents(sent)
            assert events[-1]["response"]["output"][0]["content"][0]["text"] == whole
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert {event["text"] for event in events if event["type"].endswith("text.done")} == {whole}


def test_words_at_the_end_are_a_delta_of_the_same_id_and_model_before_the_end() -> None:
    sent = run(LabelStream(made("chat", explicit=WORDS, place="end")), [one.raw for one in streams("chat", ["正文"])])
    extra, last = documents(sent)[-2:]
    assert (extra["id"], extra["model"]) == (last["id"], last["model"])
    assert extra["choices"][0]["delta"] == {"content": f"\n\n{WORDS}"} and extra["choices"][0]["finish_reason"] is None
    assert last["choices"][0]["finish_reason"] == "stop"


def test_every_choice_is_labelled_once() -> None:
    def chunk(index: int, text: str, finish: str | None = None) -> bytes:
        return frame({"id": "x", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}).raw

    raws = [chunk(0, "甲"), chunk(1, "子"), chunk(0, "乙", "stop"), chunk(1, "丑", "stop"), DONE.raw]
    for place, wanted in (("start", f"{WORDS}\n\n{{}}"), ("end", f"{{}}\n\n{WORDS}")):
        sent = run(LabelStream(made("chat", explicit=WORDS, place=place)), raws)
        texts = {0: "", 1: ""}
        for document in documents(sent):
            for choice in document["choices"]:
                texts[choice["index"]] += choice["delta"]["content"]
        assert texts == {0: wanted.format("甲乙"), 1: wanted.format("子丑")}


def test_a_stream_that_was_cut_short_is_labelled_all_the_same() -> None:
    raws = [one.raw for one in streams("chat", ["正", "文"])][:-2]
    sent = run(LabelStream(made("chat", explicit=WORDS, place="end")), raws)
    assert written("chat", sent) == f"正文\n\n{WORDS}"


def test_a_text_that_cannot_be_a_label_is_not_held_back() -> None:
    stream = LabelStream(made("chat", explicit=WORDS))
    raws = [one.raw for one in streams("chat", ["正文", "不等"])]
    assert [len(stream.feed([raw])) for raw in raws] == [1] * len(raws)


texts = st.lists(
    st.sampled_from(("【", "】", "本", "内容由", "AI", "生成", "。", "\n", "---", "正文", " ", "以下", "AIGC:")),
    min_size=1,
    max_size=14,
)


@given(texts, st.sampled_from(WRITTEN), st.sampled_from(("start", "end")), st.booleans())
@settings(max_examples=200)
def test_for_any_text_the_labelled_stream_reads_as_the_labelled_whole(parts, kind, place, content) -> None:
    label = made(kind, explicit=WORDS, content=content, place=place)
    whole = text_of(kind, orjson.loads(label.document(orjson.dumps(answers(kind, "".join(parts))))))
    sent = run(LabelStream(label), [one.raw for one in streams(kind, parts)])
    assert written(kind, sent) == whole
    again = label.document(orjson.dumps(answers(kind, whole)))
    assert text_of(kind, orjson.loads(again)) == whole, "a labelled answer is not labelled again"
