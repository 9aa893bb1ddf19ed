"""Guards on a stream: a frame goes out once its text is settled, as it came, or written anew where something in it was masked.

Frames keep their order. What is held back is bounded: frames and bytes by the constants below, characters by twice the largest
reach of the guards (see `ports.Guard`) or by the window of a model guard. A frame that cannot be read is not let through.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.frames import Frame
from pilotbase.gateway.lenient import parse
from pilotbase.gateway.texts import Path, Piece, frame_pieces, replace
from pilotbase.gateway.watch import Blocked, Found, Panel, Watch
from pilotbase.ports import Finding

__all__ = ["MOST_BYTES", "MOST_FRAMES", "MOST_LANES", "UNREADABLE", "Holdback"]

MOST_FRAMES = 65_536
MOST_BYTES = 8 * 1024 * 1024
MOST_LANES = 1024
UNREADABLE = "unreadable-frame"
"""The rule that a frame breaks which is no JSON: no guard can tell what stands in it."""
_DONE = b"[DONE]"


@dataclass(slots=True)
class _Part:
    """A piece of a held frame: which text it belongs to, and where in it."""

    watch: Watch
    start: int
    end: int
    piece: Piece


@dataclass(slots=True)
class _Held:
    frame: Frame
    document: Any
    parts: list[_Part]


class Holdback:
    """The guards on one stream. `flags` and `masked` grow as it goes; after Blocked or Refused it takes no more frames."""

    __slots__ = ("_bytes", "_found", "_held", "_kind", "_lanes", "_panel")

    def __init__(self, panel: Panel, kind: Kind) -> None:
        self._panel = panel
        self._kind = kind
        self._found = Found()
        self._lanes: dict[Path, Watch] = {}
        self._held: deque[_Held] = deque()
        self._bytes = 0

    @property
    def flags(self) -> Sequence[Finding]:
        """What guards that let pass have found so far."""
        return tuple(self._found.flags)

    @property
    def masked(self) -> Sequence[Finding]:
        """What has been masked so far."""
        return tuple(self._found.masked)

    async def feed(self, frames: Sequence[Frame]) -> list[bytes]:
        """The bytes that may go out by now.

        Raises Blocked (see `guards.refusal`): nothing of what was found has gone out, and what is still held must not. Refused
        (502) where more would have to be held than the bounds allow.
        """
        if not self._panel:
            return [frame.raw for frame in frames]
        touched: dict[int, Watch] = {}
        for frame in frames:
            held = await self._read(frame)
            self._held.append(held)
            self._bytes += len(frame.raw)
            for part in held.parts:
                if part.piece.grows:
                    touched[id(part.watch)] = part.watch
        for watch in touched.values():
            await watch.settle()
        ready = self._release()
        if len(self._held) > MOST_FRAMES or self._bytes > MOST_BYTES:
            message = "The answer could not be checked within the limits of this gateway."
            raise Refused(status=502, code="guard_overflow", type="server_error", message=message, retry=False)
        return ready

    async def finish(self) -> list[bytes]:
        """The rest, once the stream has ended. Raises Blocked as `feed` does."""
        for watch in self._lanes.values():
            await watch.settle(final=True)
        return self._release()

    async def _read(self, frame: Frame) -> _Held:
        if not frame.data or frame.data.strip() == _DONE:
            return _Held(frame, None, [])
        document = _parsed(frame.data)
        parts: list[_Part] = []
        whole: dict[Path, list[_Part]] = {}
        for piece in frame_pieces(self._kind, document):
            watch = self._lane(piece.lane) if piece.grows else _lane_of(whole, piece, self._panel, self._found)
            start = watch.end
            watch.add(piece.text)
            part = _Part(watch, start, watch.end, piece)
            parts.append(part)
            if not piece.grows:
                whole.setdefault(piece.lane, []).append(part)
        for texts in whole.values():
            await texts[0].watch.settle(final=True)
        return _Held(frame, document, parts)

    def _lane(self, lane: Path) -> Watch:
        watch = self._lanes.get(lane)
        if watch is None:
            if len(self._lanes) >= MOST_LANES:
                message = "The answer has more parts than this gateway can check."
                raise Refused(status=502, code="guard_overflow", type="server_error", message=message, retry=False)
            watch = self._lanes[lane] = Watch(self._panel, self._found)
        return watch

    def _release(self) -> list[bytes]:
        ready: list[bytes] = []
        while self._held and (not self._panel.holds or all(part.end <= part.watch.done for part in self._held[0].parts)):
            held = self._held.popleft()
            self._bytes -= len(held.frame.raw)
            ready.append(_rendered(held))
        return ready


def _lane_of(whole: dict[Path, list[_Part]], piece: Piece, panel: Panel, found: Found) -> Watch:
    parts = whole.get(piece.lane)
    return parts[0].watch if parts else Watch(panel, found)


def _parsed(data: bytes) -> Any:
    try:
        # Half a surrogate pair between two deltas, or a NaN among the probabilities: read by others, so by us.
        return parse(data)
    except ValueError:
        raise Blocked(Finding(guard="stream", rule=UNREADABLE, start=0, end=0)) from None


def _rendered(held: _Held) -> bytes:
    changed = False
    for part in held.parts:
        text = part.watch.render(part.start, part.end, part.piece.text)
        if text != part.piece.text:
            held.document = replace(held.document, part.piece.path, text)
            changed = True
    if not changed:
        return held.frame.raw
    raw, data = held.frame.raw, held.frame.data
    # In ASCII: what was read as half a surrogate pair can be written in no other way.
    fresh = json.dumps(held.document, separators=(",", ":")).encode()
    if raw.count(data) == 1:
        return raw.replace(data, fresh)
    name = b"event: " + held.frame.event + b"\n" if held.frame.event else b""
    return name + b"data: " + fresh + b"\n\n"
