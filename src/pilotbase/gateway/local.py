"""A target of the spine as an upstream: a Python predictor, or any other candidate, asked in this process.

Its errors become refusals of the right kind. What a candidate raised stays in its own log: callers get none of it.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.domain.evidence import Ask, Failure, Reply, Usage, read_answer
from pilotbase.errors import UserError
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.inference import read_infer, write_infer
from pilotbase.gateway.local_answers import Frame, Said, document, events
from pilotbase.gateway.local_asks import Declared, read_asks
from pilotbase.gateway.slots import Slots
from pilotbase.gateway.tensors import spell
from pilotbase.ports import Target

__all__ = ["Asked", "Local", "LocalAnswer"]

_FAILURES: Mapping[Failure, tuple[int, str, str, bool]] = {
    "timeout": (504, "upstream_timeout", "The model did not answer in time.", True),
    "unreachable": (503, "upstream_unavailable", "The model cannot be reached at present.", True),
    "crashed": (502, "upstream_crashed", "The model ended while it answered.", True),
    "raised": (502, "upstream_error", "The model failed on this request.", False),
    "refused": (502, "upstream_refused", "The model refused this request.", False),
    "shape": (502, "upstream_invalid_answer", "The model gave an answer of no known shape.", False),
    "unparseable": (502, "upstream_invalid_answer", "The model gave an answer that cannot be read.", False),
    "too-large": (502, "upstream_answer_too_large", "The model's answer, or this request, is too large for it.", False),
}
_CRASHES = 3
"""So many crashes in a row, and the target is made anew."""
_REST = 1.0
"""Seconds between two makings, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a target: `document` is its parsed body, `usage` whether a stream shall end with a chunk of usage."""

    kind: Kind
    document: Mapping[str, Any]
    id: str
    model: str
    created: int
    stream: bool = False
    usage: bool = True
    version: str | None = None


class LocalAnswer:
    """An answer in the shape of an HTTP upstream's. `estimated` where its usage is this gateway's estimate."""

    __slots__ = (
        "_pieces",
        "attempts",
        "estimated",
        "headers",
        "length",
        "read_tokens",
        "rows",
        "status",
        "upstream",
        "wrote_tokens",
    )

    def __init__(
        self, upstream: str, pieces: Iterator[bytes], content_type: bytes, said: Sequence[Said], estimated: bool
    ) -> None:
        self.upstream = upstream
        self.status = 200
        self.headers = [(b"content-type", content_type)]
        self.attempts: Sequence[Any] = ()
        self.length: int | None = None
        self.estimated = estimated
        self.read_tokens = sum(one.read for one in said)
        self.wrote_tokens = sum(one.wrote for one in said)
        self.rows = len(said)
        self._pieces = pieces

    async def read(self, limit: int) -> bytes:
        """All of it. Refused (502) where it is longer than `limit` bytes."""
        whole = b"".join(self._pieces)
        if len(whole) > limit:
            raise _refusal("too-large")
        return whole

    async def chunk(self) -> bytes | None:
        """The next piece; None at the end."""
        return next(self._pieces, None)

    def abort(self) -> None:
        """Give up the rest."""
        self._pieces = iter(())


class Local:
    """One target, asked by one event loop.

    `make` builds it; a target whose process cannot be brought up, or that crashed three times in a row, is closed and built
    anew for a later request, at most once a second. At most `target.concurrency` calls are under way, or the slots' own limit
    where that is lower; each takes a place in `slots`. `total` limits a whole request in seconds. `estimate` says about how many
    tokens a text has, where the target does not. `clock` is monotonic.
    """

    __slots__ = (
        "_calls",
        "_clock",
        "_closed",
        "_crashes",
        "_made",
        "_old",
        "_target",
        "declared",
        "estimate",
        "make",
        "name",
        "slots",
        "total",
        "trouble",
    )

    def __init__(
        self,
        name: str,
        make: Callable[[], Target],
        declared: Declared,
        slots: Slots,
        *,
        estimate: Callable[[str], int],
        clock: Callable[[], float],
        total: float = 600.0,
    ) -> None:
        self.name = name
        self.make = make
        self.declared = declared
        self.slots = slots
        self.estimate = estimate
        self.total = total
        self.trouble: str | None = None
        self._clock = clock
        self._target: Target | None = None
        self._made = -_REST
        self._crashes = 0
        self._calls: dict[int, int] = {}
        self._old: list[Target] = []
        self._closed = False

    async def open(self, asked: Asked) -> LocalAnswer:
        """Answer a request. Refused where it is wrong (400), or the candidate failed (502), is down (503) or too slow (504)."""
        try:
            async with asyncio.timeout(self.total):
                return await self._infer(asked) if asked.kind == "infer" else await self._converse(asked)
        except TimeoutError:
            raise _refusal("timeout") from None

    async def aclose(self) -> None:
        """End the target's processes. Safe to call twice."""
        self._closed = True
        self._retire()
        for target in self._old:
            await target.aclose()
        self._old.clear()

    async def _converse(self, asked: Asked) -> LocalAnswer:
        inputs = read_asks(asked.kind, asked.document, self.declared)
        replies = await self._invoke(inputs)
        said = [self._said(one, reply) for one, reply in zip(inputs, replies, strict=True)]
        estimated = not all(_counted(reply.usage) for reply in replies)
        frame = Frame(id=asked.id, model=asked.model, created=asked.created, estimated=estimated)
        if asked.stream:
            pieces = events(asked.kind, frame, said, usage=asked.usage)
            return LocalAnswer(self.name, pieces, b"text/event-stream; charset=utf-8", said, estimated)
        return LocalAnswer(self.name, iter((document(asked.kind, frame, said),)), b"application/json", said, estimated)

    async def _infer(self, asked: Asked) -> LocalAnswer:
        request = read_infer(asked.document, self.declared.columns)
        replies = await self._invoke(request.rows)
        said, rows = [], []
        for inputs, reply in zip(request.rows, replies, strict=True):
            said.append(self._said(inputs, reply))
            label, score, text, rest = _read(reply, self.declared.positive)
            rows.append({"label": label, "score": score, "text": text} | rest)
        whole = orjson.dumps(write_infer(request, rows, model=asked.model, version=asked.version))
        estimated = not all(_counted(reply.usage) for reply in replies)
        return LocalAnswer(self.name, iter((whole,)), b"application/json", said, estimated)

    def _said(self, inputs: Mapping[str, Any], reply: Reply) -> Said:
        label, score, text, rest = _read(reply, self.declared.positive)
        if text is None:
            text = label if label is not None else spell(rest or score)
        finish = reply.extra.get("finish_reason")
        usage = reply.usage or Usage()
        prompt = sum(self.estimate(_text(value)) for value in inputs.values()) if usage.tokens_in is None else usage.tokens_in
        return Said(
            text=text,
            label=label if score is not None or label != text.strip() else None,
            score=score,
            finish=finish if isinstance(finish, str) else "stop",
            read=prompt,
            wrote=self.estimate(text) if usage.tokens_out is None else usage.tokens_out,
        )

    async def _invoke(self, inputs: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """A reply to each, in order, by calls of at most `target.batch` asks, several at once where the target allows it."""
        target = self._ready()
        asks = [Ask(key=i, inputs=one) for i, one in enumerate(inputs)]
        if len(asks) <= target.batch:
            return list(await self._call(asks))
        replies: list[Reply] = []
        groups = [asks[i : i + target.batch] for i in range(0, len(asks), target.batch)]
        for together in _portions(groups, max(1, min(target.concurrency, self.slots.limit))):
            calls = [asyncio.ensure_future(self._call(group)) for group in together]
            try:
                for call in calls:
                    replies += await call
            finally:
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
        return replies

    async def _call(self, asks: Sequence[Ask]) -> Sequence[Reply]:
        await self.slots.acquire()
        try:
            target = self._ready()  # only now: another may have been made during the wait
            self._calls[id(target)] = self._calls.get(id(target), 0) + 1
            try:
                return await self._ask(target, asks)
            finally:
                self._calls[id(target)] -= 1
                await self._bury(target)
        finally:
            self.slots.release()

    async def _ask(self, target: Target, asks: Sequence[Ask]) -> Sequence[Reply]:
        try:
            replies = await target.invoke(asks)
        except UserError as error:
            self.trouble = str(error)
            self._retire(target)
            raise _refusal("unreachable") from None
        if len(replies) != len(asks):
            raise _refusal("shape")
        self._judge(target, replies)
        return replies

    def _judge(self, target: Target, replies: Sequence[Reply]) -> None:
        """Refused for the first failure among them; a target that only crashes is retired."""
        failure = next((reply.failure for reply in replies if reply.failure), None)
        self._crashes = self._crashes + 1 if failure == "crashed" else 0
        if self._crashes >= _CRASHES:
            self.trouble = f"it crashed {self._crashes} times in a row"
            self._retire(target)
        if failure:
            raise _refusal(failure)

    def _ready(self) -> Target:
        if self._target is not None:
            return self._target
        now = self._clock()
        if self._closed or now - self._made < _REST:
            raise _refusal("unreachable")
        self._made = now
        try:
            self._target = self.make()
        except UserError as error:
            self.trouble = str(error)
            raise _refusal("unreachable") from None
        self._crashes = 0
        limit = max(1, min(self._target.concurrency, self.slots.limit))
        self.slots.resize(limit, self.slots.queue, self.slots.wait)
        return self._target

    def _retire(self, target: Target | None = None) -> None:
        """Ask this target no more; it is closed when its last call ended. None means the present one."""
        if self._target is not None and target in (None, self._target):
            self._old.append(self._target)
            self._target = None

    async def _bury(self, target: Target) -> None:
        if target in self._old and not self._calls.get(id(target)):
            self._old.remove(target)
            self._calls.pop(id(target), None)
            await target.aclose()


def _read(reply: Reply, positive: str | None) -> tuple[str | None, float | None, str | None, dict[str, Any]]:
    read = read_answer(reply.answer, positive)
    if read is None:
        raise _refusal("shape")
    return read


def _refusal(failure: Failure) -> Refused:
    status, code, message, retry = _FAILURES[failure]
    after = 1.0 if failure == "unreachable" else None
    return Refused(status=status, code=code, message=message, type="server_error", retry=retry, after=after)


def _counted(usage: Usage | None) -> bool:
    return usage is not None and usage.tokens_in is not None and usage.tokens_out is not None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else spell(value)


def _portions(groups: Sequence[Sequence[Ask]], width: int) -> Iterator[Sequence[Sequence[Ask]]]:
    return (groups[i : i + width] for i in range(0, len(groups), width))
