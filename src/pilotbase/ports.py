"""The joints of pilotbase, as Protocols whose docstrings are the contract. Read this file first.

Features meet only here and in `domain`: the runner asks targets and judges, checks score and tally without knowing either,
evidence is written to a log and read back before anything is concluded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pilotbase.domain.bounds import Bounds
from pilotbase.domain.evidence import Ask, Failure, Reply
from pilotbase.domain.variant import Variant

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Blobs",
    "Cases",
    "Clock",
    "Coded",
    "EvidenceLog",
    "Executor",
    "Finding",
    "Fingerprint",
    "FrameReply",
    "FrameTarget",
    "Guard",
    "GuardKind",
    "Judge",
    "Judgement",
    "Observations",
    "Prompting",
    "Question",
    "RemoteGuard",
    "Results",
    "Scoreboard",
    "Secrets",
    "Signer",
    "Target",
    "TargetContext",
    "TargetKind",
]

Secrets = Callable[[str], str | None]
"""Look up a secret by the name of its environment variable. Values never reach logs, evidence or errors."""


class Clock(Protocol):
    """Wall time, for records only: durations are measured with a monotonic clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """How inputs become chat messages: each (role, template); `{column}` in a template is that input."""

    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetContext:
    """What a target may know of its pilot: where relative paths start, how prompts are made, who keeps secrets.

    `bounds` are set for a pilot that came by upload: a target then reaches only what they allow, whatever its options say.

    `positive` is not here, nor is any column but the inputs: the answer key never reaches a target.
    """

    folder: Path
    prompting: Prompting
    secrets: Secrets
    scratch: Path
    media: tuple[str, ...] = ()
    bounds: Bounds | None = None


class Target(Protocol):
    """A way to reach one candidate.

    `concurrency`: how many `invoke` calls the caller may have under way at once (a target may hold some back itself, to obey an
    endpoint). `batch`: how many asks one `invoke` takes at most.
    """

    concurrency: int
    batch: int

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        """Answer 1..batch asks, one reply an ask, in order.

        Never raises for what a candidate did: that is a Reply with a `failure`. Raises UserError (code 4) only where the
        candidate cannot be reached at all (no such module, connection refused on the first call). With `open_loop` the call
        starts at once, without waiting for a slot, and is not retried: it is being timed. Always ends within the target's own
        time limit.
        """
        ...

    async def aclose(self) -> None:
        """End processes and connections. Safe to call twice."""
        ...


@dataclass(slots=True, kw_only=True)
class FrameReply:
    """Columns that came back for a frame, each of the frame's height, or a failure of the whole frame.

    `labels` holds strings, numbers or booleans as the candidate gave them; `failed` marks rows whose answer had no known shape.
    """

    labels: Sequence[Any] | NDArray[Any] | None = None
    scores: NDArray[np.float64] | None = None
    texts: Sequence[str | None] | None = None
    failed: NDArray[np.bool_] | None = None
    failure: Failure | None = None
    detail: str = ""
    started: float = 0.0
    seconds: float = 0.0


class FrameTarget(Target, Protocol):
    """A target that takes whole Polars frames; `frame` is how many rows at a time (0: it takes none)."""

    frame: int

    async def invoke_frame(self, frame: "pl.DataFrame") -> FrameReply:
        """Answer a frame of inputs. Same promises as `invoke`."""
        ...


