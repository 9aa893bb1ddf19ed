"""A candidate's answer in OpenAI's shapes: whole documents, and streams of server-sent events.

Source: OpenAI's OpenAPI description 2.3.0. The whole answer is known before the first event, so a stream has it in one delta.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.gateway.endpoints import Kind

__all__ = ["DONE", "Said", "document", "events"]

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a candidate said to one ask: the text that a person reads, its label and score where it gave them, and tokens."""

    text: str
    label: str | None = None
    score: float | None = None
    finish: str = "stop"
    read: int = 0
    wrote: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all answers of a request have in common. `created` is in seconds since the epoch, `estimated` says what usage is."""

    id: str
    model: str
    created: int
    estimated: bool


def document(kind: Kind, frame: Frame, said: Sequence[Said]) -> bytes:
    """The whole answer of a `chat`, `completions` or `responses` request, as JSON."""
    if kind == "responses":
        return orjson.dumps(_response(frame, said[0], "completed"))
    choices: list[dict[str, Any]]
    if kind == "chat":
        name, head = "chat.completion", "chatcmpl"
        choices = [
            {
                "index": i,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": None,
                "finish_reason": one.finish,
            }
            for i, one in enumerate(said)
        ]
    else:
        name, head = "text_completion", "cmpl"
        choices = [{"index": i, "text": one.text, "logprobs": None, "finish_reason": one.finish} for i, one in enumerate(said)]
    whole = {"id": f"{head}-{frame.id}", "object": name, "created": frame.created, "model": frame.model, "choices": choices}
    return orjson.dumps(whole | {"usage": _usage(frame, said)} | _extra(said))


def events(kind: Kind, frame: Frame, said: Sequence[Said], *, usage: bool) -> Iterator[bytes]:
    """The same as events, ready to send. `usage`: whether the extra chunk with the usage is wanted (chat and completions)."""
    if kind == "responses":
        yield from _response_events(frame, said[0])
        return
    chat = kind == "chat"
    head = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{frame.id}",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": frame.created,
        "model": frame.model,
    }
    for i, one in enumerate(said):
        if chat:
            yield _chunk(head, {"index": i, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}, usage)
            yield _chunk(head, {"index": i, "delta": {"content": one.text}, "finish_reason": None}, usage)
            yield _chunk(head, {"index": i, "delta": {}, "finish_reason": one.finish}, usage)
        else:
            yield _chunk(head, {"index": i, "text": one.text, "finish_reason": None}, usage)
            yield _chunk(head, {"index": i, "text": "", "finish_reason": one.finish}, usage)
    if usage:
        yield b"data: " + orjson.dumps(head | {"choices": [], "usage": _usage(frame, said)} | _extra(said)) + b"\n\n"
    yield DONE


def _chunk(head: dict[str, Any], choice: dict[str, Any], usage: bool) -> bytes:
    rest: dict[str, Any] = {"usage": None} if usage else {}
    return b"data: " + orjson.dumps(head | {"choices": [choice]} | rest) + b"\n\n"


def _usage(frame: Frame, said: Sequence[Said]) -> dict[str, Any]:
    read, wrote = sum(one.read for one in said), sum(one.wrote for one in said)
    counted: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    return counted | ({"estimated": True} if frame.estimated else {})


def _extra(said: Sequence[Said]) -> dict[str, Any]:
    """What a classifier or a regression said besides its text, under a name that no client of OpenAI's reads."""
    if all(one.label is None and one.score is None for one in said):
        return {}
    return {"pilotbase": [{"label": one.label, "score": one.score} for one in said]}


def _item(frame: Frame, text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": f"msg_{frame.id}", "type": "message", "status": status, "role": "assistant", "content": content}


def _response(frame: Frame, said: Said, status: str) -> dict[str, Any]:
    finished = status == "completed"
    whole: dict[str, Any] = {
        "id": f"resp_{frame.id}",
        "object": "response",
        "created_at": frame.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": frame.model,
        "output": [_item(frame, said.text, "completed")] if finished else [],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "store": False,
        "usage": None,
    }
    if finished:
        counted: dict[str, Any] = {
            "input_tokens": said.read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.wrote,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.read + said.wrote,
        }
        whole["usage"] = counted | ({"estimated": True} if frame.estimated else {})
        whole |= _extra([said])
    return whole


def _response_events(frame: Frame, said: Said) -> Iterator[bytes]:
    place = {"item_id": f"msg_{frame.id}", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": said.text, "annotations": []}
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("response.created", {"response": _response(frame, said, "in_progress")}),
        ("response.in_progress", {"response": _response(frame, said, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": _item(frame, None, "in_progress")}),
        ("response.content_part.added", place | {"part": part | {"text": ""}}),
        ("response.output_text.delta", place | {"delta": said.text, "logprobs": []}),
        ("response.output_text.done", place | {"text": said.text, "logprobs": []}),
        ("response.content_part.done", place | {"part": part}),
        ("response.output_item.done", {"output_index": 0, "item": _item(frame, said.text, "completed")}),
        ("response.completed", {"response": _response(frame, said, "completed")}),
    )
    for number, (name, body) in enumerate(steps):
        data = orjson.dumps({"type": name, "sequence_number": number} | body)
        yield b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
