"""What an answer used: in every shape that upstreams send, and none of it ever raises."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.metering import Tokens
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.estimate import units
from pilotbase.gateway.frames import Frame, Frames
from pilotbase.gateway.meter import Meter, Reading, read_usage, strip_usage

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
DONE = b"data: [DONE]\n\n"


def frame(document: object, event: bytes = b"") -> Frame:
    data = orjson.dumps(document)
    head = b"event: " + event + b"\n" if event else b""
    return Frame(head + b"data: " + data + b"\n\n", data, event)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


def read(kind: Kind, *documents: object) -> Reading:
    meter = Meter(kind)
    for one in documents:
        meter.feed(one if isinstance(one, Frame) else frame(one))
    return meter.reading()


def done() -> Frame:
    return Frame(DONE, b"[DONE]", b"")


def test_a_stream_is_counted_by_its_last_usage() -> None:
    reading = read("chat", chunk({"content": "Hi"}), chunk({}, "stop"), chunk(usage=USAGE), done())
    assert reading.tokens == Tokens(read=11, wrote=5)
    assert (reading.finish, reading.terminal, reading.finished, reading.source) == (("stop",), True, True, "upstream")


def test_a_usage_on_every_chunk_is_not_added_up() -> None:
    so_far = [
        chunk({"content": "x"}, usage={"prompt_tokens": 11, "completion_tokens": n, "total_tokens": 11 + n}) for n in (1, 2, 3)
    ]
    assert read("chat", *so_far).tokens == Tokens(read=11, wrote=3)


def test_a_usage_inside_the_last_choice_is_read() -> None:
    last = chunk({}, "stop")
    last["choices"][0]["usage"] = USAGE
    assert read("chat", chunk({"content": "x"}), last).tokens == Tokens(read=11, wrote=5)


def test_an_explicit_zero_is_a_count_and_no_estimate_takes_its_place() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    reading = read("chat", chunk({"content": "text"}), chunk({}, "stop"), chunk(usage=zero), done())
    assert reading.charged(99) == (Tokens(), "upstream")


def test_a_zero_that_held_the_place_in_a_stream_that_was_cut_is_no_count() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    reading = read("chat", *[chunk({"content": "word " * 4}, usage=zero)] * 4)
    assert "usage_placeholder" in reading.notes
    assert reading.charged(7) == (Tokens(read=7, wrote=20), "estimate")


def test_a_zero_on_the_last_chunk_counts_though_the_stream_lost_its_end() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    assert read("chat", chunk({"content": "text"}), chunk(usage=zero)).charged(7) == (Tokens(), "upstream")


def test_an_answer_cut_short_is_settled_with_what_came() -> None:
    reading = read("chat", chunk({"role": "assistant", "content": ""}), *[chunk({"content": "four"})] * 10)
    assert not reading.terminal and not reading.finished
    assert reading.charged(20) == (Tokens(read=20, wrote=10), "estimate")


def test_tokens_that_were_kept_are_never_more_than_those_read() -> None:
    assert read_usage({**USAGE, "prompt_tokens_details": {"cached_tokens": 8}})[0] == Tokens(read=11, wrote=5, cached=8)
    more = {"input_tokens": 4, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 900}}
    assert read_usage(more) == (Tokens(read=4, wrote=1, cached=4), "usage_cached")
    assert read_usage({**USAGE, "prompt_tokens_details": {"cached_tokens": -3}}) == (Tokens(read=11, wrote=5), "usage_cached")


@pytest.mark.parametrize("bad", [-1, "5", 5.0, True, 10**12, [], {}])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_a_malformed_usage_is_missing_and_noted(field: str, bad: object) -> None:
    reading = read("chat", chunk({"content": "four"}), chunk({}, "stop"), chunk(usage={**USAGE, field: bad}), done())
    assert reading.tokens is None
    assert reading.notes == ("usage_malformed",)
    assert reading.charged(3) == (Tokens(read=3, wrote=1), "estimate")


def test_a_null_usage_is_missing_without_a_note() -> None:
    reading = read("chat", chunk({"content": "four"}, usage=None))
    assert (reading.tokens, reading.notes) == (None, ())


def test_a_usage_that_tells_only_part_is_completed_by_its_total_or_missing() -> None:
    assert read_usage({"prompt_tokens": 3, "total_tokens": 10}) == (Tokens(read=3, wrote=7), "")
    assert read_usage({"total_tokens": 10}) == (Tokens(read=10), "")
    assert read_usage({"prompt_tokens": 3, "completion_tokens": None}) == (None, "usage_partial")
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 90}) == (Tokens(read=3, wrote=2), "usage_sum")


def test_an_unreadable_last_chunk_is_noted_and_the_text_estimated() -> None:
    broken = Frame(b'data: {"usage":,{\n\n', b'{"usage":,{', b"")
    reading = read("chat", chunk({"content": "four"}), broken, done())
    assert (reading.tokens, reading.notes) == (None, ("unreadable",))
    assert reading.charged(1) == (Tokens(read=1, wrote=1), "estimate")


def test_an_error_in_mid_stream_is_kept_for_the_log_and_not_counted_as_output() -> None:
    error = {"error": {"message": "the engine died " * 50, "type": "server_error"}}
    reading = read("chat", chunk({"content": "four"}), error)
    assert reading.error is not None and reading.error.startswith("the engine died")
    assert not reading.finished
    assert reading.charged(9) == (Tokens(read=9, wrote=1), "estimate")


def test_an_error_before_anything_came_costs_nothing() -> None:
    assert read("chat", {"error": {"message": "no"}}).charged(9) == (Tokens(), "none")
    assert read("responses", {"type": "error", "code": "x", "message": "no"}).charged(9) == (Tokens(), "none")


def test_a_tool_only_answer_is_counted_by_its_arguments() -> None:
    first = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "look", "arguments": ""}}]}
    more = {"tool_calls": [{"index": 0, "function": {"arguments": "abcd" * 6}}]}
    reading = read("chat", chunk({"role": "assistant", "content": None}), chunk(first), chunk(more), chunk({}, "tool_calls"))
    assert reading.tool_only and reading.finished and reading.started
    assert reading.charged(0)[0] == Tokens(wrote=7)


def test_a_refusal_and_reasoning_are_counted() -> None:
    reading = read("chat", chunk({"reasoning_content": "four"}), chunk({"refusal": "four"}), chunk({}, "stop"))
    assert reading.refused and not reading.content
    assert reading.units == 2 * units("four")


@pytest.mark.parametrize("ending", ["completed", "incomplete", "failed"])
def test_every_ending_of_a_response_is_settled_by_its_usage(ending: str) -> None:
    usage = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42, "input_tokens_details": {"cached_tokens": 10}}
    response = {"id": "resp_1", "model": "m", "status": ending, "output": [], "usage": usage}
    if ending == "failed":
        response["error"] = {"code": "server_error", "message": "it broke"}
    if ending == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    reading = read(
        "responses",
        frame({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "usage": None}}),
        frame({"type": "response.output_text.delta", "sequence_number": 4, "delta": "four"}),
        frame({"type": f"response.{ending}", "response": response}),
    )
    assert reading.charged(0) == (Tokens(read=30, wrote=12, cached=10), "upstream")
    assert reading.terminal and reading.response_id == "resp_1"
    assert reading.finish == ("max_output_tokens" if ending == "incomplete" else ending,)
    assert reading.error == ("it broke" if ending == "failed" else None)


def test_the_text_of_a_response_is_counted_once() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "fourfour"}]}]
    end = {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": output}}
    delta = {"type": "response.output_text.delta", "delta": "fourfour"}
    assert (
        read("responses", delta, end).units == read("responses", delta).units == read("responses", end).units == units("fourfour")
    )


def test_a_whole_response_of_tools_alone_is_told_apart() -> None:
    call = {"type": "function_call", "name": "look", "arguments": "{}"}
    document = {"id": "resp_9", "object": "response", "status": "completed", "output": [call], "error": None, "usage": None}
    reading = Meter("responses").whole(orjson.dumps(document))
    assert reading.tool_only and reading.response_id == "resp_9" and reading.source == "estimate"


def test_sound_in_a_stream_is_not_counted_as_text() -> None:
    reading = read("responses", {"type": "response.output_audio.delta", "delta": "QUJD" * 1000})
    assert reading.started and reading.units == 0


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (
            "chat",
            {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": USAGE},
            Tokens(11, 5),
        ),
        ("completions", {"choices": [{"index": 0, "text": "hi", "finish_reason": "length"}], "usage": USAGE}, Tokens(11, 5)),
        ("embeddings", {"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}, Tokens(8)),
        ("images", {"data": [], "usage": {"input_tokens": 9, "output_tokens": 1056, "total_tokens": 1065}}, Tokens(9, 1056)),
        ("transcriptions", {"text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 2}}, Tokens(14, 2)),
        ("rerank", {"results": [], "usage": {"total_tokens": 15}}, Tokens(15)),
        ("rerank", {"results": [], "meta": {"tokens": {"input_tokens": 15, "output_tokens": 0}}}, Tokens(15)),
        ("moderations", {"results": []}, None),
    ],
)
def test_whole_answers_of_every_kind_are_read(kind: Kind, document: object, expected: Tokens | None) -> None:
    reading = Meter(kind).whole(json.dumps(document).encode())
    assert reading.tokens == expected
    assert reading.terminal and reading.finished and reading.started


def test_a_transcript_counted_in_seconds_tells_them_and_its_text_is_estimated() -> None:
    reading = Meter("transcriptions").whole(b'{"text":"four","usage":{"type":"duration","seconds":12.2}}')
    assert (reading.seconds, reading.tokens, reading.notes) == (13, None, ("usage_duration",))
    assert reading.charged(0) == (Tokens(wrote=1), "estimate")


def test_a_transcript_that_streams_ends_with_its_usage() -> None:
    end = {"type": "transcript.text.done", "text": "four", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 2}}
    reading = read("transcriptions", {"type": "transcript.text.delta", "delta": "four"}, end)
    assert (reading.tokens, reading.terminal, reading.units) == (Tokens(14, 2), True, units("four"))


def test_a_transcript_as_plain_text_is_a_whole_answer() -> None:
    reading = Meter("transcriptions").whole("你好".encode())
    assert reading.terminal and reading.charged(5) == (Tokens(read=5, wrote=2), "estimate")


@pytest.mark.parametrize("place", ["front", "end"])
def test_the_usage_of_a_large_answer_is_read_without_parsing_its_numbers(place: str) -> None:
    usage = b'"usage":{"prompt_tokens":8,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":3}}'
    data = b'"data":[{"embedding":[' + b"0.123456," * 5000 + b"1]}]"
    body = b"{" + (usage + b"," + data if place == "front" else data + b"," + usage) + b"}"
    assert Meter("embeddings").whole(body).tokens == Tokens(read=8, cached=3)


def test_a_whole_answer_that_is_damaged_is_estimated_from_its_length_and_noted() -> None:
    reading = Meter("chat").whole(b'{"choices":[{"message":{"content":"' + b"four" * 20)
    assert reading.source == "estimate" and "unreadable" in reading.notes and reading.charged(1)[0].wrote >= 20
    assert not reading.terminal


TEXTS = st.lists(st.text(alphabet='ab c"\\{}你\n:', max_size=6), max_size=12)


@given(TEXTS, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_chunks_that_are_not_parsed_again_count_as_if_they_were(texts: list[str], marks: tuple[str, str], usage: bool) -> None:
    meter = Meter("chat")
    for text in texts:
        data = json.dumps(
            chunk({"content": text}, **({"usage": None} if usage else {})), separators=marks, ensure_ascii=False
        ).encode()
        meter.feed(Frame(b"", data, b""))
    assert meter.units == sum(map(units, texts))


def test_a_chunk_that_only_looks_like_the_one_before_is_parsed() -> None:
    meter = Meter("chat")
    ordinary = orjson.dumps(chunk({"content": "four"}))
    for _ in range(3):
        meter.feed(Frame(b"", ordinary, b""))
    sly = ordinary.replace(b'"four"', b'"four","refusal":"four"')
    meter.feed(Frame(b"", sly, b""))
    assert meter.units == 5 * units("four") and meter.reading().refused


NAMES = ["choices", "delta", "message", "usage", "index", "finish_reason", "content", "tool_calls", "function", "type", "text"]
NAMES += ["response", "output", "error", "meta", "tokens", "seconds", "prompt_tokens", "completion_tokens", "audio", "item", "id"]
NAMES += ["summary", "refusal", "function_call", "prompt_tokens_details", "incomplete_details", "status"]
EVENTS = ["response.completed", "error", "duration", "transcript.text.done", "response.refusal.delta", "x.delta"]
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)


def test_a_chunk_with_two_contents_is_always_parsed() -> None:
    meter = Meter("chat")
    for text in ("four", "much longer than that"):
        meter.feed(frame({"x": {"content": text}, **chunk({"content": "four"})}))
    assert meter.units == 2 * units("four")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(EVENTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)
KINDS: list[Kind] = ["chat", "completions", "responses", "embeddings", "transcriptions", "speech", "images", "rerank", "infer"]


@given(st.lists(JSON, max_size=4), st.sampled_from(KINDS), st.binary(max_size=12))
def test_no_event_of_any_kind_ever_raises(documents: list[object], kind: Kind, event: bytes) -> None:
    meter = Meter(kind)
    for document in documents:
        meter.feed(frame(document, event))
    tokens, source = meter.reading().charged(3)
    assert tokens.read >= tokens.cached >= 0 and tokens.wrote >= 0 and source in ("upstream", "estimate", "none")
    for document in documents:
        assert Meter(kind).whole(orjson.dumps(document)).units >= 0


@given(st.binary(max_size=60), st.sampled_from(KINDS))
def test_bytes_that_are_no_json_never_raise(data: bytes, kind: Kind) -> None:
    Meter(kind).feed(Frame(data, data, b""))
    assert Meter(kind).whole(data).units >= 0
    assert strip_usage(Frame(data, data, b"")) == data


def test_the_chunk_that_was_asked_for_is_removed_again() -> None:
    assert strip_usage(frame(chunk(usage=USAGE))) is None


@pytest.mark.parametrize("usage", [None, USAGE])
@pytest.mark.parametrize("last", [True, False])
def test_a_usage_beside_choices_is_taken_out_and_nothing_else(usage: object, last: bool) -> None:
    kept = chunk({"content": 'say "usage":null, please'})
    whole = {**kept, "usage": usage} if last else {"usage": usage, **kept}
    out = strip_usage(frame(whole))
    assert out == b"data: " + orjson.dumps(kept) + b"\n\n"


def test_an_error_is_never_dropped_with_its_usage() -> None:
    out = strip_usage(frame({"error": {"message": "x"}, "choices": [], "usage": USAGE}))
    assert out is not None and b'"error"' in out


@given(st.data())
def test_whatever_stands_around_a_usage_stays(data: st.DataObject) -> None:
    names = st.sampled_from(["choices", "obfuscation", "a,b", 'q"', "x"])
    inner = st.sampled_from([None, 1, "usage", ',"usage":null}', {"usage": None}, [{"x": 1, "usage": None}], "}", "é"])
    document = data.draw(st.dictionaries(names, inner, min_size=1, max_size=5))
    keys = data.draw(st.permutations([*document, "usage"]))
    value = data.draw(st.sampled_from([None, USAGE]))
    whole = {key: value if key == "usage" else document[key] for key in keys}
    spaced = data.draw(st.booleans())
    raw = b"data: " + (json.dumps(whole).encode() if spaced else orjson.dumps(whole)) + b"\n\n"
    out = strip_usage(Frames().feed(raw)[0])
    kept = {key: document[key] for key in keys if key != "usage"}
    assert out == b"data: " + (json.dumps(kept).encode() if spaced else orjson.dumps(kept)) + b"\n\n"


def test_a_first_chunk_without_choices_and_with_a_null_usage_stays() -> None:
    filtered = chunk(prompt_filter_results=[])
    assert strip_usage(frame({**filtered, "usage": None})) == frame(filtered).raw


def test_a_chunk_without_usage_keeps_its_very_bytes() -> None:
    one = Frame(b": note\nid: 3\ndata:  {}\n\n", b" {}", b"")
    assert strip_usage(one) is one.raw


def test_usage_in_data_of_several_lines_is_taken_out_too() -> None:
    (one,) = Frames().feed(b'id: 4\ndata: {"choices":[{"index":0}],\ndata: "usage":null}\n\n')
    out = strip_usage(one)
    assert out is not None
    (again,) = Frames().feed(out)
    assert orjson.loads(again.data) == {"choices": [{"index": 0}]} and b"id: 4\n" in out
