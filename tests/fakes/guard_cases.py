"""Tables for tests of guards: for each kind a text that trips it, one that does not, and where a text stands in each endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.frames import Frame
from pilotbase.gateway.guard_kinds import KeywordsGuard, LanguageGuard, LanguageOptions, LengthGuard, LengthOptions, PiiGuard
from pilotbase.ports import Finding, Guard, Phase, RemoteGuard

ID_NUMBER = "11010519491231002X"  # the example of GB 11643-1999


@dataclass(slots=True)
class Model:
    """A model guard that finds a word. `asked` holds every text that it was asked about; with `silent` it never answers."""

    word: str = "poison"
    window: int = 0
    fail_open: bool = False
    silent: bool = False
    name: str = "model"
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    async def judge(self, text: str, phase: Phase) -> list[Finding] | None:
        self.asked.append(text)
        if self.silent:
            return None
        place = text.find(self.word)
        return [] if place < 0 else [Finding(guard=self.name, rule="word", start=place, end=place + len(self.word))]

    async def aclose(self) -> None:
        self.closed = True


@dataclass(frozen=True, slots=True)
class Case:
    """A guard, the options of its route entry, a text that trips it, one that does not, and what must never be seen."""

    name: str
    make: Callable[[], Guard | RemoteGuard]
    bad: str
    good: str
    secret: str
    options: dict[str, Any] = field(default_factory=dict)
    masks: bool = True


CASES = (
    Case(
        "keywords", lambda: KeywordsGuard([(1, "forbidden word"), (2, "敏感词")]), "一个敏 感 詞在此。", "平常的话。", "敏 感 詞"
    ),
    Case("pii", PiiGuard, f"号码是{ID_NUMBER}，请保密。", "号码是110105194912310021。", ID_NUMBER),
    Case(
        "length",
        lambda: LengthGuard(LengthOptions(input=40, output=40)),
        "long " * 9 + "tail",
        "short",
        "tail",
        {"input": 40, "output": 40},
        masks=False,
    ),
    Case(
        "language",
        lambda: LanguageGuard(LanguageOptions(scripts=("han",), window=40)),
        "this text is written in the Latin script alone",
        "这段文字完全用汉字写成，一个拉丁字母也没有，所以可以通过检查。",
        "Latin",
        {"scripts": ["han"], "window": 40},
        masks=False,
    ),
    Case("model", Model, "there is poison in it", "there is nothing in it", "poison"),
)


def asks(kind: Kind, text: str) -> dict[str, Any]:
    """A request of this kind that holds `text`."""
    tensor = {"name": "t", "datatype": "BYTES", "shape": [1], "data": [text]}
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]},
        "completions": {"prompt": text},
        "responses": {"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]},
        "embeddings": {"input": [text]},
        "moderations": {"input": text},
        "speech": {"input": text, "voice": "alloy"},
        "rerank": {"query": "q", "documents": [{"text": text}]},
        "infer": {"inputs": [tensor]},
    }
    return {"model": "m", **bodies.get(kind, {"prompt": text})}


def answers(kind: Kind, text: str) -> dict[str, Any]:
    """An answer of this kind that holds `text`, of the kinds that write text."""
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]},
        "completions": {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]},
        "responses": {
            "output": [{"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text, "annotations": []}]}]
        },
        "transcriptions": {"text": text},
        "translations": {"text": text},
        "images": {"data": [{"b64_json": "aGk=", "revised_prompt": text}]},
        "rerank": {"results": [{"index": 0, "relevance_score": 0.5, "document": {"text": text}}]},
        "infer": {"outputs": [{"name": "t", "datatype": "BYTES", "shape": [1], "data": [text]}]},
    }
    return {"id": "x", **bodies[kind]}


def frame(document: Any, event: str = "") -> Frame:
    """An event with this JSON."""
    data = orjson.dumps(document)
    head = f"event: {event}\n".encode() if event else b""
    return Frame(head + b"data: " + data + b"\n\n", data, event.encode())


DONE = Frame(b"data: [DONE]\n\n", b"[DONE]", b"")


def streams(kind: Kind, parts: list[str]) -> list[Frame]:
    """A whole stream of this kind (chat, completions, responses) that writes `parts` one after the other."""
    if kind == "responses":
        return _response("".join(parts), parts)
    head = {"id": "x", "object": "chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, Any], text: str, finish: str | None) -> Frame:
        choice = {"index": 0, "finish_reason": finish} | ({"delta": delta} if kind == "chat" else {"text": text})
        return frame({**head, "choices": [choice]})

    begin = [chunk({"role": "assistant", "content": ""}, "", None)]
    return [*begin, *(chunk({"content": part}, part, None) for part in parts), chunk({}, "", "stop"), DONE]


def _response(text: str, parts: list[str]) -> list[Frame]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "x", "output": []}},
        *({"type": "response.output_text.delta", **place, "delta": delta} for delta in parts),
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "x", "output": [item]}},
    ]
    return [frame({**event, "sequence_number": i}, event["type"]) for i, event in enumerate(events)]


def written(kind: Kind, raws: list[bytes]) -> str:
    """The text that a client puts together from the deltas of a stream."""
    parts: list[str] = []
    for raw in raws:
        data = b"".join(line[6:] for line in raw.splitlines() if line.startswith(b"data: "))
        if not data or data == b"[DONE]":
            continue
        document = orjson.loads(data)
        if kind == "responses":
            parts.append(document["delta"] if document["type"].endswith(".delta") else "")
        else:
            for choice in document["choices"]:
                parts.append((choice.get("delta", {}).get("content") if kind == "chat" else choice.get("text")) or "")
    return "".join(parts)
