"""JSON Lines, and JSON files that hold one list of records."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from pilotbase.data.columns import Column
from pilotbase.data.delimited import MAX_COLUMNS
from pilotbase.errors import InvalidInput, UserError

__all__ = ["read_json", "read_lines"]

_CHUNK = 20_000
_SHOWN = 20
_LARGEST = 1 << 30


def read_lines(
    blocks: Iterator[bytes], where: str, check: Callable[[Sequence[str]], None], wanted: Sequence[str]
) -> tuple[int, dict[str, Column], list[str]]:
    """(rows, columns, repairs) of JSON Lines. All bad lines, up to 20, are told at once; blank lines are skipped and told."""
    columns = {name: Column(name) for name in wanted}
    names: dict[str, None] = {}
    wrong: list[str] = []
    batch: list[dict[str, Any]] = []
    rows = blank = bad = 0
    for number, line in enumerate(_lines(blocks), 1):
        if not line or line.isspace():
            blank += 1
            continue
        try:
            record = orjson.loads(line)
            problem = None if isinstance(record, dict) else f"a {_word(record)} where an object {{...}} is due"
        except orjson.JSONDecodeError as error:
            problem = f"not JSON: {error.msg} at character {error.pos + 1}"
        if problem is not None:
            bad += 1
            if len(wrong) < _SHOWN:
                wrong.append(f"{where}, line {number}: {problem}")
            continue
        batch.append(record)
        if len(batch) == _CHUNK:
            rows += _take(batch, columns, names)
    rows += _take(batch, columns, names)
    if wrong:
        more = f"; {bad - len(wrong):,} more lines are bad" if bad > len(wrong) else ""
        raise InvalidInput(f"{where}: {bad:,} lines cannot be read", wrong, hint=f"one object in braces a line{more}")
    if rows:
        _limit(names, where)
        check(tuple(names))
    return rows, columns, [f"{blank:,} empty lines were skipped"] if blank else []


def read_json(
    blocks: Iterator[bytes], path: Path, where: str, check: Callable[[Sequence[str]], None], wanted: Sequence[str]
) -> tuple[int, dict[str, Column], list[str]]:
    """The same of a JSON file with a list of objects, which has to be held in memory: at most 1 GiB."""
    if path.stat().st_size > _LARGEST:
        raise UserError("over 1 GiB of JSON in one list", where=where, hint="write it as JSON Lines (.jsonl), one object a line")
    text = b"".join(blocks)
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = "a list of objects is due; one object a line is JSON Lines: name the file .jsonl"
        raise UserError(
            f"not JSON: {error.msg}", where=f"{where}, line {error.lineno}, column {error.colno}", hint=hint
        ) from None
    if not isinstance(whole, list):
        raise UserError(
            f"a {_word(whole)} where a list of objects is due", where=where, hint='for example [{"id": 1, "text": "..."}]'
        )
    wrong = [f"{where}, item {i}: a {_word(r)} where an object is due" for i, r in enumerate(whole, 1) if not isinstance(r, dict)]
    if wrong:
        raise InvalidInput(
            f"{where}: {len(wrong):,} items cannot be read", wrong[:_SHOWN], hint="each item is one object in braces"
        )
    columns = {name: Column(name) for name in wanted}
    names: dict[str, None] = {}
    rows = _take(whole, columns, names)
    if rows:
        _limit(names, where)
        check(tuple(names))
    return rows, columns, []


def _limit(names: dict[str, None], where: str) -> None:
    if len(names) > MAX_COLUMNS:
        raise UserError(
            f"{len(names):,} different keys: at most {MAX_COLUMNS:,} are read",
            where=where,
            hint="nest them, or keep those that are needed",
        )


def _take(batch: list[dict[str, Any]], columns: dict[str, Column], names: dict[str, None]) -> int:
    """Move a batch into the columns, and empty it."""
    for record in batch:
        if len(names) <= MAX_COLUMNS:
            names.update(dict.fromkeys(record))
    for name, column in columns.items():
        column.add_values([record.get(name) for record in batch])
    count = len(batch)
    batch.clear()
    return count


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    carry = b""
    for block in blocks:
        *whole, carry = (carry + block).split(b"\n")
        yield from whole
    if carry:
        yield carry


def _word(value: object) -> str:
    return {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")
