"""A data file as typed columns in file order: which reader, which encoding, which columns, and what had to be mended."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import polars as pl

from pilotbase.data.columns import Column, settle_parquet
from pilotbase.data.delimited import MAX_COLUMNS, read_delimited
from pilotbase.data.encoding import Encoding, Undecodable, choose_encoding, guess_after, read_blocks
from pilotbase.data.objects import read_json, read_lines
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import TestData
from pilotbase.errors import InvalidInput, UserError

__all__ = ["FORMATS", "Table", "find_file", "read_table"]

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_ADVICE = {
    ".xlsx": "save the sheet as CSV UTF-8",
    ".xls": "save the sheet as CSV UTF-8",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
    ".zst": "unpack it first",
    ".txt": "name it .csv if it is comma-separated, .tsv if tab-separated",
}


@dataclass(slots=True, kw_only=True)
class Table:
    """Columns in file order. `ids` is None where no id column is named."""

    rows: int
    columns: dict[str, pl.Series]
    ids: pl.Series | None
    repairs: tuple[str, ...]


def find_file(name: str, folder: Path) -> Path:
    """The data file, relative to the pilot's folder. UserError where there is none, or nothing that can be read as one."""
    path = folder / name
    where = "data.test.path"
    try:
        if path.is_dir():
            files = sorted(p.name for p in path.iterdir() if p.suffix.lower() in FORMATS)
            raise UserError(
                f"`{name}` is a folder",
                where=where,
                hint=f"name a file in it: {', '.join(files[:5])}" if files else "name a file",
            )
        if not path.exists():
            raise UserError(f"`{name}` does not exist in {path.parent}", where=where, hint=_neighbours(path))
        if path.suffix.lower() not in FORMATS:
            hint = _ADVICE.get(path.suffix.lower(), f"data files end in {', '.join(FORMATS)}")
            raise UserError(f"`{name}` is of no format that is read here", where=where, hint=hint)
        with path.open("rb") as file:
            if not file.read(1):
                raise UserError(f"`{name}` is empty (0 bytes)", where=where, hint="put cases into it, one a row")
    except OSError as error:
        raise UserError(
            f"`{name}` cannot be read: {error.strerror or error}", where=where, hint="mend its permissions, or name another"
        ) from None
    return path


def _neighbours(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    near = (
        get_close_matches(path.name, names, n=1, cutoff=0.5) or sorted(n for n in names if Path(n).suffix.lower() in FORMATS)[:5]
    )
    if near:
        return f"there is {', '.join(f'`{n}`' for n in near)}"
    return "paths start at the pilot file's folder" if path.parent.is_dir() else f"the folder {path.parent} does not exist either"


def read_table(path: Path, spec: TestData) -> Table:
    """Read the columns that `spec` names. UserError or InvalidInput for everything that a person can mend.

    Nothing is told of empty places in the column of incidents: most cases come from none.
    """
    wanted = list(dict.fromkeys([*spec.inputs, *(c for c in (spec.target, *spec.groups, spec.cluster, spec.incident) if c)]))
    check = _checker(path.name, [*wanted, *([spec.id] if spec.id else [])])
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path, check, wanted, spec)
        return _read_text(path, check, wanted, spec)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=path.name) from None


def _checker(where: str, needed: Sequence[str]) -> Callable[[Sequence[str]], None]:
    def check(header: Sequence[str]) -> None:
        problems: list[str] = []
        for name in dict.fromkeys(needed):
            if header.count(name) > 1:
                problems.append(f"{where}: column `{name}` appears {header.count(name)} times; give each its own name")
            elif name not in header:
                near = get_close_matches(name, header, n=3, cutoff=0.5)
                has = near or header[:10]
                listed = ", ".join(f"`{n}`" for n in has)
                more = ", …" if not near and len(header) > len(has) else ""
                problems.append(f"{where}: no column `{name}`; {'nearest' if near else 'the file has'}: {listed}{more}")
        if not problems:
            return
        other = next((s for s in (";", "\t", "|", ",") if len(header) == 1 and s in header[0]), None)
        hint = f"the fields seem to be separated by {other!r}: save the file with commas (.csv) or tabs (.tsv)" if other else None
        raise InvalidInput(f"{where}: columns are missing or ambiguous", problems, hint=hint)

    return check


def _read_text(path: Path, check: Callable[[Sequence[str]], None], wanted: Sequence[str], spec: TestData) -> Table:
    encoding = choose_encoding(path, spec.encoding)
    try:
        table = _decode_and_read(path, encoding, check, wanted, spec)
    except Undecodable as failure:
        other = guess_after(path, failure) if spec.encoding is None and encoding.codec == "utf-8" else None
        if other is None:
            raise _undecodable(path, failure, encoding) from None
        encoding = other
        try:
            table = _decode_and_read(path, encoding, check, wanted, spec)
        except Undecodable:
            raise _undecodable(path, failure, Encoding(codec="utf-8")) from None
    if not table.rows:
        raise UserError(
            "holds a header and no case" if path.suffix.lower() in (".csv", ".tsv") else "holds no case",
            where=path.name,
            hint="add rows",
        )
    if encoding.repair:
        table.repairs = (encoding.repair, *table.repairs)
    return table


