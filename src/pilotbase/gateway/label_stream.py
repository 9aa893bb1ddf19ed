"""Labels on a streamed answer: the implicit one in its first event, explicit words inside its texts.

No event is added whose shape a client might not know: the member goes into an event that is there, words at the start into the
first delta of their text, and words at the end into a delta of the same id and model (chat, completions) or into the last delta
(responses, whose events are numbered).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.detect.aigc_label import KEY, TAIL
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.labels import Mark, insert_member, responses_texts
from pilotbase.gateway.lenient import parse, write

__all__ = ["LabelStream"]

MOST_HELD = 4096
MOST_BYTES = 8 * 1024 * 1024
MOST_TEXTS = 1024
_OUTPUT = "response.output_text"


@dataclass(slots=True)
class _Text:
    """One text of the answer: what began it, what it ends with so far, and the delta it was last seen in."""

    head: str = ""
    tail: str = ""
    decided: bool = False
    closed: bool = False


@dataclass(slots=True)
class _Event:
    """An event on its way out. It waits while a text in `waits` is undecided or may still end here."""

    raw: bytes
    document: Any
    key: object = None
    holder: dict[str, Any] | None = None
    name: str = ""
    changed: bool = False
    size: int = 0


class LabelStream:
    """The labels of one stream. Events are whole server-sent events, as bytes; those that need no label go on as they came."""

    __slots__ = ("_bytes", "_held", "_last", "_mark", "_member_due", "_texts")

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._member_due = mark.metadata
        self._texts: dict[object, _Text] = {}
        self._held: deque[_Event] = deque()
        self._bytes = 0
        self._last: dict[object, dict[str, Any]] = {}

    def feed(self, events: Sequence[bytes]) -> list[bytes]:
        """The events that may go out by now: a start of a text that looks like a label is held back, and a last delta."""
        if not self._member_due and not self._mark.wording:
            return list(events)
        for raw in events:
            self._take(raw)
            self._bytes += len(raw)
        return self._release(everything=False)

    def finish(self) -> list[bytes]:
        """The rest, once the stream has ended: words that are still due come before it."""
        self._close_all()
        return self._release(everything=True)

    def _take(self, raw: bytes) -> None:
        data = _data(raw)
        if data.strip() == b"[DONE]":
            self._close_all()
        try:
            document = parse(data) if data else None
        except ValueError:
            document = None
        event = _Event(raw, document, size=len(raw))
        if not isinstance(document, dict) or document.get("error"):
            self._held.append(event)
            return
        if self._member_due:
            self._member_due = False
            if KEY not in document:
                document[KEY] = self._mark.label
                if raw.count(data) == 1:
                    event.raw = raw.replace(data, insert_member(data, self._mark.label))
                else:
                    event.raw = _rendered(event)
        if not self._mark.wording:
            self._held.append(event)
        elif self._mark.kind == "responses":
            self._response_event(event, document)
        else:
            self._choices(event, document)

    def _choices(self, event: _Event, document: dict[str, Any]) -> None:
        choices = document.get("choices")
        key: object
        finished: list[object] = []
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            key = _step(choice.get("index", 0))
            holder = choice.get("delta") if self._mark.kind == "chat" else choice
            name = "content" if self._mark.kind == "chat" else "text"
            if isinstance(holder, dict) and isinstance(holder.get(name), str) and holder[name]:
                self._last[key] = document
                self._grow(event, key, holder, name)
            if choice.get("finish_reason") is not None:
                finished.append(key)
        if event.key is None:
            for key in finished:
                self._close(key)
            self._held.append(event)
            return
        self._held.append(event)
        self._decide(event.key)
        for key in finished:
            self._close(key, event if event.key == key else None)

    def _response_event(self, event: _Event, document: dict[str, Any]) -> None:
        word = document.get("type")
        key = tuple(_step(document.get(name)) for name in ("item_id", "output_index", "content_index"))
        if word == f"{_OUTPUT}.delta" and isinstance(document.get("delta"), str) and document["delta"]:
            self._grow(event, key, document, "delta")
            self._held.append(event)
            self._decide(key)
            return
        if word == f"{_OUTPUT}.done":
            last = next((one for one in reversed(self._held) if one.key == key), None)
            self._close(key, last)
        for holder, name in _whole_texts(document):
            fresh = self._mark.wording.put(holder[name])
            event.changed = event.changed or fresh != holder[name]
            holder[name] = fresh
        response = document.get("response")
        if self._mark.metadata and isinstance(response, dict) and response.get("output") and KEY not in response:
            response[KEY] = self._mark.label
            event.changed = True
        self._held.append(event)

    def _grow(self, event: _Event, key: object, holder: dict[str, Any], name: str) -> None:
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= MOST_TEXTS:
                message = "The answer has more parts than this gateway can label."
                raise Refused(status=502, code="label_overflow", type="server_error", message=message, retry=False)
            text = self._texts[key] = _Text()
        if not text.decided:
            text.head += holder[name]
        text.tail = (text.tail + holder[name])[-TAIL:]
        # One event with deltas of several choices waits for the first; the others are decided with what they have.
        if event.key is None:
            event.key, event.holder, event.name = key, holder, name
        else:
            self._decide(key, holder, name, event)

    def _decide(self, key: object, holder: Any = None, name: str = "", event: _Event | None = None) -> None:
        """Put before a text what it lacks, once its start tells; given a holder, at once and there."""
        text = self._texts[key]
        if text.decided or (holder is None and not text.closed and self._mark.wording.undecided(text.head)):
            return
        text.decided = True
        before = self._mark.wording.before(text.head)
        if not before:
            return
        first = event if holder is not None else next((one for one in self._held if one.key == key), None)
        if first is not None:
            place = holder if holder is not None else first.holder
            label = name or first.name
            if place is not None:
                place[label] = before + place[label]
                first.changed = True

    def _close(self, key: object, last: _Event | None = None) -> None:
        """End a text: `last` is the event with its last delta where that is still here, else one is made of its kind."""
        text = self._texts.get(key)
        if text is None or text.closed:
            return
        text.closed = True
        self._decide(key)
        after = self._mark.wording.after(text.head, text.tail)
        if not after:
            return
        if last is not None and last.holder is not None:
            last.holder[last.name] += after
            last.changed = True
        elif key in self._last:
            self._held.append(_Event(_delta(self._mark.kind == "chat", self._last[key], key, after), None))

    def _close_all(self) -> None:
        for key in list(self._texts):
            last = next((one for one in reversed(self._held) if one.key == key), None)
            self._close(key, last)

    def _release(self, *, everything: bool) -> list[bytes]:
        ready: list[bytes] = []
        while self._held:
            full = len(self._held) > MOST_HELD or self._bytes > MOST_BYTES
            if not everything and not full and self._waits(self._held[0]):
                break
            event = self._held[0]
            if full and event.key is not None and event.holder is not None:
                self._decide(event.key, event.holder, event.name, event)
            self._held.popleft()
            self._bytes -= event.size
            ready.append(_rendered(event) if event.changed else event.raw)
        return ready

    def _waits(self, event: _Event) -> bool:
        if event.key is None:
            return False
        text = self._texts[event.key]
        if text.closed:
            return False
        if not text.decided:
            return True
        # The last delta of a numbered stream takes the words at the end: it goes when the next one has come.
        may_end = self._mark.kind == "responses" and bool(self._mark.wording.after(text.head, ""))
        return may_end and not any(one.key == event.key for one in list(self._held)[1:])


def _whole_texts(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The texts that an event of a response repeats whole."""
    if document.get("type") == f"{_OUTPUT}.done" and isinstance(document.get("text"), str):
        yield document, "text"
    if document.get("type") == "response.content_part.done":
        yield from responses_texts([{"content": [document.get("part")]}])
    if document.get("type") == "response.output_item.done":
        yield from responses_texts([document.get("item")])
    response = document.get("response")
    if isinstance(response, dict):
        yield from responses_texts(response.get("output"))


def _step(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None


def _data(raw: bytes) -> bytes:
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def _rendered(event: _Event) -> bytes:
    fresh = write(event.document)
    lines = event.raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    kept = [line for line in lines if line and not line.startswith(b"data:")]
    return b"\n".join((*kept, b"data: " + fresh, b"", b""))


def _delta(chat: bool, model: dict[str, Any], key: object, words: str) -> bytes:
    """One more delta of a text, with the id and the model of the others."""
    head = {name: model[name] for name in ("id", "object", "created", "model", "system_fingerprint") if name in model}
    body = {"delta": {"content": words}} if chat else {"text": words}
    return (
        b"data: " + orjson.dumps({**head, "choices": [{"index": key, **body, "logprobs": None, "finish_reason": None}]}) + b"\n\n"
    )
