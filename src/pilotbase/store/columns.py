"""The columns of a log: their kinds, and rows and frames checked against them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl

from pilotbase.errors import UserError

Kind = Literal["u32", "u16", "i64", "f64", "bool", "str"]

_DTYPES: dict[str, type[pl.DataType]] = {
    "u32": pl.UInt32,
    "u16": pl.UInt16,
    "i64": pl.Int64,
    "f64": pl.Float64,
    "bool": pl.Boolean,
    "str": pl.String,
}
_RULES: dict[str, tuple[type, Any, Any]] = {
    "u32": (int, 0, 2**32 - 1),
    "u16": (int, 0, 2**16 - 1),
    "i64": (int, -(2**63), 2**63 - 1),
    "f64": (float, -1.7976931348623157e308, 1.7976931348623157e308),
    "bool": (bool, None, None),
    "str": (str, None, None),
}


class Columns:
    """Names and kinds of a log's columns, in order; every column may be null.

    Kinds: u16, u32, i64 (integers in range), f64 (any float, NaN and infinities included), bool, str (valid Unicode).
    """

    __slots__ = ("_known", "_rules", "dtypes", "kinds", "names")

    def __init__(self, schema: Mapping[str, str]) -> None:
        if not schema or not set(schema.values()) <= set(_DTYPES):
            raise ValueError(f"a log needs columns of the kinds {', '.join(_DTYPES)}: {dict(schema)}")
        self.kinds = dict(schema)
        self.names = tuple(schema)
        self.dtypes = {name: _DTYPES[kind]() for name, kind in schema.items()}
        self._known = frozenset(schema)
        self._rules = tuple(_RULES[kind] for kind in schema.values())

    def encode(self, row: Mapping[str, object]) -> bytes:
        """A row as a JSON list in column order, missing ones null. UserError for an unknown column or a value out of kind."""
        values = [row.get(name) for name in self.names]
        if not self._known.issuperset(row):
            raise self._unknown(row)
        for value, (exact, low, high) in zip(values, self._rules, strict=True):
            # Plain values pass here; NaN, infinities, numpy scalars and mistakes take the slow way.
            if value is not None and not (value.__class__ is exact and (low is None or low <= value <= high)):
                values = [_plain(name, self.kinds[name], value) for name, value in zip(self.names, values, strict=True)]
                break
        try:
            return orjson.dumps(values)
        except (TypeError, orjson.JSONEncodeError) as error:
            raise UserError(f"a row holds text that is not valid Unicode: {error}", hint="decode or replace it first") from error

    def decode(self, payloads: Iterable[bytes]) -> pl.DataFrame:
        """The rows that `encode` wrote, as a frame."""
        rows = [orjson.loads(payload) for payload in payloads]
        series = []
        for place, (name, kind) in enumerate(self.kinds.items()):
            values = [row[place] for row in rows]
            if kind == "f64":
                values = [float(value) if value.__class__ is str else value for value in values]
            series.append(pl.Series(name, values, dtype=self.dtypes[name], strict=True))
        return pl.DataFrame(series)

    def frame(self, columns: Mapping[str, Any] | pl.DataFrame) -> pl.DataFrame:
        """A frame of exactly these columns from arrays, lists, series or a frame; columns left out are null.

        UserError for an unknown column, different lengths, or values that do not fit their kind without loss.
        """
        given = {name: columns[name] for name in (columns.columns if isinstance(columns, pl.DataFrame) else columns)}
        if not self._known.issuperset(given):
            raise self._unknown(given)
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) != 1:
            raise UserError(f"columns differ in length: {lengths}", hint="give every column the same number of values")
        rows = next(iter(lengths.values()))
        return pl.DataFrame(
            [
                _series(name, kind, given[name]) if name in given else pl.Series(name, [None] * rows, dtype=self.dtypes[name])
                for name, kind in self.kinds.items()
            ]
        )

    def empty(self) -> pl.DataFrame:
        """A frame of these columns without rows."""
        return pl.DataFrame(schema=self.dtypes)

    def chosen(self, columns: Sequence[str] | None) -> list[str]:
        """The columns to read: those asked for, or all. UserError for an unknown one."""
        if columns is None:
            return list(self.names)
        if not self._known.issuperset(columns):
            raise self._unknown(columns)
        return list(columns)

    def _unknown(self, names: Iterable[str]) -> UserError:
        strangers = ", ".join(sorted(str(name) for name in set(names) - self._known))
        return UserError(f"this log has no column {strangers}", hint=f"its columns are {', '.join(self.names)}")


def to_parquet(frame: pl.DataFrame) -> bytes:
    """The frame as one Parquet file, compressed with zstd."""
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, statistics=False)
    return buffer.getvalue()


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The chosen columns of a Parquet file, in the order asked for."""
    frame = pl.read_parquet(BytesIO(data), columns=list(columns) if columns is not None else None)
    return frame if columns is None else frame.select(columns)


def _plain(name: str, kind: str, value: object) -> object:
    """`value` as JSON can hold it. JSON has no NaN and no infinity, so these travel as their names."""
    if value is None:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    exact, low, high = _RULES[kind]
    if exact is float and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return number if math.isfinite(number) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(number, "NaN")
    if exact is int and isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return int(value)
    if exact is str and isinstance(value, str):
        return str.__str__(value)
    if exact is bool and isinstance(value, bool):
        return value
    raise _misfit(name, kind, repr(value)[:80])


def _series(name: str, kind: str, values: Any) -> pl.Series:
    """`values` as a series of this kind, converted only where nothing can be lost."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = values.tolist()
    try:
        if not isinstance(values, np.ndarray | pl.Series):
            plain = [_plain(name, kind, value) for value in values]
            if kind == "f64":
                plain = [float(value) if isinstance(value, str) else value for value in plain]
            return pl.Series(name, plain, dtype=_DTYPES[kind], strict=True)
        series = pl.Series(name, values)
        if not _fits(kind, series.dtype):
            raise _misfit(name, kind, f"values of type {series.dtype}")
        return series.cast(_DTYPES[kind], strict=True)
    except (pl.exceptions.PolarsError, UnicodeError) as error:
        raise _misfit(name, kind, str(error).splitlines()[0][:200]) from error


def _fits(kind: str, dtype: pl.DataType) -> bool:
    if dtype == pl.Null:
        return True
    if kind == "f64":
        return dtype.is_float() or dtype.is_integer()
    if kind == "bool":
        return dtype == pl.Boolean
    if kind == "str":
        return dtype in (pl.String, pl.Categorical, pl.Enum)
    return dtype.is_integer()


def _misfit(name: str, kind: str, found: str) -> UserError:
    _, low, high = _RULES[kind]
    span = f", {low} to {high}" if kind in ("u16", "u32", "i64") else ""
    return UserError(f"column {name} holds {kind}{span}; found {found}", hint="convert the value first, or leave it out")
