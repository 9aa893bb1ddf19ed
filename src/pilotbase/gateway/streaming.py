"""Streams on their way back, event by event: metered, guarded, labelled, and ended only when they are settled on the disk."""

import time

from pilotbase.domain.metering import Tokens
from pilotbase.gateway.answers import Refused, in_band
from pilotbase.gateway.armed import LARGEST, keep_sample, sampled
from pilotbase.gateway.billing import Bill
from pilotbase.gateway.bodies import Pair
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.estimate import tokens
from pilotbase.gateway.exchange import EndedError, Exchange
from pilotbase.gateway.findings import note
from pilotbase.gateway.frames import LIMIT, Frame, Frames
from pilotbase.gateway.label_stream import LabelStream
from pilotbase.gateway.meter import Meter, Reading, strip_usage
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.reported import cleaned, refused_by
from pilotbase.gateway.sending import Answer, cleaner
from pilotbase.gateway.settle import NOTHING, charge, detail_of, settle, settle_unheard
from pilotbase.gateway.wal import Progress
from pilotbase.gateway.watch import Blocked

__all__ = ["relay_stream"]

PROGRESS = 5.0
LARGE = 16 * LIMIT
"""The largest event of streams whose last event holds the whole answer, or that bring pictures."""
_SMALL: frozenset[Kind] = frozenset(("chat", "completions"))
_ENDING: frozenset[Kind] = frozenset(("chat", "completions", "responses"))
"""Streams that say themselves that they are whole."""


async def relay_stream(plane: Plane, x: Exchange, answer: Answer) -> None:
    """Bring a stream to the client. What ends it (`[DONE]`, the terminal event, the last chunk) goes out when it is settled."""
    stream = _Stream(plane, x, answer)
    try:
        await stream.run()
    except Refused as refused:
        await stream.broken(refused, "cut")
    except Blocked as blocked:
        note(x, (blocked.finding,), "block")
        await stream.broken(x.served.guarding.refusal(blocked.finding, "output"), "blocked")
    except EndedError:
        if x.stop is not None and not x.gone:
            await stream.broken(x.stop, "stopped")
        else:
            answer.abort()
            settle_unheard(plane, x, stream.bill(), "stopped" if x.stop is not None else "gone", detail_of(x))
    except BaseException:
        # Whatever else ends it, the end of this worker too: what came is not lost.
        answer.abort()
        settle_unheard(plane, x, stream.bill(), "cut", detail_of(x))
        raise
    finally:
        stream.report()


