"""How our SQL, which SQLite reads as it stands, is said to PostgreSQL; and its values and rows."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pilotbase.store.driver import Values, check_text

__all__ = ["HIDDEN", "PostgresRow", "number", "parameters", "row_maker", "schema", "statement"]

INT8 = 20
"""The type number of BIGINT (pg_type.dat). The type of every other value is for the server to infer from its place."""

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::|\?|:[A-Za-z_]\w*", re.DOTALL)
_IGNORE = re.compile(r"\s*INSERT\s+OR\s+IGNORE\s+INTO\b", re.IGNORECASE)
_STAR = re.compile(r"\s*SELECT\s+\*", re.IGNORECASE)
_TYPE = re.compile(r"\b(INTEGER|TEXT)\b")
# Text is ordered by code points as in SQLite, not by the rules of the server's country.
_TYPES = {"INTEGER": "BIGINT", "TEXT": 'TEXT COLLATE "C"'}
# SQLite has a hidden `rowid` in every table, the order of insertion; here it is a column where our SQL asks for it.
HIDDEN = "rowid"
_ORDERED = re.compile(r"CREATE TABLE (runs) \(\n")


def schema(script: str) -> str:
    """A migration in PostgreSQL's words. What stands behind `-- PostgreSQL: ` is for it alone: indices on the hidden column."""
    script = script.replace("-- PostgreSQL: ", "")
    script = _TYPE.sub(lambda found: _TYPES[found[1]], script)
    return _ORDERED.sub(rf"CREATE TABLE \1 (\n    {HIDDEN} BIGINT GENERATED ALWAYS AS IDENTITY,\n", script)


@lru_cache(maxsize=128)
def statement(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `$1`, `$2` ... for its values, and the names of those that have one, in that order.

    >>> statement("SELECT '?' FROM runs WHERE run = ? AND state = ?")
    ("SELECT '?' FROM runs WHERE run = $1 AND state = $2", ())
    >>> statement("UPDATE runs SET state = :new, updated = :now WHERE state <> :new")
    ('UPDATE runs SET state = $1, updated = $2 WHERE state <> $1', ('new', 'now'))
    """
    names: list[str] = []
    marks = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal marks
        text = found[0]
        if text == "?":
            marks += 1
            return f"${marks}"
        if text[0] != ":" or text == "::":
            return text
        if text[1:] not in names:
            names.append(text[1:])
        return f"${names.index(text[1:]) + 1}"

    said = _TOKEN.sub(mark, sql)
    if _IGNORE.match(said):
        said = _IGNORE.sub("INSERT INTO", said, count=1) + " ON CONFLICT DO NOTHING"
    return said, tuple(names)


def parameters(values: Values, names: Sequence[str], where: str) -> tuple[tuple[str | None, ...], tuple[int, ...]]:
    """Values as the protocol carries them, in text, and the type numbers of those whose type does not depend on the place."""
    row = [values[name] for name in names] if isinstance(values, Mapping) else values
    check_text(row, where)
    return tuple(map(_text, row)), tuple([INT8 if isinstance(value, int) else 0 for value in row])


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError(f"{value} does not fit in 64 bits")
        return str(int(value))
    if isinstance(value, float):
        # As SQLite, which has no NaN and keeps NULL for it.
        return None if math.isnan(value) else repr(float(value))
    raise TypeError(f"a {type(value).__name__} is nothing that the database keeps: give None, bool, int, float or str")


def number(text: str) -> int | float:
    """A NUMERIC, as which PostgreSQL gives sums and means of integers: whole numbers exactly, others as a float.

    >>> number("9223372036854775808"), number("2.5000")
    (9223372036854775808, 2.5)
    """
    return int(text) if text.lstrip("-").isdigit() else float(text)


class PostgresRow:
    """One row; see `Row`. A name is found whatever its case, as in SQLite."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: Sequence[Any]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, key: Any, /) -> Any:
        if not isinstance(key, str):
            return self._values[key]
        place = self._places.get(key)
        if place is None:
            place = next((at for name, at in self._places.items() if name.lower() == key.lower()), None)
        if place is None:
            raise IndexError(f"no column is called {key}")
        return self._values[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        return list(self._places)


def row_maker(sql: str, columns: Sequence[str]) -> Callable[[Sequence[Any]], PostgresRow]:
    """What makes rows of an answer's lists of values; `SELECT *` leaves the hidden column out, as SQLite does."""
    if HIDDEN in columns and _STAR.match(sql):
        hidden = columns.index(HIDDEN)
        kept = _places([name for name in columns if name != HIDDEN])
        return lambda values: PostgresRow(kept, [value for at, value in enumerate(values) if at != hidden])
    places = _places(columns)
    return lambda values: PostgresRow(places, values)


def _places(columns: Sequence[str]) -> dict[str, int]:
    # Of two columns of one name the first is meant.
    found: dict[str, int] = {}
    for at, name in enumerate(columns):
        found.setdefault(name, at)
    return found
