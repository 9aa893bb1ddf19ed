"""CSV and TSV: cut into whole records, checked for shape, read as text a few megabytes at a time.

One pass over the file: a numeric table costs its typed columns and one chunk of text in memory, never the text of the whole file.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilotbase.data.columns import Column, text_views
from pilotbase.errors import InvalidInput, UserError

__all__ = ["MAX_COLUMNS", "Delimited", "read_delimited"]

MAX_COLUMNS = 10_000
_Places = NDArray[Any]
_LONGEST = 1 << 26
_SHOWN = 20
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


@dataclass(slots=True, kw_only=True)
class Delimited:
    """What was read: the columns asked for by name, the raw text of `spelt`, and repairs that concern the whole file."""

    header: tuple[str, ...]
    rows: int
    columns: dict[str, Column]
    spelt: dict[str, pl.Series]
    repairs: list[str]


@dataclass(slots=True, kw_only=True)
class _Cutter:
    """Cuts blocks at record ends. `row` counts data records, `line` physical lines before the next record."""

    where: str
    separator: int
    width: int = 0
    row: int = 0
    line: int = 0
    blank: int = 0
    carry: bytes = b""
    wrong: list[str] = field(default_factory=list)

    def header(self, blocks: Iterator[bytes]) -> tuple[str, ...]:
        """The first record, read as names; what follows it is kept for `cut`."""
        for block in blocks:
            self.carry += block
            ends = _record_ends(np.frombuffer(self.carry, np.uint8))[0]
            if len(ends) or len(self.carry) > _LONGEST:
                break
        else:
            ends = np.array([len(self.carry)])
        if not len(ends):
            raise UserError(
                "the header has no end within 64 MB", where=f"{self.where}, line 1", hint="is a quote opened and never closed?"
            )
        first = self.carry[: int(ends[0])]
        self.carry = self.carry[int(ends[0]) + 1 :]
        self.line = first.count(b"\n") + 1
        names = tuple(next(csv.reader(io.StringIO(first.decode("utf-8"), newline=""), delimiter=chr(self.separator)), []))
        self.width = len(names)
        if len(names) > MAX_COLUMNS:
            hint = "keep the columns that the pilot names"
            raise UserError(f"{len(names):,} columns: at most {MAX_COLUMNS:,} are read", where=f"{self.where}, line 1", hint=hint)
        return names

    def cut(self, blocks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
        """(whole records, how many), with blank lines left out. Gathers the first records of a wrong width in `wrong`."""
        for block in blocks:
            data = self.carry + block
            taken = self._cut(data, last=False)
            if taken is not None:
                yield taken
            if len(self.carry) > _LONGEST:
                hint = "is a quote opened and never closed?"
                raise UserError(
                    "a record has no end within 64 MB",
                    where=f"{self.where}, line {self.line + 1} (row {self.row + 1})",
                    hint=hint,
                )
        if self.carry:
            taken = self._cut(self.carry if self.carry.endswith(b"\n") else self.carry + b"\n", last=True)
            if self.carry:
                hint = "close the quote; a quote inside a field is written twice"
                raise UserError(
                    "a quote is opened and never closed",
                    where=f"{self.where}, line {self.line + 1} (row {self.row + 1})",
                    hint=hint,
                )
            if taken is not None:
                yield taken

    def _cut(self, data: bytes, *, last: bool) -> tuple[bytes, int] | None:
        view = np.frombuffer(data, np.uint8)
        ends, separators = _record_ends(view, self.separator)
        if not len(ends):
            self.carry = data
            return None
        stop = int(ends[-1]) + 1
        self.carry = data[stop:]
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (view[starts] == _RETURN))
        fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        keep = ~blank
        if np.any((fields != self.width) & keep):
            self._note(data, starts, fields, keep)
        count = int(keep.sum())
        whole = data[:stop]
        if count < len(ends):
            self.blank += len(ends) - count
            whole = b"".join(data[int(s) : int(e) + 1] for s, e, k in zip(starts, ends, keep, strict=True) if k)
        self.row += count
        self.line += data.count(b"\n", 0, stop) if b'"' in data else len(ends)
        return (whole, count) if count else None

    def _note(self, data: bytes, starts: _Places, fields: _Places, keep: _Places) -> None:
        for i in np.flatnonzero((fields != self.width) & keep)[: max(0, _SHOWN - len(self.wrong))]:
            line = self.line + data.count(b"\n", 0, int(starts[i])) + 1
            row = self.row + int(keep[: i + 1].sum())
            self.wrong.append(f"{self.where}, line {line} (row {row}): {fields[i]} fields where the header has {self.width}")


def _record_ends(view: _Places, separator: int = 44) -> tuple[_Places, _Places]:
    """Positions of newlines and of separators outside quotes. A doubled quote toggles twice, so parity alone tells."""
    newline, between = view == _NEWLINE, view == separator
    quotes = view == _QUOTE
    if quotes.any():
        outside = (np.cumsum(quotes, dtype=np.uint8) & 1) == 0
        newline &= outside
        between &= outside
    return np.flatnonzero(newline), np.flatnonzero(between)


def read_delimited(
    blocks: Iterator[bytes],
    *,
    where: str,
    separator: str,
    check: Callable[[Sequence[str]], None],
    wanted: Sequence[str],
    spelt: Sequence[str],
) -> Delimited:
    """Read `wanted` columns typed and `spelt` ones as they stand. `check` sees the header first and may refuse it.

    Columns that proved to be text after some cells had been taken for numbers have `reread` set: read them again with `spelt`.
    """
    blocks, repairs = _newlines(blocks)
    cutter = _Cutter(where=where, separator=ord(separator))
    header = cutter.header(blocks)
    check(header)
    place = {name: i for i, name in enumerate(header)}
    columns = {name: Column(name) for name in wanted}
    kept: dict[str, list[pl.Series]] = {name: [] for name in spelt}
    for data, count in cutter.cut(blocks):
        if cutter.wrong:
            continue
        frame = _parse(data, count, cutter, separator, {place[n]: n for n in (*wanted, *spelt)})
        views = frame.select(e for name in columns for e in text_views(name))
        for name, column in columns.items():
            column.add_text(views[name], views[f"{name}\0number"], bool(views[f"{name}\0codes"][0]))
        for name, parts in kept.items():
            parts.append(frame[name])
    if cutter.wrong:
        raise InvalidInput(
            f"{where}: records of unequal width", cutter.wrong, hint="quote fields that hold a separator or a line break"
        )
    if cutter.blank:
        repairs.append(f"{cutter.blank:,} empty lines were skipped")
    whole = {n: pl.concat(parts, rechunk=True) if parts else pl.Series(n, [], dtype=pl.String) for n, parts in kept.items()}
    return Delimited(header=header, rows=cutter.row, columns=columns, spelt=whole, repairs=repairs)


def _parse(data: bytes, count: int, cutter: _Cutter, separator: str, places: Mapping[int, str]) -> pl.DataFrame:
    """The wanted fields of whole records, as strings."""
    schema = {f"column_{i + 1}": pl.String for i in range(cutter.width)}
    try:
        frame = pl.read_csv(
            data, has_header=False, schema=schema, columns=[f"column_{i + 1}" for i in sorted(places)], separator=separator
        )
    except pl.exceptions.PolarsError:
        frame = None
    if frame is None or frame.height != count:
        first = cutter.row - count + 1
        hint = 'a field that holds a quote is written in quotes, with that quote doubled: "5"" pipe"'
        raise UserError(
            f"quotes are used wrongly in rows {first} to {cutter.row}{_stray(data, first)}", where=cutter.where, hint=hint
        )
    return frame.select(pl.col(f"column_{i + 1}").alias(name) for i, name in places.items())


def _stray(data: bytes, first: int) -> str:
    """The first record with a quote inside an unquoted field, in words; nothing where none is seen."""
    for i, line in enumerate(data.split(b"\n")):
        if line.count(b'"') % 2:
            return f" (about row {first + i}: {line[:60].decode('utf-8', 'replace')})"
    return ""


def _newlines(blocks: Iterator[bytes]) -> tuple[Iterator[bytes], list[str]]:
    """Blocks whose lines end in a line feed; files of old Macs end them in a carriage return alone."""
    first = next(blocks, b"")
    if b"\n" not in first and b"\r" in first.rstrip(b"\r"):
        return (b.replace(b"\r", b"\n") for b in _chain(first, blocks)), [
            "lines end in carriage returns alone: read as line ends"
        ]
    return _chain(first, blocks), []


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