class _Stream:
    """One stream. `tail` is what may go out only after the settlement; `unseen` the units that had come when the client left."""

    __slots__ = (
        "answer",
        "failed",
        "frames",
        "guarded",
        "kept",
        "labelled",
        "meter",
        "most",
        "noted",
        "plane",
        "sample",
        "scored",
        "strip",
        "tail",
        "unseen",
        "x",
    )

    def __init__(self, plane: Plane, x: Exchange, answer: Answer) -> None:
        self.plane = plane
        self.x = x
        self.answer = answer
        kind = x.endpoint.kind
        self.frames = Frames() if kind in _SMALL else Frames(LARGE)
        self.meter = Meter(kind)
        guarding = x.served.guarding
        self.guarded = guarding.stream(kind) if guarding.output else None
        self.labelled = LabelStream(x.mark) if x.mark is not None else None
        self.strip = kind in _SMALL and not x.shape.usage_asked
        self.failed = False
        self.tail: list[Frame] = []
        self.unseen: int | None = None
        self.noted = time.perf_counter()
        arm = x.served.route.arm
        self.scored = arm is not None and sampled(arm, x.arm, x.id, x.copy_of)
        bodies = plane.bodies if plane.bodies is not None and plane.bodies.wants(x.id) else None
        self.sample: list[bytes] | None = [] if self.scored or bodies is not None else None
        self.kept = 0
        self.most = max(LARGEST if self.scored else 0, bodies.limit if bodies is not None else 0)

    async def run(self) -> None:
        """Relay until the upstream's end; then settle, then end the client's stream."""
        x, answer, page, view = self.x, self.answer, self.plane.page, self.plane.view
        while (chunk := await x.wait(answer.chunk())) is not None:
            if page.value != view.seen:
                await self.plane.look()
            if x.drain_left is not None and self.unseen is None:
                self.unseen = self.meter.units
            found = self.frames.feed(chunk)
            if found:
                await self._pass(found)
            if self.unseen is not None and tokens(self.meter.units - self.unseen) > (x.drain_left or 0):
                raise EndedError
            now = time.perf_counter()
            if now - self.noted >= PROGRESS:
                self._note(now)
        last = self.frames.finish()
        if last is not None:
            await self._pass([last])
        await self._end()

    async def _end(self) -> None:
        """The upstream has ended its answer."""
        x = self.x
        if not x.sent and not self.tail and self.guarded is None and self.labelled is None:
            raise _cut("the upstream ended its answer before it had begun")
        rest = await self._rest()
        bill = self.bill()
        reading = x.reading
        assert reading is not None
        if not x.sent and not rest:
            raise _cut("the upstream ended its answer before it had begun")
        if not reading.finished and reading.error is None and x.endpoint.kind in _ENDING:
            raise _cut("the upstream ended its answer before it was whole")
        outcome = "gone" if x.gone else "failed" if reading.error else "answered" if reading.finished else "unfinished"
        await settle(self.plane, x, bill, outcome, detail_of(x))
        if not x.gone:
            if not x.sent:
                await self._begin()
            self._keep(rest)
            await x.write(rest, more=False)

    async def _rest(self) -> bytes:
        """What was held back until now: by guards, by labels, and what ends the stream."""
        if self.guarded is not None:
            out = await self.guarded.feed(self.tail) + await self.guarded.finish()
        else:
            out = [frame.raw for frame in self.tail]
        if self.labelled is not None:
            out = self.labelled.feed(out) + self.labelled.finish()
        return b"".join(out)

    async def broken(self, refused: Refused, outcome: str) -> None:
        """The stream cannot go on: settle what came, and say so in the stream, or with a status where nothing was sent."""
        x = self.x
        self.answer.abort()
        if not x.sent:
            x.status = refused.status
        bill = self.bill()
        if outcome == "cut" and not self._came():
            await settle(self.plane, x, NOTHING, f"released: {refused.code}")
        else:
            await settle(self.plane, x, bill, "gone" if x.gone else outcome, detail_of(x))
        x.error = refused.code
        if x.gone:
            return
        if not x.sent:
            raise refused
        await x.write(in_band(refused), more=False)

    def report(self) -> None:
        """Note what the guards found, and keep what went out where it is sampled."""
        x, bodies = self.x, self.plane.bodies
        if self.guarded is not None:
            note(x, self.guarded.flags, "flag")
            note(x, self.guarded.masked, "mask")
        body = b"".join(self.sample or ())
        if self.scored:
            keep_sample(self.plane, x, body, streamed=True)
        if bodies is not None and self.sample is not None and bodies.wants(x.id):
            bodies.add(Pair(id=x.id, at=x.started / 1e6, route=x.served.route.name, request=x.body, answer=body, streamed=True))

    def _keep(self, data: bytes) -> None:
        """Remember what goes out, of a sampled stream: a little more than may be kept, so that it is told to be too long."""
        if self.sample is not None and self.kept <= self.most:
            self.sample.append(data)
            self.kept += len(data)

    def bill(self) -> Bill:
        """What came so far, by the upstream's count or by ours."""
        return charge(self.x, self.answer, self.meter.reading())

    def _came(self) -> bool:
        """Whether the upstream had begun with the answer itself: its head and its signs of life are none of it."""
        reading: Reading | None = self.x.reading
        return reading is not None and bool(reading.started or reading.tokens or reading.model or reading.response_id)

    def _note(self, now: float) -> None:
        self.noted = now
        wrote = tokens(self.meter.units)
        self.plane.ledger.progress(Progress(id=self.x.id, tokens=Tokens(read=self.x.shape.prompt, wrote=wrote)))

    async def _pass(self, found: list[Frame]) -> None:
        x, meter = self.x, self.meter
        out: list[bytes] = []
        kept: list[Frame] = []
        for frame in found:
            meter.feed(frame)
            if b'"error"' in frame.data:
                frame = self._report(frame, first=not out and not kept)
            raw = frame.raw
            if self.strip:
                stripped = strip_usage(frame)
                if stripped is None:
                    continue
                raw = stripped
            if meter.terminal or self.guarded is not None:
                if raw is not frame.raw:
                    frame = frame._replace(raw=raw)
                if not meter.terminal:
                    kept.append(frame)
                elif not (self.failed and frame.data.startswith(b"[DONE]")):
                    self.tail.append(frame)
            else:
                out.append(raw)
        if x.first is None and meter.started:
            x.first = x.seconds
        if kept and self.guarded is not None:
            out = await self.guarded.feed(kept)
        if self.labelled is not None and out:
            out = self.labelled.feed(out)
        if out:
            await self._write(out[0] if len(out) == 1 else b"".join(out))

    def _report(self, frame: Frame, *, first: bool) -> Frame:
        """An event that may tell of an error: without the upstream's address and key. The first of a stream becomes a status."""
        clean = cleaner(self.plane, self.x)
        fresh = cleaned(frame, clean)
        if fresh is None:
            return frame
        self.failed = True
        if first and not self.x.sent and not self.meter.started:
            raise refused_by(frame, clean)
        return fresh

    async def _write(self, data: bytes) -> None:
        x = self.x
        if x.gone:
            return
        if not x.sent:
            await self._begin()
        self._keep(data)
        await x.write(data, more=True)

    async def _begin(self) -> None:
        x = self.x
        headers = list(self.answer.headers)
        if x.mark is not None:
            headers += x.mark.headers()
        await x.begin(self.answer.status, [*headers, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")])


def _cut(message: str) -> Refused:
    return Refused(status=502, code="upstream_cut", type="server_error", message=message)
