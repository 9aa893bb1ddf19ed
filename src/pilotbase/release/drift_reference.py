"""What the pilot saw: the columns that live windows are compared with, bounded in size, to and from plain JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from pilotbase.errors import UserError
from pilotbase.stats.ngrams import LONGEST
from pilotbase.stats.two_sample import thinned

__all__ = ["MOST_ROWS", "SCHEMA", "Cell", "Column", "Kind", "Reference", "Side", "cells", "read_reference", "reference_document"]

Kind = Literal["numeric", "categorical", "text"]
Side = Literal["input", "output"]
Cell = float | str | None
SCHEMA = "pilotbase.drift-reference/1"
MOST_ROWS = 2000
_LONGEST_CATEGORY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One feature: a named input or output of each case. `values` are finite numbers, or text; None is a missing value."""

    name: str
    side: Side
    kind: Kind
    values: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if not self.name or self.kind not in get_args(Kind) or self.side not in get_args(Side):
            raise ValueError(
                f"found the column `{self.name}` of side `{self.side}` and kind `{self.kind}`: a column has a name, "
                f"a side ({', '.join(get_args(Side))}) and a kind ({', '.join(get_args(Kind))})"
            )
        wanted = float if self.kind == "numeric" else str
        wrong = next((value for value in self.values if value is not None and type(value) is not wanted), None)
        if wrong is not None:
            raise ValueError(f"the column `{self.name}` is {self.kind} and holds {type(wrong).__name__}: pass it through `cells`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns of equal length with different names, at most 2,000 rows, one row a case of the pilot."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"found the columns {', '.join(twice)} more than once: each name is one column")
        lengths = {column.name: len(column.values) for column in self.columns}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"found columns of different lengths ({lengths}): give None for a missing value")
        if self.rows > MOST_ROWS:
            raise ValueError(f"found {self.rows} rows: a reference holds at most {MOST_ROWS}; take them with `Reference.sampled`")

    @property
    def rows(self) -> int:
        """How many cases it holds."""
        return len(self.columns[0].values) if self.columns else 0

    @classmethod
    def sampled(cls, columns: Sequence[Column], *, seed: int) -> "Reference":
        """The reference of columns of any equal length: at most 2,000 rows, the same ones of each, drawn by `seed`."""
        count = min((len(column.values) for column in columns), default=0)
        if any(len(column.values) != count for column in columns):
            return cls(columns=tuple(columns))  # which says what is wrong
        kept = thinned(count, MOST_ROWS, np.random.default_rng(seed))
        return cls(
            columns=tuple(
                Column(name=c.name, side=c.side, kind=c.kind, values=tuple(c.values[int(i)] for i in kept)) for c in columns
            )
        )


def cells(kind: Kind, values: Sequence[object] | np.ndarray) -> tuple[Cell, ...]:
    """Plain values or an array as cells of a column of this kind.

    None, NaN, an infinite number and what is not of the kind become None: what cannot be read is missing, and a share of
    missing values that grows is itself drift. Categories are numbers, booleans or text, whole numbers in one spelling (1 and 1.0
    are "1"), 200 characters at most; texts count for 2,000.
    """
    read = {"numeric": _number, "categorical": _category, "text": _text}[kind]
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    return tuple(read(value) for value in plain)


def reference_document(reference: Reference) -> dict[str, object]:
    """A reference as plain JSON data, which `read_reference` reads back. It holds values of cases: keep it as them."""
    return {
        "schema": SCHEMA,
        "rows": reference.rows,
        "columns": [{"name": c.name, "side": c.side, "kind": c.kind, "values": list(c.values)} for c in reference.columns],
    }


def read_reference(document: object, *, where: str = "drift reference") -> Reference:
    """Read what `reference_document` wrote. UserError, with its place, for anything else."""
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else type(document).__name__
        raise UserError(
            f"this is no drift reference: found `{found}` in place of `{SCHEMA}`", where=where, hint="make it from a run again"
        )
    columns = document.get("columns")
    if not isinstance(columns, list):
        raise UserError("`columns` is missing or no list", where=where, hint="make the reference from a run again")
    try:
        return Reference(columns=tuple(_read_column(column, f"columns[{i}]") for i, column in enumerate(columns)))
    except ValueError as error:
        raise UserError(str(error), where=where, hint="make the reference from a run again") from None


def _read_column(column: object, place: str) -> Column:
    if not isinstance(column, Mapping) or not isinstance(values := column.get("values"), list):
        raise ValueError(f"{place} is no column: it needs name, side, kind and a list of values")
    name, side, kind = column.get("name"), column.get("side"), column.get("kind")
    if not isinstance(name, str) or side not in get_args(Side) or kind not in get_args(Kind):
        raise ValueError(f"{place} has the name {name!r}, the side {side!r} and the kind {kind!r}, and one of them is none")
    read = cells(cast(Kind, kind), values)
    lost = sum(value is not None and cell is None for value, cell in zip(values, read, strict=True))
    if lost:
        raise ValueError(f"{place} (`{name}`) holds {lost} values that are not {kind}")
    return Column(name=name, side=cast(Side, side), kind=cast(Kind, kind), values=read)


def _number(value: object) -> float | None:
    if not isinstance(value, int | float | np.number):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError):  # an integer beyond every float; a complex number
        return None
    return number if math.isfinite(number) else None


def _category(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _clean(str(value)[:_LONGEST_CATEGORY]) if isinstance(value, int | float | str) else None


def _text(value: object) -> str | None:
    return _clean(value[:LONGEST]) if isinstance(value, str) else None


def _clean(text: str) -> str:
    # a lone surrogate is no text that JSON can carry
    return text.encode("utf-8", "replace").decode("utf-8")
