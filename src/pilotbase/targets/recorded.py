"""Answers given before, by people, a device's log or another tool, read from a file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl

from pilotbase.domain.bounds import Bounds, file_problems
from pilotbase.domain.evidence import Ask, Reply, canonical_label
from pilotbase.domain.problem import CONFIG, Problem, nearest
from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint, TargetContext
from pilotbase.targets.fingerprint import combine, digest_file

__all__ = ["Options", "RecordedAnswers", "RecordedKind", "RecordedTarget", "kind"]

_SHOWN = 5


class RecordedTarget(Protocol):
    """A target whose answers are found by case id, which no other target ever sees. Asked through `answers`, never `invoke`."""

    by_id: bool

    def answers(self, ids: Sequence[str]) -> list[Reply]:
        """One reply a case, in order; an id without an answer is a failure `refused`. UserError where the file cannot be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A CSV, JSON Lines or Parquet file, and the names of its columns.

    With `reader` a case may have several answers, one a reader. `score` is a number beside the answer, `seconds` how long
    it took.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    path: str
    id: str = "id"
    answer: str = "answer"
    reader: str | None = None
    score: str | None = None
    seconds: str | None = None

    def columns(self) -> dict[str, str]:
        """Role to column, of those declared."""
        return {
            role: name for role in ("id", "answer", "reader", "score", "seconds") if (name := getattr(self, role)) is not None
        }

    def problems(self) -> Iterator[Problem]:
        if Path(self.path).suffix.lower() not in _READERS:
            yield Problem(("path",), f"`{self.path}` is not of a known kind", f"use a file ending in {', '.join(_READERS)}")
        seen: dict[str, str] = {}
        for role, name in self.columns().items():
            if name in seen:
                yield Problem((role,), f"`{name}` is already the column of `{seen[name]}`", "name another column")
            seen.setdefault(name, role)


@dataclass(slots=True)
class _Opinions:
    """What is known of one case: (reader, answer, score) each, and the seconds of each that has them."""

    given: list[tuple[str, Any, float | None]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class RecordedAnswers:
    """Implements RecordedTarget over a file, which is read when it is first asked.

    Of several readers the answer is the label that most gave; of labels given equally often, the one whose first reader comes
    first in sorted order. Numbers with fractions are averaged, whole numbers are labels. `extra["readers"]` holds what each
    reader answered.
    """

    concurrency = 1
    batch = 1
    by_id = True

    def __init__(self, options: Options, context: TargetContext) -> None:
        self._options = options
        self._path = context.folder / options.path
        self._found: dict[str, Reply] | None = None

    def answers(self, ids: Sequence[str]) -> list[Reply]:
        """One reply a case, in order; an id without an answer is a failure `refused`."""
        if self._found is None:
            self._found = _read(self._path, self._options)
        missing = "no recorded answer for this case"
        return [self._found.get(i) or Reply(failure="refused", detail=missing) for i in ids]

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        """Always a UserError: a transformed, repeated or timed case was never answered."""
        raise UserError(
            "recorded answers are found by case, and cannot be asked anything new",
            where=str(self._path),
            hint="take checks under a transform, repetition or load away from this candidate",
            code=4,
        )

    async def aclose(self) -> None:
        """Nothing is open."""


def _read(path: Path, options: Options) -> dict[str, Reply]:
    frame = _load(path, options)
    for role, name in options.columns().items():
        if name not in frame.columns:
            near = nearest(name, frame.columns)
            hint = f"did you mean `{near}`? " * bool(near) + f"columns: {', '.join(frame.columns)}"
            raise UserError(f"there is no column `{name}`, declared as `{role}`", where=str(path), hint=hint)
    for numeric in (options.score, options.seconds):
        if numeric is not None and not frame[numeric].dtype.is_numeric() and frame[numeric].null_count() < frame.height:
            hint = f"it holds {frame[numeric].dtype}; empty cells are allowed"
            raise UserError(f"the column `{numeric}` must hold numbers", where=str(path), hint=hint)
    ids = _words(frame[options.id], path, options.id)
    readers = _words(frame[options.reader], path, options.reader) if options.reader else [""] * frame.height
    _refuse_repeats(path, ids, readers)
    nothing = [None] * frame.height
    scores = frame[options.score].to_list() if options.score else nothing
    seconds = frame[options.seconds].to_list() if options.seconds else nothing
    cases: dict[str, _Opinions] = {}
    for case, reader, answer, score, took in zip(ids, readers, frame[options.answer].to_list(), scores, seconds, strict=True):
        if answer is None:
            continue
        opinions = cases.setdefault(case, _Opinions())
        opinions.given.append((reader, answer, None if score is None else float(score)))
        if took is not None:
            opinions.seconds.append(float(took))
    averaged = frame[options.answer].dtype.is_float() and bool((frame[options.answer].drop_nulls() % 1 != 0).any())
    return {case: _reply(found, averaged, bool(options.reader)) for case, found in cases.items()}


def _load(path: Path, options: Options) -> pl.DataFrame:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(
            f"`{path.name}` is not of a known kind", where=str(path), hint=f"use a file ending in {', '.join(_READERS)}"
        )
    try:
        frame = read(path, options)
    except FileNotFoundError:
        hint = "the path starts at the pilot file's folder"
        raise UserError(f"there is no file `{path.name}`", where=str(path), hint=hint) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"the answers cannot be read: {first}", where=str(path), hint="the file must be whole, and text in UTF-8"
        ) from None
    if frame.height == 0:
        raise UserError("the file has no answers", where=str(path), hint="give it one row a case, or a case and reader")
    return frame


