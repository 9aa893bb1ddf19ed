"""What an answer used: the upstream's own count where it gives one, the characters of the text where it does not.

Sources: the OpenAPI description of OpenAI's API, 2.3.0 (`usage` of chat, completions, embeddings, images, transcriptions, speech;
the events of responses); the servers that put a usage on every chunk (vLLM, SGLang, DashScope: the last one counts) or into the
last choice (Moonshot); Cohere's and Jina's rerank answers. Nothing that an upstream sends raises here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.domain.metering import Source, Tokens
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.estimate import tokens, units, weigh
from pilotbase.gateway.frames import Frame
from pilotbase.gateway.spans import without

__all__ = ["LARGEST", "Meter", "Reading", "read_usage", "strip_usage"]

LARGEST = 10**9
"""A count of tokens beyond this is taken for damage."""
_LARGE = 16384
_LEARNINGS = 8
_CLIP = 300
_CONTENT = re.compile(rb'"content"\s*:\s*"')
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}"]*(?:(?:"[^"\\]*"|\{[^{}]*\})[^{}"]*)*\})')
# After it come members without brackets and the end, so that it stands at the top.
_NO_USAGE = re.compile(rb',"usage":null((?:,"[^"\\]*+":(?:"[^"\\]*+"|[^"\[\]{},]++))*+\})\Z')
_ENDINGS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_DONE = frozenset({"transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed"})
_SOUND = frozenset({"response.audio.delta", "response.output_audio.delta", "speech.audio.delta"})
_BY_TAIL = frozenset({"embeddings", "images", "image-edits", "image-variations"})
_PLAIN_TEXT = frozenset({"chat", "completions", "responses", "transcriptions", "translations"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of an answer so far. `tokens` is None where the upstream told no usable count.

    `units`: the text that came, in twelfths of a token (`estimate.TOKEN`). `terminal`: `[DONE]`, a terminal event or a whole
    document was there; `finished`: that, or every choice gave its reason to end. `finish`: those reasons, in order of choices.
    `error`: the upstream's message, for a log only. `seconds`: of sound, where that is what an upstream counts. `notes`: what was
    wrong with the count, in words of `usage_...` and `unreadable`.
    """

    tokens: Tokens | None
    units: int
    terminal: bool
    finished: bool
    started: bool
    finish: tuple[str, ...]
    error: str | None
    refused: bool
    tools: bool
    content: bool
    response_id: str | None
    model: str | None
    seconds: int | None
    notes: tuple[str, ...]

    @property
    def tool_only(self) -> bool:
        """Tools were called and nothing was said."""
        return self.tools and not self.content

    @property
    def source(self) -> Source:
        """`upstream`, or `estimate` where something came without a count, or `none` for an error before anything came."""
        if self.tokens is not None:
            return "upstream"
        return "none" if self.error is not None and not self.started else "estimate"

    def charged(self, prompt: int) -> tuple[Tokens, Source]:
        """What to settle, and by which source, for a request whose prompt was estimated at `prompt` tokens.

        Without the upstream's count: the prompt and the text that came. Nothing for an error before anything came; the words of
        an error are never output.
        """
        if self.tokens is not None:
            return self.tokens, "upstream"
        if self.source == "none":
            return Tokens(), "none"
        return Tokens(read=prompt, wrote=tokens(self.units)), "estimate"


