"""Candidates that are Python callables, each run in a process of its own.

The callable takes one mapping and returns an answer; with `batch: N` a list of up to N mappings and returns as many answers; with
`frame: N` a Polars frame of up to N rows and returns a column (array, Series, list) or columns named label, score, text.
"""

import asyncio
import json
import os
import pickle
import pwd
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import polars as pl

from pilotbase.domain.bounds import Bounds, file_problems
from pilotbase.domain.evidence import FAILURES, Ask, Reply
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import parse_duration
from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint, FrameReply, TargetContext
from pilotbase.targets.bisect import isolate
from pilotbase.targets.fingerprint import code_files, combine, digest_files, environment
from pilotbase.targets.frames import Columns, Fault, encode, join, read_columns
from pilotbase.targets.process import Log, LostError, Process
from pilotbase.targets.python_worker import ANSWERS, ASK, BIG_ANSWERS, CALL_LIMIT, COLUMNS, FAILED, FRAME, ONE_LIMIT, READY, SETUP
from pilotbase.targets.sandbox import Sandbox, sandbox_of

__all__ = ["Options", "PythonKind", "PythonTarget", "kind", "parse_size"]

_WORKER = Path(__file__).with_name("python_worker.py")
_FIRST_STARTS, _LATER_STARTS = 3, 50
_PATIENCE, _CEILING = 64, 2048
_BUDGET = 20
_MARGIN = 65536  # room for the frame around answers that are within the limit
_GARBAGE = Fault("crashed", "the candidate wrote into the channel that carries its answers")
_SIZES = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_CALL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def parse_size(text: str) -> int:
    """`2GiB`, `512 MB` -> bytes. Raises ValueError with what is allowed."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if not match or match[2] not in _SIZES or not float(match[1]) * _SIZES[match[2]] >= 2**24:
        raise ValueError(f"`{text}` is not a size of at least 16 MiB; write a number with {', '.join(_SIZES)}, as in `2GiB`")
    return int(float(match[1]) * _SIZES[match[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`call` is `module:callable`; the module lies beside the pilot file or is installed.

    `batch`, `frame`: how many cases a call takes at once (0: one, as a mapping). `timeout` limits each call. `memory` limits the
    address space of a process. `files` are files or folders that the candidate is made of, besides code. `env` names the
    variables of pilotbase's own environment that it may see.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    call: str
    batch: int = 0
    frame: int = 0
    timeout: str = "30s"
    memory: str | None = None
    workers: int = 1
    files: tuple[str, ...] = ()
    env: tuple[str, ...] = ()

    def problems(self) -> Iterator[Problem]:
        if not _CALL.fullmatch(self.call):
            yield Problem(("call",), f"`{self.call}` does not name a callable", "write `module:callable`, as in `models:predict`")
        for word, value, top in (("batch", self.batch, 65_536), ("frame", self.frame, 10_000_000)):
            if not 0 <= value <= top:
                yield Problem((word,), f"`{word}` is {value}", f"use a whole number from 0 to {top}")
        if self.batch and self.frame:
            yield Problem(("frame",), "`batch` and `frame` are both given", "a callable takes lists or frames; keep one")
        if not 1 <= self.workers <= 256:
            yield Problem(("workers",), f"`workers` is {self.workers}", "use a whole number from 1 to 256")
        for word, parse in (("timeout", parse_duration), ("memory", parse_size)):
            text = getattr(self, word)
            if text is None:
                continue
            try:
                parse(text)
            except ValueError as error:
                yield Problem((word,), str(error))


class PythonTarget:
    """Implements ports.FrameTarget over a pool of `workers` processes.

    A call with several cases that fails as a whole is halved until the bad cases stand alone, which costs at most
    2 bad log2(batch) further calls and at most 20 time limits; with `open_loop` it is not. A frame of which 64 calls and 8 single
    rows failed, and none succeeded, fails as a whole; after 2048 failed calls, so do the rows not yet told apart.
    With `open_loop` a call may wait for a process, as it would in a server's queue; the wait counts as its time.
    """

    def __init__(self, options: Options, context: TargetContext, *, start_seconds: float = 120.0) -> None:
        self.concurrency = options.workers
        self.frame = options.frame
        self.batch = options.frame or options.batch or 1
        self._options = options
        self._context = context
        self._seconds = parse_duration(options.timeout)
        self._start_seconds = start_seconds
        self._log = Log(context.scratch / f"python-{re.sub(r'[^A-Za-z0-9.-]+', '-', options.call)}.log")
        self._processes: list[Process] = []
        self._idle: list[Process] = []
        self._waiting: deque[asyncio.Future[Process]] = deque()
        self._worked = False
        self._bad_starts = 0
        self._sandbox: Sandbox | None = sandbox_of(
            context.bounds, context.folder, parse_size(options.memory) if options.memory else 0
        )

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        """Answer 1..batch asks. UserError (code 4) where the callable cannot be loaded, or its process ends at every start."""
        arrived, begun = time.time(), time.perf_counter()
        try:
            process = await self._take(self._seconds if open_loop else None)
        except TimeoutError:
            detail = f"no process was free within {self._seconds:g} s"
            return [Reply(failure="timeout", detail=detail, started=arrived, seconds=time.perf_counter() - begun) for _ in asks]
        try:
            if self.frame:
                replies = await self._ask_frame(process, asks)
            elif len(asks) == 1 or open_loop:
                replies = (await self._ask(process, asks))[0]
            else:
                replies = await self._ask_apart(process, asks)
        finally:
            self._give(process)
        if open_loop:
            for reply in replies:
                reply.started, reply.seconds = arrived, time.perf_counter() - begun
        return replies

    async def invoke_frame(self, frame: pl.DataFrame) -> FrameReply:
        """Answer a frame. `failed` marks its bad rows; the detail says what happened to the first of them."""
        process = await self._take(None)
        try:
            return await self._frame(process, frame)
        finally:
            self._give(process)

    async def aclose(self) -> None:
        """End every process with all that it started."""
        for process in self._processes:
            await process.stop()

    async def _ask(self, process: Process, asks: Sequence[Ask]) -> tuple[list[Reply], bool]:
        """(replies, whether the call failed as a whole)."""
        body = pickle.dumps([a.inputs if type(a.inputs) is dict else dict(a.inputs) for a in asks], 5)
        limit = (CALL_LIMIT if len(asks) > 1 else ONE_LIMIT) + _MARGIN
        outcome, started, seconds = await self._call(process, ASK, body, limit)
        read = outcome if isinstance(outcome, Fault) else _read_answers(*outcome, len(asks))
        if isinstance(read, Fault):
            return [Reply(failure=read.failure, detail=read.detail, started=started, seconds=seconds) for _ in asks], True
        answers, failed = read
        replies = [Reply(answer=answer, started=started, seconds=seconds) for answer in answers]
        for i, failure, detail in failed:
            replies[i].failure, replies[i].detail, replies[i].answer = failure, detail, None
        return replies, False

    async def _ask_apart(self, process: Process, asks: Sequence[Ask]) -> list[Reply]:
        async def attempt(start: int, stop: int) -> tuple[list[Reply], bool]:
            return await self._ask(process, asks[start:stop])

        replies: list[Reply] = []
        for _, _, part, calls in await isolate(len(asks), attempt, more=self._budget()):
            for reply in part:
                reply.attempts = calls
            replies += part
        return replies

    async def _ask_frame(self, process: Process, asks: Sequence[Ask]) -> list[Reply]:
        frame = pl.DataFrame([dict(a.inputs) for a in asks], infer_schema_length=None)
        reply = await self._frame(process, frame)
        return _spell_out(reply, len(asks))

    async def _frame(self, process: Process, frame: pl.DataFrame) -> FrameReply:
        started, begun = time.time(), time.perf_counter()

        async def attempt(start: int, stop: int) -> tuple[Columns | Fault, bool]:
            part = frame if stop - start == frame.height else frame.slice(start, stop - start)
            outcome, _, _ = await self._call(process, FRAME, encode(part), CALL_LIMIT + _MARGIN)
            read = outcome if isinstance(outcome, Fault) else _read_frame(*outcome, stop - start)
            return read, isinstance(read, Fault)

        spans = await isolate(frame.height, attempt, patience=_PATIENCE, ceiling=_CEILING, more=self._budget())
        return join(frame.height, [(a, b, outcome) for a, b, outcome, _ in spans], started, time.perf_counter() - begun)

    async def _call(self, process: Process, kind: int, body: bytes, limit: int) -> tuple[tuple[int, bytes] | Fault, float, float]:
        """(kind and body or a fault, its start in seconds since the epoch, the seconds it took without a process's start)."""
        started, begun = time.time(), time.perf_counter()
        try:
            if not process.alive:
                await self._start(process)
                started, begun = time.time(), time.perf_counter()
            outcome: tuple[int, bytes] | Fault = await process.call(kind, body, seconds=self._seconds, limit=limit)
        except LostError as lost:
            outcome = Fault(lost.failure, lost.detail)
        return outcome, started, time.perf_counter() - begun

    async def _start(self, process: Process) -> None:
        """Raises LostError where a candidate that started before does not, UserError where it never did or failed 50 times."""
        while True:
            await process.start()
            refused, trace = False, ""
            try:
                kind, body = await process.call(SETUP, self._setup(), seconds=self._start_seconds, limit=ONE_LIMIT)
                if kind == READY:
                    self._worked, self._bad_starts = True, 0
                    return
                (words, trace), refused = orjson.loads(body), True
            except LostError as lost:
                words, trace = lost.detail, self._log.tail.decode("utf-8", "replace")
            except ValueError:
                words = _GARBAGE.detail
            await process.stop()
            self._bad_starts += 1
            if self._bad_starts >= (_LATER_STARTS if self._worked else 1 if refused else _FIRST_STARTS):
                raise UserError(
                    f"`{self._options.call}` cannot be loaded: {words}",
                    where=str(self._context.folder),
                    hint=str(trace).rstrip()[-1500:] or "its process ended while it was starting",
                    code=4,
                )
            if self._worked:
                raise LostError("crashed", f"its process could not be started again: {words}")

    def _setup(self) -> bytes:
        options = self._options
        return pickle.dumps(
            {
                "folder": self._sandbox.folder if self._sandbox is not None else str(self._context.folder.resolve()),
                "call": options.call,
                "way": _way(options),
                "memory": parse_size(options.memory) if options.memory else 0,
            }
        )

    async def _take(self, limit: float | None) -> Process:
        if not self._processes:
            environment = _environment(self._options, self._context)
            command: tuple[str, ...] = (sys.executable, "-P", str(_WORKER))
            if self._sandbox is not None:
                command, environment = self._sandbox.command(command), self._sandbox.environment(environment)
            for _ in range(self.concurrency):
                self._processes.append(Process(command, folder=self._context.folder, environment=environment, log=self._log))
            self._idle = list(self._processes)
        if self._idle:
            return self._idle.pop()
        place: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(limit):
                return await place
        except (TimeoutError, asyncio.CancelledError):
            if place.done() and not place.cancelled():
                self._give(place.result())
            raise

    def _give(self, process: Process) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(process)
                return
        self._idle.append(process)

    def _budget(self) -> Any:
        end = time.perf_counter() + _BUDGET * self._seconds
        return lambda: time.perf_counter() < end


def _way(options: Options) -> str:
    return "frame" if options.frame else "batch" if options.batch else "one"


def _environment(options: Options, context: TargetContext) -> dict[str, str]:
    # Nothing is inherited: pilotbase's own environment may hold the keys of other candidates and judges.
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = str(context.scratch)
    values = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        # A stale .pyc could be run in place of the source that the fingerprint names.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if options.workers > 1:
        share = str(max(1, (os.cpu_count() or 1) // options.workers))
        values |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), share)
    for name in options.env:
        found = context.secrets(name)
        if found is None:
            hint = f"set it, or take it out of `env` of `{options.call}`"
            raise UserError(f"the environment variable `{name}` is not set", hint=hint)
        values[name] = found
    return values


def _read_answers(kind: int, body: bytes, count: int) -> tuple[list[Any], list[tuple[int, Any, str]]] | Fault:
    try:
        if kind == FAILED:
            failure, detail = orjson.loads(body)
            return Fault(failure, detail) if failure in FAILURES else _GARBAGE
        if kind not in (ANSWERS, BIG_ANSWERS):
            return _GARBAGE
        answers, failed = orjson.loads(body) if kind == ANSWERS else json.loads(body)
        known = all(isinstance(i, int) and 0 <= i < count and failure in FAILURES for i, failure, _ in failed)
        return (answers, failed) if known and len(answers) == count else _GARBAGE
    except (ValueError, TypeError):
        return _GARBAGE


def _read_frame(kind: int, body: bytes, height: int) -> Columns | Fault:
    try:
        if kind == FAILED:
            failure, detail = orjson.loads(body)
            return Fault(failure, detail) if failure in FAILURES else _GARBAGE
        return read_columns(body, height) if kind == COLUMNS else _GARBAGE
    except (ValueError, TypeError, KeyError):
        return _GARBAGE


def _spell_out(reply: FrameReply, count: int) -> list[Reply]:
    started, seconds = reply.started, reply.seconds
    if reply.failure is not None:
        return [Reply(failure=reply.failure, detail=reply.detail, started=started, seconds=seconds) for _ in range(count)]
    labels, scores, texts = ([None] * count if v is None else list(v) for v in (reply.labels, reply.scores, reply.texts))
    failed = np.zeros(count, np.bool_) if reply.failed is None else reply.failed
    replies = []
    for label, score, text, bad in zip(labels, scores, texts, failed.tolist(), strict=True):
        fields = {"label": label, "score": score, "text": text}
        answer = {k: v.item() if isinstance(v, np.generic) else v for k, v in fields.items() if v is not None}
        if bad:
            replies.append(Reply(failure="shape", detail=reply.detail, started=started, seconds=seconds))
        else:
            replies.append(Reply(answer=answer, started=started, seconds=seconds))
    return replies


class PythonKind:
    """The kind `python` (ports.TargetKind). `shorthand` names the option that a plain string under `python` stands for."""

    name = "python"
    options = Options
    shorthand = "call"

    def build(self, options: Options, context: TargetContext) -> PythonTarget:
        """A target whose processes start when it is first asked."""
        return PythonTarget(options, context)

    def outside(self, options: Options, bounds: Bounds, folder: Path) -> Iterator[Problem]:
        """See `ports.TargetKind`."""
        if bounds.code == "off":
            hint = "an operator allows it by PILOTBASE_UPLOADED_CODE; until then use a chat endpoint or recorded answers"
            yield Problem(("call",), "code that was uploaded is not run on this base", hint)
        top = options.call.partition(":")[0].partition(".")[0]
        if not (folder / f"{top}.py").is_file() and not (folder / top).is_dir():
            yield Problem(("call",), f"there is no `{top}.py` among the pilot's files", "send the code with the pilot")
        for i, name in enumerate(options.files):
            yield from file_problems(name, "files", i)
        for i, name in enumerate(options.env):
            if not bounds.allows_variable(name):
                hint = f"an operator allows it by PILOTBASE_ALLOW_VARIABLES={name}"
                yield Problem(("env", i), f"an uploaded pilot may not read the variable `{name}`", hint)

    def fingerprint(self, options: Options, context: TargetContext) -> Fingerprint:
        """Digests of code, declared files and environment; the callable's name and the way it is called are parts too."""
        root, files = code_files(options.call.partition(":")[0], context.folder)
        parts = {"call": options.call, "takes": _way(options)}
        parts |= {f"code {name}": digest for name, digest in digest_files(files, root).items()}
        declared = [context.folder / name for name in options.files]
        parts |= {f"file {name}": digest for name, digest in digest_files(declared, context.folder).items()}
        return combine(self.name, {**parts, **environment()})


kind = PythonKind()
