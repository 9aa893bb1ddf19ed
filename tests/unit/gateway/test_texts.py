"""Where texts stand in requests, answers and frames, and how one is replaced."""

import pytest

from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.texts import answer_pieces, frame_pieces, replace, request_pieces, takes_numbers

CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "one"},
        {
            "role": "user",
            "name": "bob",
            "content": [
                {"type": "text", "text": "two"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "text", "text": "three"},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": "four",
            "reasoning_content": "five",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "six"}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "seven"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "eight", "parameters": {"type": "object"}}}],
    "user": "u",
    "metadata": {"k": "v"},
}


def texts_of(pieces) -> list[str]:
    return [piece.text for piece in pieces]


def test_a_chat_request_is_read_in_parts_tool_calls_refusals_and_descriptions() -> None:
    pieces = request_pieces("chat", CHAT)
    assert texts_of(pieces) == ["one", "two", "three", "four", "five", '{"a": "six"}', "seven", "eight"]
    lanes = {piece.text: piece.lane for piece in pieces}
    assert lanes["two"] == lanes["three"] and len(set(lanes.values())) == 7


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        ("completions", {"prompt": ["a", "b"], "suffix": "c"}, ["a", "b", "c"]),
        ("responses", {"input": "a", "instructions": "b"}, ["a", "b"]),
        (
            "responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "x"}]},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "b"},
                    {"type": "function_call_output", "call_id": "c", "output": "c"},
                    {
                        "type": "reasoning",
                        "id": "r",
                        "summary": [{"type": "summary_text", "text": "d"}],
                        "encrypted_content": "x",
                    },
                ],
                "prompt": {"id": "p", "variables": {"v": "e"}},
            },
            ["a", "b", "c", "d", "e"],
        ),
        ("embeddings", {"input": ["a", "b"], "encoding_format": "float"}, ["a", "b"]),
        ("moderations", {"input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}, ["a"]),
        ("speech", {"input": "a", "instructions": "b", "voice": "alloy"}, ["a", "b"]),
        ("transcriptions", {"prompt": "a", "language": "zh"}, ["a"]),
        ("images", {"prompt": "a", "size": "1x1"}, ["a"]),
        ("rerank", {"query": "a", "documents": ["b", {"text": "c"}]}, ["a", "b", "c"]),
        (
            "infer",
            {
                "inputs": [
                    {"name": "n", "datatype": "BYTES", "data": [["a"], "b"]},
                    {"name": "k", "datatype": "FP32", "data": [1.0]},
                ]
            },
            ["a", "b"],
        ),
        ("chat", ["no object"], []),
    ],
)
def test_the_texts_of_a_request(kind: Kind, document, found: list[str]) -> None:
    assert texts_of(request_pieces(kind, document)) == found


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        (
            "chat",
            {
                "id": "x",
                "choices": [
                    {
                        "message": {
                            "role": "assistant",
                            "content": "a",
                            "refusal": None,
                            "reasoning_content": "b",
                            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "d"}}],
                            "audio": {"id": "a", "data": "AAAA", "expires_at": 1, "transcript": "e"},
                        },
                        "logprobs": {"content": [{"token": "a"}]},
                        "finish_reason": "stop",
                    }
                ],
            },
            ["a", "b", "d", "e"],
        ),
        ("completions", {"choices": [{"text": "a"}, {"text": "b"}]}, ["a", "b"]),
        ("chat", {"id": "x", "response": {"of a new shape": "a"}}, ["a"]),
        ("chat", {"error": {"message": "a"}}, []),
        (
            "responses",
            {
                "instructions": "the caller's own",
                "output": [
                    {"type": "message", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
                    {"type": "message", "content": [{"type": "refusal", "refusal": "b"}]},
                    {"type": "function_call", "name": "f", "arguments": "c"},
                    {"type": "image_generation_call", "id": "i", "result": "AAAA"},
                ],
            },
            ["a", "b", "c"],
        ),
        ("transcriptions", {"text": "a", "segments": [{"text": "b"}], "words": [{"word": "c", "start": 0.0}]}, ["a", "b", "c"]),
        ("transcriptions", "plain", ["plain"]),
        ("images", {"created": 1, "data": [{"b64_json": "AAAA", "revised_prompt": "a"}]}, ["a"]),
        ("rerank", {"results": [{"index": 0, "document": {"text": "a"}}]}, ["a"]),
        ("embeddings", {"data": [{"embedding": "AAAA"}]}, []),
        ("infer", {"outputs": [{"name": "n", "datatype": "BYTES", "data": ["a"]}]}, ["a"]),
    ],
)
def test_the_texts_of_an_answer(kind: Kind, document, found: list[str]) -> None:
    assert texts_of(answer_pieces(kind, document)) == found