class Meter:
    """Reads one answer: `feed` for each event of a stream, or `whole` once for a document.

    An ordinary chunk of a chat is like the one before but for its text. Where the bytes around the text are the same, and the
    text holds neither a quotation mark nor a backslash, it is the same JSON with another string, and is not parsed again.
    """

    __slots__ = (
        "_content",
        "_ends",
        "_error",
        "_final",
        "_head",
        "_kind",
        "_learned",
        "_model",
        "_notes",
        "_refused",
        "_response_id",
        "_seconds",
        "_seen",
        "_tail",
        "_tokens",
        "_tools",
        "started",
        "terminal",
        "units",
    )

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.started = False  # something of the answer came: text, a tool call, sound
        self.terminal = False
        self.units = 0
        self._tokens: Tokens | None = None
        self._final = False  # the usage came alone or with the end, not on a chunk under way
        self._ends: dict[int, str] = {}
        self._seen: set[int] = set()
        self._error: str | None = None
        self._refused = self._tools = self._content = False
        self._response_id: str | None = None
        self._model: str | None = None
        self._seconds: int | None = None
        self._notes: dict[str, None] = {}
        self._head = self._tail = b""
        self._learned = 0

    def feed(self, frame: Frame) -> None:
        """One event of a stream. Never raises. Takes about 1 µs for an ordinary chunk of a chat, 3 to 5 µs for another."""
        data = frame.data
        head = self._head
        if head and data.startswith(head) and data.endswith(self._tail):
            text = data[len(head) : -len(self._tail)]
            if len(data) >= len(head) + len(self._tail) and b'"' not in text and b"\\" not in text:
                self.units += weigh(text)
                return
        if data:
            self._event(data, frame.event)

    def whole(self, body: bytes) -> Reading:
        """A whole answer, JSON or not. Never raises."""
        document: object = None
        if len(body) > _LARGE and self._kind in _BY_TAIL:
            document = _usage_alone(body)
        if document is None:
            try:
                document = orjson.loads(body)
            except orjson.JSONDecodeError:
                self._unread(body)
                return self.reading()
        self.terminal = True
        if isinstance(document, dict):
            self._document(document)
        return self.reading()

    def reading(self) -> Reading:
        """What is known now; may be asked at any time."""
        counted = self._tokens
        finished = self.terminal or (bool(self._ends) and self._seen <= self._ends.keys())
        notes = tuple(self._notes)
        if counted is not None and not counted.wrote and self.units and not self._final and not finished:
            # A stream that was cut, and a count that came before the text: the zero only held the place.
            counted, notes = None, (*notes, "usage_placeholder")
        return Reading(
            tokens=counted,
            units=self.units,
            terminal=self.terminal,
            finished=finished and self._error is None,
            started=self.started,
            finish=tuple(self._ends[i] for i in sorted(self._ends)),
            error=self._error,
            refused=self._refused,
            tools=self._tools,
            content=self._content,
            response_id=self._response_id,
            model=self._model,
            seconds=self._seconds,
            notes=notes,
        )

    def _event(self, data: bytes, name: bytes) -> None:
        if data.startswith(b"[DONE]"):
            self.terminal = True
            return
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            self._notes["unreadable"] = None
            return
        if not isinstance(document, dict):
            return
        kind = document.get("type")
        if not isinstance(kind, str):
            kind = name.decode("latin-1")
        if kind == "error" or document.get("error") is not None:
            self._fail(document.get("error") or document)
        choices = document.get("choices")
        if isinstance(choices, list):
            self._chunk(document, choices, data)
        elif kind:
            self._typed(document, kind)
        else:
            self._use(document.get("usage"), True)

    def _chunk(self, document: dict[str, Any], choices: list[Any], data: bytes) -> None:
        usage = document.get("usage")
        if usage is not None:
            self._use(usage, not choices)
        if self._model is None and isinstance(model := document.get("model"), str):
            self._model = model
        before, ends = self.units, len(self._ends)
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice, choice.get("delta"))
        if usage is None and len(choices) == 1 and len(self._ends) == ends and self.units > before:
            self._learn(choices[0], data, self.units - before)

    def _learn(self, choice: object, data: bytes, gained: int) -> None:
        """Remember the bytes around the text of an ordinary chunk."""
        delta = choice.get("delta") if isinstance(choice, dict) else None
        text = delta.get("content") if isinstance(delta, dict) else None
        if self._learned >= _LEARNINGS or self._error is not None or not isinstance(text, str) or units(text) != gained:
            return
        self._learned += 1
        raw = text.encode()
        found = _CONTENT.search(data)
        if found is None or b'"' in raw or not data.startswith(raw + b'"', found.end()) or _CONTENT.search(data, found.end()):
            return
        self._head, self._tail = data[: found.end()], data[found.end() + len(raw) :]

    def _choice(self, choice: dict[str, Any], words: object) -> None:
        index = choice.get("index")
        index = index if type(index) is int else 0
        self._seen.add(index)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._ends[index] = reason
        if isinstance(words, dict):
            self._words(words)
        elif isinstance(text := choice.get("text"), str):
            self._say(text)
        if (usage := choice.get("usage")) is not None:
            self._use(usage, reason is not None)

    def _words(self, words: dict[str, Any]) -> None:
        """A message, or what one chunk adds to it."""
        for key, value in words.items():
            if key == "content":
                if isinstance(value, str):
                    self._say(value)
                elif isinstance(value, list):
                    for part in value:
                        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
                            self._say(text)
            elif key in ("reasoning_content", "reasoning"):
                self._count(value)
            elif key == "refusal":
                if isinstance(value, str) and value:
                    self._refused = True
                    self._count(value)
            elif key == "tool_calls":
                for call in value if isinstance(value, list) else ():
                    self._call(call.get("function") or call.get("custom") if isinstance(call, dict) else None)
            elif key == "function_call":
                if value is not None:
                    self._call(value)
            elif key == "audio" and isinstance(value, dict):
                self.started = True
                self._count(value.get("transcript"))

    def _call(self, called: object) -> None:
        self._tools = self.started = True
        if isinstance(called, dict):
            for key in ("name", "arguments", "input"):
                self._count(called.get(key))

    def _say(self, text: str) -> None:
        if text:
            self._content = self.started = True
            self.units += units(text)

    def _count(self, text: object) -> None:
        if isinstance(text, str) and text:
            self.started = True
            self.units += units(text)

    def _typed(self, document: dict[str, Any], kind: str) -> None:
        """An event that names itself: of responses, transcriptions, speech, images."""
        if kind.endswith(".delta"):
            if kind in _SOUND:
                self.started = True
            elif "refusal" in kind:
                self._refused = True
                self._count(document.get("delta"))
            elif "output_text" in kind or kind.startswith("transcript."):
                if isinstance(delta := document.get("delta"), str):
                    self._say(delta)
            else:
                self._tools = self._tools or "call" in kind
                self._count(document.get("delta"))
        elif isinstance(response := document.get("response"), dict):
            self._response(response, count=kind in _ENDINGS and not self.units)
            self.terminal = self.terminal or kind in _ENDINGS
        elif kind in _DONE:
            self.terminal = self.started = True
            self._use(document.get("usage"), True)
            if not self.units:
                self._count(document.get("text"))
        elif kind.endswith(".partial_image"):
            self.started = True

    def _response(self, response: dict[str, Any], *, count: bool) -> None:
        """A response object, of an event or alone. `count`: whether its text was not counted from the events before."""
        if isinstance(name := response.get("id"), str) and name:
            self._response_id = name[:_CLIP]
        if isinstance(model := response.get("model"), str):
            self._model = model
        if response.get("error") is not None:
            self._fail(response["error"])
        self._use(response.get("usage"), True)
        status, details = response.get("status"), response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(status, str) and status not in ("in_progress", "queued"):
            self._ends[0] = reason if isinstance(reason, str) else status
        output = response.get("output")
        for item in output if isinstance(output, list) else ():
            if isinstance(item, dict):
                self._item(item, count)

    def _item(self, item: dict[str, Any], count: bool) -> None:
        before = self.units
        if str(item.get("type")).endswith("_call"):
            self._call(item)
        for key in ("content", "summary"):
            parts = item.get(key)
            for part in parts if isinstance(parts, list) else ():
                if not isinstance(part, dict):
                    continue
                if isinstance(refusal := part.get("refusal"), str):
                    self._refused = True
                    self._count(refusal)
                elif isinstance(text := part.get("text"), str):
                    self._say(text) if part.get("type") == "output_text" else self._count(text)
        if not count:
            self.units = before

    def _document(self, document: dict[str, Any]) -> None:
        if document.get("error") is not None and self._kind != "responses":
            self._fail(document["error"])
        if self._kind == "responses":
            self._response(document, count=True)
            return
        if isinstance(model := document.get("model"), str):
            self._model = model
        usage = document.get("usage")
        meta = document.get("meta")
        if usage is None and self._kind == "rerank" and isinstance(meta, dict):
            usage = meta.get("tokens")
        choices = document.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choice(choice, choice.get("message"))
        self._use(usage, True)
        if self._kind in ("transcriptions", "translations") and isinstance(text := document.get("text"), str):
            self._say(text)
        self.started = self.started or self._error is None

    def _unread(self, body: bytes) -> None:
        """An answer that is no JSON: sound, a transcript as text or subtitles, or damage. Its end is not known from itself."""
        self.started = self.started or bool(body)
        if self._kind in _PLAIN_TEXT:
            self.units += weigh(body)
        if self._kind in ("transcriptions", "translations", "speech"):
            self.terminal = True
        else:
            self._notes["unreadable"] = None

    def _use(self, usage: object, final: bool) -> None:
        if usage is None:
            return
        if isinstance(usage, dict) and usage.get("type") == "duration":
            seconds: Any = usage.get("seconds")
            self._seconds = -int(-seconds // 1) if type(seconds) in (int, float) and 0 <= seconds < LARGEST else None
            self._notes["usage_duration"] = None
            return
        counted, note = read_usage(usage)
        if note:
            self._notes[note] = None
        if counted is not None:
            self._tokens, self._final = counted, final

    def _fail(self, error: object) -> None:
        message = error.get("message") if isinstance(error, dict) else error
        if not isinstance(message, str) or not message:
            code = error.get("code") if isinstance(error, dict) else None
            message = str(code)[:_CLIP] if isinstance(code, str | int) else "the upstream reported an error without a message"
        self._error = message[:_CLIP]
        self._head = b""


def read_usage(usage: object) -> tuple[Tokens | None, str]:
    """(the tokens of a `usage` object, what was wrong with it). None for one that cannot be trusted; zeros are a count.

    A count is a whole number from 0 to `LARGEST`. Tokens kept are at most those read. Where only the total is told, what is not
    read was written; a total that is not the sum is noted, and the parts are believed.
    """
    if not isinstance(usage, dict):
        return None, "usage_malformed"
    read, wrote, total = (
        _first(usage, "prompt_tokens", "input_tokens"),
        _first(usage, "completion_tokens", "output_tokens"),
        usage.get("total_tokens"),
    )
    if not all(one is None or _is_count(one) for one in (read, wrote, total)):
        return None, "usage_malformed"
    if read is None and wrote is None:
        if total is None:
            return None, "usage_malformed"
        read, wrote = total, 0
    elif read is None:
        read = max(0, total - wrote) if total is not None else None
    elif wrote is None:
        wrote = max(0, total - read) if total is not None else None
    if read is None or wrote is None:
        return None, "usage_partial"
    details = _first(usage, "prompt_tokens_details", "input_tokens_details")
    cached: Any = details.get("cached_tokens") if isinstance(details, dict) else None
    note = "usage_sum" if total is not None and total != read + wrote else ""
    if cached is not None and not _is_count(cached):
        cached, note = 0, "usage_cached"
    elif cached is not None and cached > read:
        cached, note = read, "usage_cached"
    return Tokens(read=read, wrote=wrote, cached=cached or 0), note


def strip_usage(frame: Frame) -> bytes | None:
    """The bytes of a chunk without the usage that the gateway asked for; None for a chunk that brought nothing else.

    Takes the member `usage` out of the object and leaves every other byte; what stands in strings or deeper is not touched. About
    1 µs where it is null and near the end, as most servers write it.
    """
    raw, data = frame.raw, frame.data
    if b'"usage"' not in data:
        return raw
    place = data.find(b'"usage"') - 1
    null = _NO_USAGE.match(data, place) if place > 0 else None
    if null is not None:
        shorter = data[:place] + null[1]
    else:
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            return raw
        if not isinstance(document, dict) or "usage" not in document:
            return raw
        if document["usage"] is not None and document.get("choices") == [] and document.get("error") is None:
            return None
        shorter = without(data, "usage")
    at = raw.rfind(data)
    if at >= 0:
        return raw[:at] + shorter + raw[at + len(data) :]
    # The data stood on several lines: they are written again, the others kept.
    others = [line for line in re.split(rb"\r\n|\n|\r", raw) if line and not re.match(rb"(?:\xef\xbb\xbf)?data(?::|$)", line)]
    return b"\n".join([*others, *(b"data: " + line for line in shorter.split(b"\n")), b"", b""])


def _first(mapping: Mapping[str, Any], *names: str) -> Any:
    return next((mapping[name] for name in names if mapping.get(name) is not None), None)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _usage_alone(body: bytes) -> dict[str, Any] | None:
    """The usage of a large answer whose numbers or pictures are of no interest; None where it is not plainly there."""
    if body.count(b'"usage"') != 1 or b'"error"' in body:
        return None
    found = _USAGE.match(body, body.rfind(b'"usage"'))
    if found is None or not body.rstrip().endswith(b"}"):
        return None
    try:
        return {"usage": orjson.loads(found[1])}
    except orjson.JSONDecodeError:
        return None
