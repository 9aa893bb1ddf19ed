"""Labels by people, against which a judge is measured: a CSV or JSON Lines file of ids, answers and yes or no."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import polars as pl

from pilotbase.domain.problem import nearest
from pilotbase.errors import InvalidInput, UserError

__all__ = ["Label", "read_labels"]

LabelWord = Literal["yes", "no", "unsure"]
WORDS: tuple[LabelWord, ...] = ("yes", "no", "unsure")
MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person said of one answer.

    `answer` is the application's own answer that the person saw, None where the file has none (then the label is of
    whatever the run recorded for that id). `line` is where the row begins in the file, from 1.
    """

    id: str
    label: LabelWord
    answer: str | None
    line: int


def read_labels(path: Path) -> list[Label]:
    """The rows of a labels file, in its order.

    Columns: `id`, `label` (yes, no or unsure, in any case) and, where it is there, `answer`. UserError where the file cannot be
    read; InvalidInput with every wrong line at once. One id may have several answers, each with its label.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        rows = _json_rows(path)
    elif path.suffix.lower() == ".csv":
        rows = _csv_rows(path)
    else:
        raise UserError(f"`{path.name}` is neither CSV nor JSON Lines", where=str(path), hint="name it .csv or .jsonl")
    labels, problems = [], []
    seen: dict[tuple[str, str | None], int] = {}
    for line, row in rows:
        try:
            label = _label(line, row)
            first = seen.setdefault((label.id, label.answer), line)
            if first != line:
                raise ValueError(f"id `{label.id}` with the same answer stands in line {first} already; keep one")
            labels.append(label)
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
    if problems:
        more = len(problems) - MOST_PROBLEMS
        listed = problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise InvalidInput(f"{path.name} holds {len(problems)} lines that are no labels", listed)
    if not labels:
        raise UserError("the file holds no labels", where=str(path), hint="a line needs id and label (yes, no or unsure)")
    return labels


def _label(line: int, row: Any) -> Label:
    if isinstance(row, orjson.JSONDecodeError):
        raise ValueError(f"this is not JSON: {row}")
    if not isinstance(row, dict):
        raise ValueError('this is no JSON object; write {"id": ..., "label": "yes"}')
    for name in ("id", "label"):
        if row.get(name) in (None, ""):
            raise ValueError(f"`{name}` is missing")
    ident, answer = row["id"], row.get("answer")
    if isinstance(ident, bool) or not isinstance(ident, (str, int)):
        raise ValueError(f"id {ident!r} is neither text nor a whole number")
    if answer is not None and not isinstance(answer, str):
        raise ValueError(f"answer {answer!r} is no text")
    found = str(row["label"]).strip().lower()
    word = next((w for w in WORDS if w == found), None)
    if word is None:
        raise ValueError(f"label `{row['label']}` is none of {', '.join(WORDS)}")
    return Label(id=str(ident).strip(), label=word, answer=answer, line=line)


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(_text(path).split("\n"), 1):
        if text.strip():
            try:
                yield line, orjson.loads(text)
            except orjson.JSONDecodeError as error:
                yield line, error


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    text = _text(path)
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"the file is not CSV: {str(error).splitlines()[0]}", where=str(path)) from None
    for name in ("id", "label"):
        if name not in frame.columns:
            near = nearest(name, frame.columns)
            hint = f"did you mean `{near}`? " if near else ""
            raise UserError(
                f"there is no column `{name}`", where=f"{path}:1", hint=f"{hint}the columns are {', '.join(frame.columns)}"
            )
    line = 2 + sum(name.count("\n") for name in frame.columns)
    for row in frame.iter_rows(named=True):
        yield line, {name: row.get(name) for name in ("id", "label", "answer")}
        line += 1 + sum(value.count("\n") for value in row.values() if value)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "the path of `labels` starts at the pilot file"
        raise UserError(f"the labels file cannot be read: {error.strerror}", where=str(path), hint=hint) from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding).replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
    raise UserError("the file is neither UTF-8 nor GB18030", where=str(path), hint="save it as UTF-8")
