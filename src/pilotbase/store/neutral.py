"""Rows in a form that belongs to no database: what SQLite gave goes into PostgreSQL, and the other way round.

One line of JSON each: first the names of the columns, then each row as an array. A number that JSON does not know, an infinite
one, is `{"float": "inf"}`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from pilotbase.errors import UserError
from pilotbase.store.database import Database

__all__ = ["fill", "lines"]

_VALUES: Final = 2000  # of one statement; SQLite takes 32,766


def lines(database: Database, table: str) -> Iterator[bytes]:
    """A table as lines with their ends, inside a snapshot."""
    yield orjson.dumps(database.columns(table)) + b"\n"
    for page in database.pages(table):
        yield b"".join(orjson.dumps([_plain(value) for value in row]) + b"\n" for row in page)


def fill(database: Database, table: str, found: Iterable[bytes]) -> int:
    """Put lines into a table in place of what it holds, in the caller's transaction; how many rows they were.

    UserError where they are not those of a table with these columns.
    """
    source = iter(found)
    columns = _array(next(source, b""), table)
    if sorted(map(str, columns)) != sorted(database.columns(table)):
        raise _misfit(table, "its columns are others")
    database.execute(f'DELETE FROM "{table}"')
    batch: list[Sequence[Any]] = []
    count = 0
    for line in source:
        row = _array(line, table)
        if len(row) != len(columns):
            raise _misfit(table, f"row {count + len(batch) + 1} has {len(row)} values for {len(columns)} columns")
        batch.append(row)
        if len(batch) * len(columns) >= _VALUES:
            count += _insert(database, table, columns, batch)
            batch = []
    return count + (_insert(database, table, columns, batch) if batch else 0)


def _insert(database: Database, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    places = f"({', '.join('?' * len(columns))})"
    sql = f'INSERT INTO "{table}" ({names}) VALUES {", ".join([places] * len(rows))}'
    database.execute(sql, [value for row in rows for value in row])
    return len(rows)


def _plain(value: Any) -> Any:
    return {"float": repr(value)} if isinstance(value, float) and math.isinf(value) else value


def _array(line: bytes, table: str) -> list[Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _misfit(table, "a line is no JSON") from None
    if not isinstance(found, list):
        raise _misfit(table, "a line is no array")
    values = [float(value["float"]) if value in ({"float": "inf"}, {"float": "-inf"}) else value for value in found]
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        raise _misfit(table, "a value is none that a database keeps")
    return values


def _misfit(table: str, why: str) -> UserError:
    return UserError(f"the rows of `{table}` cannot be read: {why}", hint="take another backup; this one is damaged")