def _undecodable(path: Path, failure: Undecodable, tried: Encoding) -> UserError:
    with path.open("rb") as file:
        line = sum(b.count(b"\n") for b in _upto(file.read, failure.offset)) + 1
    if failure.reason == "NUL":
        hint = "the file is not text, or is damaged: export it again as UTF-8"
        return UserError(f"a NUL byte at byte {failure.offset:,} (line {line})", where=path.name, hint=hint)
    hint = "say what it is with `encoding:` under data.test (for example `encoding: windows-1252`), or save it as UTF-8"
    also = ", and what follows is no GB18030 either" if tried.codec == "utf-8" else ""
    return UserError(
        f"byte 0x{failure.byte:02X} at byte {failure.offset:,} (line {line}) is not {tried.codec.upper()}{also}",
        where=path.name,
        hint=hint,
    )


def _upto(read: Callable[[int], bytes], stop: int) -> Iterator[bytes]:
    while stop > 0 and (block := read(min(stop, 1 << 20))):
        stop -= len(block)
        yield block


def _decode_and_read(
    path: Path, encoding: Encoding, check: Callable[[Sequence[str]], None], wanted: Sequence[str], spec: TestData
) -> Table:
    suffix, where = path.suffix.lower(), path.name
    if suffix not in (".csv", ".tsv"):
        asked = list(dict.fromkeys([*wanted, *([spec.id] if spec.id else [])]))
        if suffix == ".json":
            rows, columns, repairs = read_json(read_blocks(path, encoding), path, where, check, asked)
        else:
            rows, columns, repairs = read_lines(read_blocks(path, encoding), where, check, asked)
        told = [name for name in wanted if name != spec.incident]
        done = {name: _finish(column, repairs, tell=name in told) for name, column in columns.items()}
        ids = _spell_ids(done[spec.id]) if spec.id else None
        return Table(rows=rows, columns={n: done[n] for n in wanted}, ids=ids, repairs=tuple(repairs))
    separator = "\t" if suffix == ".tsv" else ","
    read = partial(read_delimited, where=where, separator=separator, check=check)
    first = read(read_blocks(path, encoding), wanted=wanted, spelt=[spec.id] if spec.id else [])
    again = [name for name, column in first.columns.items() if column.reread]
    spelt = read(read_blocks(path, encoding), wanted=[], spelt=again).spelt if again else {}
    typed: dict[str, pl.Series] = {}
    for name, column in first.columns.items():
        if name in spelt:
            typed[name] = spelt.pop(name)
            first.repairs.extend(column.repairs(typed[name].null_count()) if name != spec.incident else ())
        else:
            typed[name] = _finish(column, first.repairs, tell=name != spec.incident)
    return Table(rows=first.rows, columns=typed, ids=first.spelt[spec.id] if spec.id else None, repairs=tuple(first.repairs))


def _finish(column: Column, repairs: list[str], *, tell: bool = True) -> pl.Series:
    series = column.finish()
    if tell:
        repairs.extend(column.repairs(series.null_count()))
    return series


def _spell_ids(ids: pl.Series) -> pl.Series:
    """Ids as text: as they stand, or in the one spelling of a number."""
    if ids.dtype == pl.String:
        return ids
    if ids.dtype.is_integer():
        return ids.cast(pl.String)
    return pl.Series(ids.name, map(canonical_label, ids), dtype=pl.String)


def _read_parquet(path: Path, check: Callable[[Sequence[str]], None], wanted: Sequence[str], spec: TestData) -> Table:
    asked = list(dict.fromkeys([*wanted, *([spec.id] if spec.id else [])]))
    repairs: list[str] = []
    columns: dict[str, pl.Series] = {}
    try:
        header = tuple(pl.read_parquet_schema(path))
        if len(header) > MAX_COLUMNS:
            raise UserError(
                f"{len(header):,} columns: at most {MAX_COLUMNS:,} are read",
                where=path.name,
                hint="keep the columns that the pilot names",
            )
        check(header)
        for name in asked:
            series = pl.read_parquet(path, columns=[name], hive_partitioning=False, glob=False, low_memory=True).to_series()
            if series.dtype in (pl.Binary, pl.Object):
                hint = "write the bytes to files and name them in a `media` column"
                raise UserError(f"column `{name}` holds raw bytes", where=path.name, hint=hint)
            columns[name], notes = settle_parquet(series)
            repairs.extend(notes if name in wanted and name != spec.incident else ())
    except pl.exceptions.PolarsError as error:
        hint = "the file is cut short, or is no Parquet file: write it again"
        raise UserError(f"cannot be read as Parquet: {str(error).splitlines()[0]}", where=path.name, hint=hint) from None
    rows = len(columns[asked[0]])
    if not rows:
        raise UserError("holds no case", where=path.name, hint="add rows")
    ids = _spell_ids(columns[spec.id]) if spec.id else None
    return Table(rows=rows, columns={n: columns[n] for n in wanted}, ids=ids, repairs=tuple(repairs))
