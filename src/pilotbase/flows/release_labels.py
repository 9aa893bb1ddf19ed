"""Truths that come after a release began to answer: read from a file, kept, and held against the answers that were kept."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.problem import nearest
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.live_scoring import label_samples
from pilotbase.flows.release_moves import checks_of
from pilotbase.flows.release_words import last_release
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.store.audit import stamp

__all__ = ["Labelled", "label_release", "read_labels"]

LARGEST = 64 << 20
SHOWN = 20
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What became of a file of labels: `kept` of them are on record, `matched` met a kept answer of the release. The others: of
    no request here, of a request outside the release, of one whose answer was not sampled or is kept no longer.
    `checks` read labels.
    """

    release: Release
    kept: int
    matched: int
    unknown: int
    outside: int
    unsampled: int
    checks: tuple[str, ...]


def label_release(context: Context, route: str, path: Path, *, who: str) -> Labelled:
    """Keep truths that came later, and score the answers that they are about; the last word on a request counts.

    A label of a request that was copied also holds for the copy. InvalidInput with every wrong line; nothing is kept then.
    """
    found = last_release(context, route)
    labels = read_labels(path)
    now = context.clock.now()
    at = stamp(now)
    checks = checks_of(found)
    with context.database.transaction():
        context.database.execute_many(
            "INSERT INTO live_labels (request, label, at, who) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (request) DO UPDATE SET label = excluded.label, at = excluded.at, who = excluded.who",
            [(request, label, at, who) for request, label in labels.items()],
        )
        copies = _copies(context, found, labels)
        meant = {**labels, **{copy: labels[original] for copy, original in copies.items()}}
        label_samples(context, found, checks, meant, int(now.timestamp() * 1e6))
        sampled = _sampled(context, found)
        met = {name for name in labels if name in sampled} | {original for copy, original in copies.items() if copy in sampled}
        places = _places(context, [name for name in labels if name not in met])
        detail = {"file": path.name, "labels": len(labels), "matched": len(met)}
        records.note(context.database, found.id, who=who, action="label", detail=detail, now=now)
    return Labelled(
        release=found,
        kept=len(labels),
        matched=len(met),
        unknown=len(labels) - len(met) - len(places),
        outside=sum(1 for release in places.values() if release != found.id),
        unsampled=sum(1 for release in places.values() if release == found.id),
        checks=tuple(one.id for one in checks if one.source == "label"),
    )


def _copies(context: Context, found: Release, labels: Mapping[str, str]) -> dict[str, str]:
    """The kept copies of labelled requests, each with its original."""
    rows = context.database.rows(
        "SELECT s.request, r.copy_of FROM samples s JOIN requests r ON r.id = s.request"
        " WHERE s.release_id = ? AND r.copy_of <> ''",
        (found.id,),
    )
    return {row["request"]: row["copy_of"] for row in rows if row["copy_of"] in labels}


def _sampled(context: Context, found: Release) -> set[str]:
    return {row["request"] for row in context.database.rows("SELECT request FROM samples WHERE release_id = ?", (found.id,))}


def _places(context: Context, names: list[str]) -> dict[str, str]:
    """The release of each request that the ledger knows ("": of none)."""
    found: dict[str, str] = {}
    for start in range(0, len(names), 200):
        part = names[start : start + 200]
        rows = context.database.rows(f"SELECT id, release_id FROM requests WHERE id IN ({', '.join('?' * len(part))})", part)
        found |= {row["id"]: row["release_id"] for row in rows}
    return found


def read_labels(path: Path) -> dict[str, str]:
    """Labels by request id, from a CSV, TSV or JSON Lines file with `request` and `label`. InvalidInput with every wrong line."""
    suffix = path.suffix.lower()
    if suffix not in (*_SEPARATORS, *_LINES):
        raise UserError("labels are read from CSV or JSON Lines", where=str(path), hint="name the file .csv or .jsonl")
    text = _text(path)
    rows = _table(text, path, _SEPARATORS[suffix]) if suffix in _SEPARATORS else _objects(text)
    labels: dict[str, tuple[str, int]] = {}
    problems: list[str] = []
    for line, row in rows:
        try:
            request, label = _label(row)
            known = labels.setdefault(request, (label, line))
            if known[0] != label:
                raise ValueError(f"request `{request[:80]}` is labelled otherwise in line {known[1]}; keep one")
        except ValueError as error:
            problems.append(f"{path.name}:{line}: {error}")
    if problems:
        more = len(problems) - SHOWN
        listed = problems[:SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
        told = f"{len(problems):,} line{'s are' if len(problems) > 1 else ' is'} no label"
        raise InvalidInput(f"{path.name}: {told}; none was kept", listed)
    if not labels:
        raise UserError("the file holds no label", where=str(path), hint="a line needs `request` and `label`")
    return {request: label for request, (label, _) in labels.items()}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"the labels cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) > LARGEST:
        raise UserError("over 64 MiB of labels", where=str(path), hint="cut the file into parts, and give each")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"byte {error.start} is not UTF-8", where=f"{path.name}:{line}", hint="save the file as UTF-8") from None


def _table(text: str, path: Path, separator: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None and cells:
                header = [cell.strip() for cell in cells]
                _check_header(header, path, line)
            elif header is not None and cells:
                whole = len(cells) == len(header)
                yield line, dict(zip(header, cells, strict=True)) if whole else (len(cells), len(header))
            line = reader.line_num + 1
    except csv.Error as error:
        yield line, ValueError(f"this is no CSV: {error}")


def _check_header(header: list[str], path: Path, line: int) -> None:
    for name in ("request", "label"):
        if header.count(name) != 1:
            near = nearest(name, header)
            hint = f"did you mean `{near}`? " if near else ""
            found = "no column" if name not in header else "more than one column"
            columns = ", ".join(header)[:200]
            raise UserError(f"{found} `{name}`", where=f"{path.name}:{line}", hint=f"{hint}the columns are {columns}")


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    for line, part in enumerate(text.split("\n"), 1):
        if part.strip():
            try:
                yield line, orjson.loads(part)
            except orjson.JSONDecodeError as error:
                yield line, ValueError(f"this is not JSON: {error.msg}")


def _label(row: Any) -> tuple[str, str]:
    """(request, label) of a row. ValueError with what is wrong."""
    if isinstance(row, ValueError):
        raise row
    if isinstance(row, tuple):
        raise ValueError(f"{row[0]} fields where the header has {row[1]}")
    if not isinstance(row, dict):
        raise ValueError('this is no JSON object; write {"request": "...", "label": "..."}')
    request, label = row.get("request"), row.get("label")
    if not isinstance(request, str) or not request.strip():
        raise ValueError("`request` is missing or no text")
    spelt = None if isinstance(label, (dict, list)) else canonical_label(label)
    if spelt is None or not spelt.strip():
        raise ValueError("`label` is missing, or neither text, number nor true or false")
    return request.strip(), spelt.strip()
