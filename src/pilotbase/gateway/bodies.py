"""A sample of bodies, redacted, for whoever must see what was asked and answered. Off unless a share is given.

A line holds `id, at, route, request, answer`. Text is redacted before it is written, never afterwards: bodies that are JSON are
redacted value by value; a stream is kept as its texts, those at one place of its events put together, so that a detector sees
whole what came in pieces. What is neither is left out, and so is a body beyond the size limit, with a word why: a cut through a
number would hide it from a detector and not from a reader.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from pilotbase.gateway.access_log import Lines
from pilotbase.gateway.day_files import DAY
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.outbox import Outbox
from pilotbase.sse import Events

__all__ = ["Bodies", "Pair", "Redact", "redacted"]

Redact = Callable[[str], str]
_DEEPEST = 64
_NAMES = frozenset({"id", "object", "model", "type", "role", "item_id", "system_fingerprint"})


@dataclass(slots=True, kw_only=True)
class Pair:
    """The bodies of one request. `streamed` where the answer is a stream of server-sent events."""

    id: str
    at: float
    route: str
    request: bytes
    answer: bytes
    streamed: bool = False


class Bodies:
    """Keeps the bodies of a `share` (0 to 1) of the requests, chosen by their id, each of at most `limit` bytes.

    Every string is put through each of `redact` in turn, on a thread of its own. At most `most` bytes wait to be written.
    """

    __slots__ = ("limit", "outbox", "share")

    def __init__(
        self, sink: Lines, *, share: float, redact: Sequence[Redact], limit: int = 262_144, most: int = 67_108_864
    ) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a share of {share} is out of range: it runs from 0 to 1")
        self.share = share
        self.limit = limit
        self.outbox: Outbox[Pair] = Outbox(_writer(sink, tuple(redact), limit), most=most)

    def wants(self, id: str) -> bool:  # noqa: A002
        """Whether this request is in the sample; ask before gathering its bodies."""
        return drawn(id, self.share)

    def add(self, pair: Pair) -> bool:
        """Keep the bodies of a request that is in the sample; False where they were dropped or are not wanted."""
        return self.wants(pair.id) and self.outbox.add(pair, len(pair.request) + len(pair.answer))

    async def aclose(self, seconds: float = 5.0) -> None:
        """Write what waits, within this time."""
        await self.outbox.aclose(seconds)


def redacted(body: bytes, redact: Sequence[Redact], limit: int, *, streamed: bool = False) -> Any:
    """A body as it may be kept: a JSON value, the texts of a stream by their places, or `{"left_out": why}`."""
    if len(body) > limit:
        return {"left_out": f"{len(body)} bytes are more than {limit}"}
    if not body:
        return None
    try:
        value = _texts(body) if streamed else orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"left_out": f"{len(body)} bytes that are no JSON"}
    return _clean(value, redact, 0)


def _clean(value: Any, redact: Sequence[Redact], depth: int) -> Any:
    if depth > _DEEPEST:
        return {"left_out": f"it is nested more than {_DEEPEST} deep"}
    if isinstance(value, str):
        return _mask(value, redact)
    if isinstance(value, list):
        return [_clean(v, redact, depth + 1) for v in value]
    if isinstance(value, dict):
        return {_mask(k, redact): _clean(v, redact, depth + 1) for k, v in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        # A number may be a telephone's: it is kept as it is only where no detector sees anything in it.
        text = str(value)
        masked = _mask(text, redact)
        return value if masked == text else masked
    return value


def _mask(text: str, redact: Sequence[Redact]) -> str:
    for one in redact:
        text = one(text)
    return text


def _texts(body: bytes) -> dict[str, str]:
    """The strings of all events by place, as in `choices.0.delta.content`; a name that every event repeats is kept once."""
    decoder = Events()
    found: dict[str, list[str]] = {}
    for data in [*decoder.feed(body), *decoder.finish()]:
        if data == b"[DONE]":
            continue
        document = orjson.loads(data)
        kind = document.get("type") if isinstance(document, dict) else None
        _gather(document, kind if isinstance(kind, str) else "", found, 0)
    return {
        place: texts[0] if place.rpartition(".")[2] in _NAMES and len(set(texts)) == 1 else "".join(texts)
        for place, texts in found.items()
    }


def _gather(value: Any, place: str, found: dict[str, list[str]], depth: int) -> None:
    if isinstance(value, str):
        found.setdefault(place, []).append(value)
    elif depth > _DEEPEST:
        return
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            index = inner.get("index", i) if isinstance(inner, dict) else i
            _gather(inner, f"{place}.{index}" if place else str(index), found, depth + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _gather(inner, f"{place}.{key}" if place else key, found, depth + 1)


def _writer(sink: Lines, redact: Sequence[Redact], limit: int) -> Callable[[Sequence[Pair]], int]:
    def write(pairs: Sequence[Pair]) -> int:
        lines = []
        for pair in pairs:
            document = {
                "id": pair.id,
                "at": datetime.fromtimestamp(pair.at, UTC),
                "route": pair.route,
                "request": redacted(pair.request, redact, limit),
                "answer": redacted(pair.answer, redact, limit, streamed=pair.streamed),
            }
            lines.append((int(pair.at // DAY), orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)))
        sink.write(lines)
        return 0

    return write
