"""Rows for every table of a schema, made from the migrations' own text, so that a new table needs no line here."""

import re
from collections.abc import Mapping
from typing import Any

from pilotbase.store.database import Database, migrations

__all__ = ["everything_in", "fill_tables", "kinds"]

ROWS = 3
_TABLE = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\);", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (.+?);")
_COLUMN = re.compile(r"^\s*(\w+) (TEXT|INTEGER|BIGINT|DOUBLE PRECISION)\b([^\n]*)$", re.MULTILINE)
_LARGEST = 2**62  # more than a float keeps


def kinds(schema: int) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Table -> column -> (type, the rest of its line), after so many migrations."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for script in migrations()[:schema]:
        for name, body in _TABLE.findall(script):
            found[name] = {column: (kind, rest) for column, kind, rest in _COLUMN.findall(body)}
        for name, line in _ADDED.findall(script):
            column, kind, rest = _COLUMN.findall(line)[0]
            found[name][column] = (kind, rest)
    return found


def fill_tables(database: Database, schema: int) -> dict[str, list[tuple[Any, ...]]]:
    """Put rows into every table; what each then holds, by name and in order."""
    known = kinds(schema)
    assert set(known) == set(database.tables())
    for table, columns in known.items():
        database.execute(f"DELETE FROM {table}")
        for i in range(ROWS):
            values = [_value(table, column, kind, rest, i) for column, (kind, rest) in columns.items()]
            places = ", ".join("?" * len(columns))
            database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)
    return everything_in(database, known)


def everything_in(database: Database, known: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of these tables and columns."""
    return {
        table: sorted((tuple(row) for row in database.rows(f"SELECT {', '.join(columns)} FROM {table}")), key=repr)
        for table, columns in known.items()
    }


def _value(table: str, column: str, kind: str, rest: str, i: int) -> Any:
    needed = "NOT NULL" in rest or "PRIMARY KEY" in rest
    if i == 1 and not needed:
        return None
    if kind == "DOUBLE PRECISION":
        return (0.1 + i, -1e300, float("inf"))[i % ROWS]
    if kind in ("INTEGER", "BIGINT"):
        return i if column in ("round", "seq", "admin", "cut") else _LARGEST + i
    if "JSON" in rest:
        return '{"of": "its time"}'
    if column == "run":
        return f"run-{i}"  # the one reference between tables
    return f"{table}.{column} “{i}” 中试 \\ '\n"