def test_deltas_of_one_choice_field_and_tool_call_are_one_text_wherever_they_stand() -> None:
    def lanes(*choices) -> list[tuple]:
        return [piece.lane for piece in frame_pieces("chat", {"choices": list(choices)})]

    first = lanes({"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}})
    assert lanes({"index": 1, "delta": {"content": "c"}}) == [first[1]] and first[0] != first[1]
    call = lanes({"index": 0, "delta": {"tool_calls": [{"index": 2, "function": {"name": "f", "arguments": "{"}}]}})
    assert call == lanes({"index": 0, "delta": {"tool_calls": [{"index": 2, "function": {"arguments": "}"}}]}})
    assert call != lanes({"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}})


def test_events_of_a_response_carry_deltas_whole_texts_and_the_whole_response() -> None:
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    (delta,) = frame_pieces("responses", {"type": "response.output_text.delta", **place, "delta": "a", "logprobs": []})
    assert delta.grows and delta.path == ("delta",)
    (arguments,) = frame_pieces("responses", {"type": "response.function_call_arguments.delta", "item_id": "i", "delta": "a"})
    assert arguments.grows and arguments.lane != delta.lane
    for document, path in (
        ({"type": "response.output_text.done", **place, "text": "a"}, ("text",)),
        ({"type": "response.function_call_arguments.done", "item_id": "i", "arguments": "a"}, ("arguments",)),
        ({"type": "response.content_part.done", **place, "part": {"type": "output_text", "text": "a"}}, ("part", "text")),
        (
            {"type": "response.incomplete", "response": {"instructions": "own", "output": [{"content": [{"text": "a"}]}]}},
            ("response", "output", 0, "content", 0, "text"),
        ),
    ):
        (piece,) = frame_pieces("responses", document)
        assert (piece.text, piece.path, piece.grows) == ("a", path, False)
    assert frame_pieces("responses", {"type": "response.audio.delta", "delta": "AAAA"}) == []
    assert frame_pieces("speech", {"type": "speech.audio.delta", "audio": "AAAA"}) == []
    assert texts_of(frame_pieces("transcriptions", {"type": "transcript.text.delta", "delta": "a"})) == ["a"]


def test_every_text_that_is_found_can_be_replaced_where_it_stands() -> None:
    document = {
        "choices": [{"message": {"content": "a", "tool_calls": [{"function": {"arguments": "b"}}]}, "logprobs": {"content": [1]}}]
    }
    for piece in answer_pieces("chat", document):
        replace(document, piece.path, piece.text.upper())
    assert texts_of(answer_pieces("chat", document)) == ["A", "B"]
    assert document["choices"][0]["logprobs"] is None
    assert replace("plain", (), "masked") == "masked"


def test_numbers_of_tokens_are_told_from_text() -> None:
    assert takes_numbers("embeddings", {"input": [1, 2]}) and takes_numbers("completions", {"prompt": [[1], [2]]})
    assert not takes_numbers("embeddings", {"input": ["1"]}) and not takes_numbers("chat", {"input": [1]})