def _read_csv(path: Path, options: Options) -> pl.DataFrame:
    # Ids keep their spelling (`007`); the answers' type is judged by all rows.
    asis = {name: pl.String for role, name in options.columns().items() if role in ("id", "reader")}
    head = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    return pl.read_csv(path, infer_schema_length=None, schema_overrides={n: t for n, t in asis.items() if n in head})


def _read_jsonl(path: Path, options: Options) -> pl.DataFrame:
    return pl.read_ndjson(path, infer_schema_length=None)


def _read_parquet(path: Path, options: Options) -> pl.DataFrame:
    return pl.read_parquet(path)


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".parquet": _read_parquet}


def _words(column: pl.Series, path: Path, name: str) -> list[str]:
    words = [canonical_label(v) for v in column.to_list()]
    empty = [i + 1 for i, word in enumerate(words) if not word]
    if empty:
        raise UserError(
            f"`{name}` is empty in {_rows(empty)}", where=str(path), hint="every answer needs its case, and its reader if any"
        )
    return [word or "" for word in words]


def _refuse_repeats(path: Path, ids: Sequence[str], readers: Sequence[str]) -> None:
    rows: dict[tuple[str, str], list[int]] = {}
    for i, pair in enumerate(zip(ids, readers, strict=True)):
        rows.setdefault(pair, []).append(i + 1)
    twice = [(pair, found) for pair, found in rows.items() if len(found) > 1]
    if twice:
        (case, reader), found = twice[0]
        whose = f"case `{case}`" + (f" by reader `{reader}`" if reader else "")
        more = f", and {len(twice) - 1} more are repeated" * (len(twice) > 1)
        hint = (
            "keep one answer each" if reader else "keep one answer each, or name the column that tells readers apart as `reader`"
        )
        raise UserError(f"{whose} is answered in {_rows(found)}{more}", where=str(path), hint=hint)


def _rows(rows: Sequence[int]) -> str:
    shown = ", ".join(str(r) for r in rows[:_SHOWN])
    return (
        f"row{'s' * (len(rows) > 1)} {shown}{f' and {len(rows) - _SHOWN} more' * (len(rows) > _SHOWN)} (from 1, below the head)"
    )


def _reply(found: _Opinions, averaged: bool, by_reader: bool) -> Reply:
    given = sorted(found.given, key=lambda opinion: opinion[0])
    scores = [score for _, _, score in given if score is not None]
    answer = _consensus([a for _, a, _ in given], averaged)
    if scores:
        text = {"text": answer} if isinstance(answer, str) else {}
        answer = {"label": answer, "score": sum(scores) / len(scores), **text}
    extra = {"readers": {reader: a for reader, a, _ in given}} if by_reader else {}
    return Reply(answer=answer, seconds=sum(found.seconds) / len(found.seconds) if found.seconds else 0.0, extra=extra)


def _consensus(answers: Sequence[Any], averaged: bool) -> Any:
    if len(answers) == 1:
        return answers[0]
    if averaged:
        return sum(answers) / len(answers)
    counts = Counter(canonical_label(a) for a in answers)
    most = max(counts.values())
    return next(a for a in answers if counts[canonical_label(a)] == most)


class RecordedKind:
    """The kind `recorded` (ports.TargetKind). `shorthand` names the option that a plain string under `recorded` stands for."""

    name = "recorded"
    options = Options
    shorthand = "path"

    def build(self, options: Options, context: TargetContext) -> RecordedAnswers:
        """A target that reads its file when it is first asked."""
        return RecordedAnswers(options, context)

    def outside(self, options: Options, bounds: Bounds, folder: Path) -> Iterator[Problem]:
        """See `ports.TargetKind`."""
        yield from file_problems(options.path, "path")

    def fingerprint(self, options: Options, context: TargetContext) -> Fingerprint:
        """The digest of the file; which columns are read is a part too, since other columns are other answers."""
        columns = {f"column {role}": name for role, name in options.columns().items()}
        return combine(self.name, {"file": digest_file(context.folder / options.path), **columns})


kind = RecordedKind()
