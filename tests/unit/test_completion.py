"""Completions: whole or in pieces, the same answer; anything else, a named failure."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.chat_server import completion, piece, usage_only

from pilotbase.completion import Completion, Pieces, read_completion, read_error


def assemble(*events: Any) -> Completion:
    pieces = Pieces()
    for event in events:
        pieces.add(event if isinstance(event, bytes) else orjson.dumps(event))
    return pieces.finish()


def call(arguments: str, **more: Any) -> dict[str, Any]:
    return {"id": "t1", "type": "function", "function": {"name": "look", "arguments": arguments}, **more}


def test_a_whole_completion_gives_text_usage_and_finish() -> None:
    done = read_completion(orjson.dumps(completion("yes")))
    assert (done.text, done.finish, done.tokens_in, done.tokens_out, done.failure) == ("yes", "stop", 11, 3, None)


@given(st.lists(st.text(max_size=5), max_size=8))
def test_a_stream_of_pieces_reads_like_the_whole(texts: list[str]) -> None:
    texts = [t.encode(errors="replace").decode() for t in texts]
    done = assemble(*(piece({"content": t}) for t in texts), piece({}, "stop"), usage_only(), b"[DONE]")
    whole = read_completion(orjson.dumps(completion("".join(texts))))
    assert (done.text, done.finish, done.tokens_in, done.tokens_out) == (
        whole.text,
        whole.finish,
        whole.tokens_in,
        whole.tokens_out,
    )


def test_tool_calls_become_steps_with_parsed_arguments() -> None:
    done = read_completion(orjson.dumps(completion(None, finish="tool_calls", tool_calls=[call('{"q": 1}'), call("not json")])))
    assert done.steps == [
        {"tool": "look", "arguments": {"q": 1}, "id": "t1"},
        {"tool": "look", "arguments": "not json", "id": "t1"},
    ]
    assert done.text == ""


def test_streamed_tool_calls_are_put_together_by_their_index() -> None:
    done = assemble(
        piece({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]}),
        piece({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "add", "arguments": '{"n"'}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": '{"q":'}}]}),
        piece({"tool_calls": [{"index": 1, "function": {"arguments": ": 2}"}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]}),
        piece({}, "tool_calls"),
    )
    assert done.steps == [{"tool": "look", "arguments": {"q": "x"}, "id": "a"}, {"tool": "add", "arguments": {"n": 2}, "id": "b"}]


def test_a_refusal_is_an_answer_and_is_marked() -> None:
    done = read_completion(orjson.dumps(completion(None, refusal="I cannot help.")))
    assert (done.text, done.refusal, done.failure) == ("I cannot help.", "I cannot help.", None)


def test_an_answer_withheld_by_a_content_filter_is_refused() -> None:
    assert read_completion(orjson.dumps(completion(None, finish="content_filter"))).failure == "refused"
    assert read_completion(orjson.dumps(completion("part of", finish="content_filter"))).text == "part of"


def test_content_in_parts_is_joined() -> None:
    body = completion()
    body["choices"][0]["message"]["content"] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read_completion(orjson.dumps(body)).text == "ab"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe", b'{"choices": [NaN]}'])
def test_a_body_that_is_no_json_is_unparseable(body: bytes) -> None:
    assert read_completion(body).failure == "unparseable"


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"7", b'{"choices": []}', b'{"choices": [{"message": "yes"}]}', b'{"choices": [null]}']
)
def test_json_that_is_no_completion_has_the_wrong_shape(body: bytes) -> None:
    assert read_completion(body).failure == "shape"


def test_an_error_sent_with_status_200_is_refused_with_its_message() -> None:
    done = read_completion(b'{"error": {"message": "no such model"}}')
    assert (done.failure, done.detail) == ("refused", "no such model")


def test_a_stream_without_an_end_was_cut_and_may_be_asked_for_again() -> None:
    done = assemble(piece({"content": "half"}))
    assert (done.failure, done.again) == ("unreachable", True)


def test_a_stream_that_ends_with_a_finish_reason_needs_no_done() -> None:
    assert assemble(piece({"content": "yes"}), piece({}, "stop")).text == "yes"


def test_an_error_inside_a_stream_may_be_asked_for_again() -> None:
    done = assemble(piece({"content": "ha"}), {"error": {"message": "out of memory"}}, b"[DONE]")
    assert (done.failure, done.again) == ("unreachable", True)
    assert "out of memory" in done.detail


def test_an_event_that_is_no_json_is_unparseable() -> None:
    assert assemble(b"{oops", b"[DONE]").failure == "unparseable"


KEYS = (
    "choices",
    "message",
    "delta",
    "content",
    "refusal",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "index",
    "id",
    "model",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*KEYS, "finish_reason", "usage", "error")), inner),
)
SHAPED = st.fixed_dictionaries(
    {
        "choices": st.lists(st.fixed_dictionaries({"message": JSON, "delta": JSON, "finish_reason": JSON}), max_size=2),
        "usage": JSON,
    }
)


@given(JSON | SHAPED)
def test_no_json_makes_the_readers_raise(document: Any) -> None:
    body = orjson.dumps(document)
    done = read_completion(body)
    assert done.failure in (None, "shape", "refused")
    pieces = Pieces()
    pieces.add(body)
    pieces.add(body)
    assert pieces.finish().failure in (None, "shape", "unreachable")


def test_error_bodies_are_read_in_their_usual_shapes() -> None:
    assert read_error({"error": {"message": "a"}}) == "a"
    assert read_error({"error": "b"}) == "b"
    assert read_error({"detail": [1]}) == "[1]"
    assert read_error({"message": "c"}) == "c"
    assert read_error([1]) is None
    assert len(read_error({"error": "x" * 9999}) or "") == 300
