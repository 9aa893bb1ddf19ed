"""Chat completions as they come back: one JSON document, or a stream of pieces put together.

The shape is that of the OpenAI API reference, "Create chat completion" and "Chat completion chunk", as other servers imitate it.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pilotbase.domain.evidence import Failure

__all__ = ["Completion", "Pieces", "read_completion", "read_error"]

LONGEST_DETAIL = 300


@dataclass(slots=True, kw_only=True)
class Completion:
    """One answer of a chat endpoint, or why there is none.

    `steps` are the tool calls in order, `{tool, arguments, id}`, arguments parsed where they are JSON. `seconds` and `ttft` are
    of the last attempt, `started` is seconds since the epoch. `again`: the attempt may be repeated; `throttled`: it was refused
    for load; `pause`: the seconds that `Retry-After` asked for.
    """

    text: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    refusal: str | None = None
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    failure: Failure | None = None
    detail: str = ""
    started: float = 0.0
    seconds: float = 0.0
    ttft: float | None = None
    attempts: int = 1
    again: bool = False
    throttled: bool = False
    pause: float | None = None


def read_completion(body: bytes) -> Completion:
    """The completion in a JSON body; `unparseable` where it is no JSON, `shape` where it is no chat completion."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return Completion(failure="unparseable", detail=f"the reply is not JSON ({error}): {_start(body)}")
    try:
        choice = document["choices"][0]
        message = choice["message"]
        calls = message.get("tool_calls") or ()
        done = Completion(
            text=_text(message.get("content")),
            steps=[_step(call) for call in calls],
            finish=_word(choice.get("finish_reason")),
            refusal=_word(message.get("refusal")),
            model=_word(document.get("model")),
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        if said := read_error(document):
            return Completion(failure="refused", detail=said)
        return Completion(failure="shape", detail=f"the reply is no chat completion: {_start(body)}")
    _count(done, document.get("usage"))
    return _conclude(done)


class Pieces:
    """A streamed completion being put together. `add` takes the data of one event and says whether content began with it."""

    __slots__ = ("_calls", "_done", "_refusal", "_texts", "ended", "failed")

    def __init__(self) -> None:
        self._done = Completion()
        self._texts: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self.ended = False
        self.failed: Completion | None = None

    def add(self, data: bytes) -> bool:
        """Take one event; True where it carries content. After an event that cannot be read, `failed` says why."""
        if data == b"[DONE]":
            self.ended = True
            return False
        try:
            piece = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            detail = f"an event of the stream is not JSON ({error}): {_start(data)}"
            self.failed = Completion(failure="unparseable", detail=detail)
            return False
        try:
            return self._merge(piece)
        except (KeyError, IndexError, TypeError, AttributeError):
            detail = f"an event of the stream is no chat completion chunk: {_start(data)}"
            self.failed = Completion(failure="shape", detail=detail)
            return False

    def _merge(self, piece: dict[str, Any]) -> bool:
        if usage := piece.get("usage"):
            _count(self._done, usage)
        if self._done.model is None:
            self._done.model = _word(piece.get("model"))
        choices = piece.get("choices")
        if not choices:
            if said := read_error(piece):
                self.failed = Completion(failure="unreachable", detail=f"the stream broke off with an error: {said}", again=True)
            return False
        choice = choices[0]
        if finish := _word(choice.get("finish_reason")):
            self._done.finish = finish
            self.ended = True
        delta = choice.get("delta") or {}
        began = False
        if text := _text(delta.get("content")):
            self._texts.append(text)
            began = True
        if refusal := _word(delta.get("refusal")):
            self._refusal.append(refusal)
            began = True
        for call in delta.get("tool_calls") or ():
            self._extend(call)
            began = True
        return began

    def _extend(self, call: dict[str, Any]) -> None:
        # Some servers leave `index` out and send each call whole.
        place = call.get("index")
        kept = self._calls.setdefault(len(self._calls) if place is None else place, {"function": {"name": "", "arguments": ""}})
        if call.get("id"):
            kept["id"] = call["id"]
        function = call.get("function") or {}
        for part in ("name", "arguments"):
            kept["function"][part] += function.get(part) or ""

    def finish(self) -> Completion:
        """The whole completion.

        A stream that ended with neither a finish reason nor `[DONE]` was cut off, and may be asked for again.
        """
        if self.failed is not None:
            return self.failed
        if not self.ended:
            return Completion(failure="unreachable", detail="the stream ended before the answer did", again=True)
        done = self._done
        done.text = "".join(self._texts) if self._texts else None
        done.refusal = "".join(self._refusal) or None
        done.steps = [_step(call) for call in self._calls.values()]
        return _conclude(done)


def read_error(document: Any) -> str | None:
    """The message of an error body in any of the usual shapes, shortened; None where there is none."""
    if not isinstance(document, Mapping):
        return None
    said = document.get("error", document.get("detail", document.get("message")))
    if isinstance(said, Mapping):
        said = said.get("message") or said.get("code")
    return None if said is None else str(said)[:LONGEST_DETAIL]


def _conclude(done: Completion) -> Completion:
    if done.finish == "content_filter" and not done.text and not done.refusal and not done.steps:
        done.failure, done.detail = "refused", "the endpoint's content filter withheld the answer"
    elif done.text is None:
        done.text = done.refusal or ""
    return done


def _count(done: Completion, usage: Any) -> None:
    if isinstance(usage, Mapping):
        read, wrote = usage.get("prompt_tokens"), usage.get("completion_tokens")
        done.tokens_in = read if isinstance(read, int) else done.tokens_in
        done.tokens_out = wrote if isinstance(wrote, int) else done.tokens_out


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(content: Any) -> str | None:
    """Content is text, or a list of parts of which those with text are joined."""
    if content is None or isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("text"))


def _step(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with contextlib.suppress(orjson.JSONDecodeError):  # else kept as the text that the model wrote
            arguments = orjson.loads(arguments)
    return {"tool": function["name"], "arguments": arguments, "id": call.get("id")}


def _start(body: bytes) -> str:
    return body[:120].decode(errors="replace") + ("..." if len(body) > 120 else "") if body else "(empty)"