class TargetKind(Protocol):
    """What an entry point in `pilotbase.targets` names: a module-level object for one way to reach a candidate.

    A kind that may be used in uploaded pilots has a further method `outside(options, bounds, folder) -> Iterator[Problem]`, which
    tells what the options would reach that the bounds do not allow, without calling anything. Kinds without it are refused there.
    """

    name: str
    options: type
    """A frozen dataclass carrying `__pydantic_config__ = CONFIG`; may have `problems() -> Iterator[Problem]`."""

    def build(self, options: Any, context: TargetContext) -> Target:
        """A target ready to be asked. Starts nothing until the first `invoke`."""
        ...

    def fingerprint(self, options: Any, context: TargetContext) -> "Fingerprint":
        """The candidate's identity (VERDICT.md section 7), computed without calling it. UserError where a file is missing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """`digest` is `sha256:...`; `self_declared` where nobody but the owner can tell whether the candidate changed."""

    digest: str
    kind: str
    self_declared: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A column of few distinct strings: `codes[i]` is the place of row i's value in `names`, -1 where it is missing."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    def values(self) -> list[str | None]:
        """The column spelled out."""
        return [self.names[c] if c >= 0 else None for c in self.codes.tolist()]


class Cases(Protocol):
    """The cases of a pilot in their recorded random order: position 0 is asked first.

    `incidents` names the incident that a case came from, -1 for ordinary cases; None where no such column is declared.

    All arrays are over positions. `digest` covers the file's bytes and its media; `order` the permutation. `repairs` says in
    words what was mended on reading (an encoding, a byte order mark).
    """

    count: int
    digest: str
    order: str
    repairs: tuple[str, ...]
    ids: Sequence[str]
    truth: Coded | None
    numbers: NDArray[np.float64] | None
    groups: Mapping[str, Coded]
    clusters: Coded | None
    incidents: Coded | None

    def inputs(self, start: int, stop: int) -> "pl.DataFrame":
        """The inputs, and nothing else, at positions start <= p < stop."""
        ...

    def spread(self) -> Mapping[str, float]:
        """Standard deviation of each numeric input over all ordinary cases."""
        ...


Record = Callable[[Sequence[Ask], Sequence[Reply]], None]


class Executor(Protocol):
    """Runs asks against a target with as many under way as the target allows."""

    async def run(self, target: Target, items: Iterable[Sequence[Ask]], record: Record) -> None:
        """Pull batches of asks from `items` as slots fall free, and hand each batch with its replies to `record`.

        A slot is given back only after `record` returned, so that a crash repeats at most `target.concurrency` calls. `items` is
        pulled lazily: it may end early. An error raised by `record` or by the target (UserError) ends the run and propagates.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Observations:
    """Recorded answers of one candidate to one variant, as columns of one length (see `domain.evidence.OBSERVATION`).

    `label` may be a Polars Series or a list; `score` holds NaN where there is none; absent columns are None.
    """

    variant: int
    position: NDArray[np.int64]
    failed: NDArray[np.bool_]
    label: Any
    score: NDArray[np.float64]
    text: Any = None
    extra: Any = None
    repetition: NDArray[np.int64] | None = None
    cost: NDArray[np.float64] | None = None
    tokens_in: NDArray[np.float64] | None = None
    tokens_out: NDArray[np.float64] | None = None
    seconds: NDArray[np.float64] | None = None
    ttft: NDArray[np.float64] | None = None
    scheduled: NDArray[np.float64] | None = None
    late: NDArray[np.float64] | None = None


@dataclass(slots=True, kw_only=True)
class Results:
    """Live requests of one arm of a release, in the order in which they came, as columns of one length.

    `started` in microseconds since the epoch; `bad` is 1 for a failure, 0 for an answer, NaN for what says nothing; `pending`
    marks what is not settled. `seconds` and `ttft` are infinite for failures, `cost` is in units of currency; NaN where there is
    none. `copy_of` names the request that a shadow repeats.
    """

    ids: list[str]
    copy_of: list[str]
    started: NDArray[np.int64]
    bad: NDArray[np.float64]
    pending: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    ttft: NDArray[np.float64]
    cost: NDArray[np.float64]
    tokens_in: NDArray[np.float64]
    tokens_out: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


class Scoreboard(Protocol):
    """All checks on one candidate: what they still need asked, and what they make of the answers.

    The runner feeds it live, to stop early; `conclude` feeds it the records read back, to decide. Equal records give equal
    results, in whatever order and portions they were added.
    """

    @property
    def variants(self) -> Sequence[Variant]:
        """The ways of asking that its checks need; 0 is the plain one."""
        ...

    def wanted(self, variant: int, start: int, stop: int) -> NDArray[np.bool_]:
        """Which positions of start <= p < stop some undecided check still needs asked in this variant."""
        ...

    def add(self, seen: Observations) -> None:
        """Score answers. Each (position, repetition) of a variant once."""
        ...

    def look(self) -> Sequence[str]:
        """Look at every complete prefix that is due; the ids of checks that this decided."""
        ...

    def open(self) -> bool:
        """Whether some check that asks is undecided."""
        ...


class Blobs(Protocol):
    """Bytes by their digest."""

    def put(self, data: bytes) -> str:
        """Keep `data` durably; its `sha256:...`. Idempotent."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes, verified. UserError where they are missing or changed."""
        ...

    def has(self, digest: str) -> bool: ...


class EvidenceLog(Protocol):
    """Append-only rows of one schema (`domain.evidence.OBSERVATION`), in hash-chained segments.

    Whatever `append` returned for survives a killed process; after `sync` it survives a power cut.
    """

    def append(self, row: Mapping[str, object]) -> None: ...

    def append_columns(self, columns: "Mapping[str, Any] | pl.DataFrame") -> None: ...

    def sync(self) -> None: ...

    def seal(self) -> None: ...

    def read(self, columns: Sequence[str] | None = None) -> Iterator["pl.DataFrame"]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One answer to be judged: the case's inputs, the expected answer where there is one, and what the candidate said."""

    key: int
    inputs: Mapping[str, Any]
    expected: str | None
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`choice` is of the judge's enumeration, or `unparseable`, or None with a `failure`."""

    key: int
    choice: str | None
    score: float | None = None
    failure: Failure | None = None
    detail: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)


class Judge(Protocol):
    """Scores answers. Called by the runner only, with at most `concurrency` calls under way."""

    concurrency: int

    @property
    def choices(self) -> tuple[str, ...]: ...

    @property
    def identity(self) -> str: ...

    async def judge(self, questions: Sequence[Question]) -> Sequence[Judgement]: ...

    async def aclose(self) -> None: ...


class Signer(Protocol):
    """Signs bytes with a key that never leaves it."""

    key_id: str

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a guard found in a text: characters `start <= i < end`, by which of its rules, and what stands there when masked.

    What was found is never part of it: findings go to logs.
    """

    guard: str
    rule: str
    start: int
    end: int
    mask: str = "***"


Phase = Literal["input", "output"]


class Guard(Protocol):
    """A deterministic rule on live text, run in the process itself.

    `reach` is how many characters of a growing text stay open: a finding in `text` that ends more than `reach` characters before
    its end is found in every longer text too, and no longer text has another one there. Findings are never longer than `reach`.
    """

    name: str
    reach: int

    def inspect(self, text: str, phase: Phase) -> Sequence[Finding]:
        """All findings, in order of `start`. Never raises for any text."""
        ...


class RemoteGuard(Protocol):
    """A model that judges whole texts over HTTP. `fail_open`: whether a text passes when the model does not answer in time."""

    name: str
    fail_open: bool

    async def judge(self, text: str, phase: Phase) -> Sequence[Finding] | None:
        """All findings; None where no judgement came within the guard's own time limit. Never raises."""
        ...

    async def aclose(self) -> None: ...


class GuardKind(Protocol):
    """What an entry point in `pilotbase.guards` names."""

    name: str
    options: type
    """A frozen dataclass carrying `__pydantic_config__ = CONFIG`; may have `problems() -> Iterator[Problem]`."""

    def build(self, options: Any, folder: Path, secrets: Secrets) -> "Guard | RemoteGuard":
        """A guard ready to inspect. Relative paths start at `folder`. UserError where a file is missing or unreadable."""
        ...
