"""One column as it is read, chunk by chunk: which type all of its values allow, and what had to be mended.

A column is numbers only if every value is; the type never depends on the first rows. Types, from narrow to wide:
integer, number, text; boolean and nested stand beside numbers, and widen to text with anything else.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import orjson
import polars as pl

from pilotbase.domain.evidence import canonical_label

__all__ = ["Column", "Kind", "settle_parquet", "text_views"]

Kind = Literal["empty", "integer", "number", "boolean", "nested", "text"]
_DTYPES: dict[Kind, type[pl.DataType]] = {
    "empty": pl.String,
    "integer": pl.Int64,
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "nested": pl.String,
    "text": pl.String,
}
# What stands for "no value" in a column that is numbers otherwise; in a column of text these are text.
_NO_VALUE = ("", "na", "n/a", "#n/a", "null", "none", "-", "--", "?")
_EXACT = 2.0**63


def text_views(name: str) -> Iterator[pl.Expr]:
    """What `add_text` takes of a column of strings, as expressions, so that one query serves all columns of a chunk."""
    cells = pl.col(name)
    yield cells
    yield cells.cast(pl.Float64, strict=False).alias(f"{name}\0number")
    padded = cells.str.starts_with("0") & (cells.str.len_bytes() > 1)
    yield (cells.cast(pl.Int64, strict=False).is_not_null() & padded).any().alias(f"{name}\0codes")


def _leads(cells: pl.Series) -> pl.Series:
    return cells.str.starts_with("0") & (cells.str.len_bytes() > 1)


def _float(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _join(one: Kind, other: Kind) -> Kind:
    if other in (one, "empty"):
        return one
    if one == "empty":
        return other
    return "number" if {one, other} == {"integer", "number"} else "text"


class Column:
    """A column in the making. `add_text` for cells of a text file, `add_values` for values of JSON; then `finish`."""

    __slots__ = ("_consumed", "_mixed", "_parts", "codes", "first_text", "kind", "name", "numbers", "rows", "texts", "unfinite")

    def __init__(self, name: str, kind: Kind = "empty") -> None:
        self.name = name
        self.kind: Kind = kind
        self.codes = False
        self.rows = self.numbers = self.texts = self.unfinite = 0
        self.first_text: tuple[int, str] | None = None
        self._mixed = self._consumed = False
        self._parts: list[pl.Series] = []

    @property
    def reread(self) -> bool:
        """Whether cells were taken for something else before the column proved to be text: their spelling must be read again."""
        return self.kind == "text" and (self._mixed or self._consumed)

    def add_text(self, cells: pl.Series, number: pl.Series, codes: bool) -> None:
        """The next cells as strings, null where there is nothing between the separators; `number` is the same read as f64, null
        where it is none; `codes` tells whether one of them is an integer with a zero in front.
        """
        kind, typed = self._read_cells(cells, number, codes)
        self._put(kind, typed)

    def _read_cells(self, cells: pl.Series, number: pl.Series, codes: bool) -> tuple[Kind, pl.Series]:
        absent = cells.null_count()
        if absent == len(cells):
            return "empty", cells
        if self.kind == "text" and not self.reread:
            self._count_texts(cells, number)
            return "text", cells
        if number.null_count() > absent:
            lowered = cells.str.to_lowercase()
            if lowered.is_in(["true", "false"]).all(ignore_nulls=True):
                self.texts += len(cells) - absent
                return "boolean", lowered == "true"
            trimmed = cells.str.strip_chars()
            trimmed = trimmed.set(trimmed.str.to_lowercase().is_in(_NO_VALUE).fill_null(False), None)
            again = trimmed.cast(pl.Float64, strict=False)
            if again.null_count() > trimmed.null_count():
                self._count_texts(trimmed, again)
                return "text", cells
            self._consumed = True
            if trimmed.null_count() == len(cells):
                return "empty", trimmed
            codes = bool((trimmed.cast(pl.Int64, strict=False).is_not_null() & _leads(trimmed)).any())
            cells, number = trimmed, again
        return self._read_numbers(cells, number, codes)

    def _read_numbers(self, cells: pl.Series, number: pl.Series, codes: bool) -> tuple[Kind, pl.Series]:
        """Integers, numbers, or codes such as `007` and numbers too long to hold, which stay text."""
        self.numbers += number.count()
        if codes:
            self.codes = True
            return "text", cells
        if self.kind != "number":
            whole = cells.cast(pl.Int64, strict=False)
            if whole.null_count() == cells.null_count():
                return "integer", whole
        if max(abs(_float(number.min())), abs(_float(number.max()))) >= _EXACT:
            large = cells.filter(number.is_finite() & (number.abs() >= _EXACT))
            if len(large) and not large.str.contains("[.eE]").all():
                self.codes = True
                return "text", cells
        return "number", number

    def _count_texts(self, cells: pl.Series, number: pl.Series) -> None:
        wrong = (cells.is_not_null() & number.is_null()).arg_true()
        self.numbers += number.count()
        self.texts += len(wrong)
        if len(wrong) and self.first_text is None:
            self.first_text = (self.rows + int(wrong[0]) + 1, str(cells[int(wrong[0])]))

    def add_values(self, values: Sequence[Any]) -> None:
        """The next values, as JSON gave them."""
        types = set(map(type, values)) - {type(None)}
        if not types:
            self._put("empty", pl.Series(self.name, [None] * len(values), dtype=pl.String))
        elif types <= {int, float}:
            self.numbers += sum(v is not None for v in values)
            whole = types == {int} and all(v is None or abs(v) < 2**63 for v in values)
            self._put(
                "integer" if whole else "number",
                pl.Series(self.name, values, dtype=pl.Int64 if whole else pl.Float64, strict=False),
            )
        elif types == {bool}:
            self._put("boolean", pl.Series(self.name, values, dtype=pl.Boolean))
        elif types <= {list, dict}:
            self._put(
                "nested", pl.Series(self.name, [None if v is None else orjson.dumps(v).decode() for v in values], dtype=pl.String)
            )
        else:
            self._put("text", pl.Series(self.name, list(self._spell(values)), dtype=pl.String))

    def _spell(self, values: Sequence[Any]) -> Iterator[str | None]:
        for i, value in enumerate(values):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self.numbers += 1
            elif value is not None:
                self.texts += 1
                if self.first_text is None:
                    self.first_text = (self.rows + i + 1, str(value))
            if isinstance(value, str):
                yield value
            else:
                yield orjson.dumps(value).decode() if isinstance(value, (list, dict)) else canonical_label(value)

    def _put(self, kind: Kind, part: pl.Series) -> None:
        joined = _join(self.kind, kind)
        if joined == "text" and ("text" not in (self.kind, "empty") or kind not in ("text", "empty")):
            self._mixed = True
        self.kind = joined
        self.rows += len(part)
        self._parts.append(part)

    def finish(self) -> pl.Series:
        """The whole column in one type; NaN and infinities become null and are counted. Frees the parts."""
        dtype = _DTYPES[self.kind]
        parts, self._parts = self._parts, []
        if self.kind == "text":
            parts = [p if p.dtype == pl.String else pl.Series(self.name, map(canonical_label, p), dtype=pl.String) for p in parts]
        whole = (
            pl.concat([p.cast(dtype).alias(self.name) for p in parts], rechunk=True)
            if parts
            else pl.Series(self.name, [], dtype=dtype)
        )
        if self.kind == "nested":
            return _decode(whole)
        if self.kind == "number":
            whole, self.unfinite = _finite(whole)
        return whole

    def repairs(self, missing: int) -> Iterator[str]:
        """In words what was mended, given the nulls of the finished column."""
        if self.kind == "text" and self.codes:
            yield f"`{self.name}`: values such as `007`, or too long for a number, are codes: the column is kept as text"
        elif self.kind == "text" and self.first_text is not None and self.numbers >= max(1, self.texts):
            row, value = self.first_text
            shown = value if len(value) <= 40 else value[:39] + "…"
            count = f"{self.texts:,} of {self.numbers + self.texts:,} values"
            yield f"`{self.name}`: {count} are not numbers (first in row {row}: `{shown}`): kept as text"
        yield from _absent(self.name, missing, self.unfinite)


def _absent(name: str, missing: int, unfinite: int) -> Iterator[str]:
    """`missing` counts all nulls, `unfinite` those of them that were NaN or infinite."""
    if unfinite:
        yield f"`{name}`: {unfinite:,} values are NaN or infinite: passed on as missing"
    if missing > unfinite:
        yield f"`{name}`: {missing - unfinite:,} values are missing"


def _finite(numbers: pl.Series) -> tuple[pl.Series, int]:
    wrong = numbers.is_finite().not_().fill_null(False)
    count = int(wrong.sum())
    return (numbers.set(wrong, None), count) if count else (numbers, 0)


def _decode(spelt: pl.Series) -> pl.Series:
    """JSON text as lists and records where all values share a shape; otherwise it stays JSON text."""
    try:
        return spelt.str.json_decode(infer_schema_length=None)
    except pl.exceptions.PolarsError:
        return spelt


def settle_parquet(column: pl.Series) -> tuple[pl.Series, list[str]]:
    """A typed column with the types that candidates know: text for categories, ISO text for moments, f64 for decimals."""
    name, notes = column.name, []
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    elif isinstance(column.dtype, pl.Decimal):
        column = column.cast(pl.Float64)
        notes.append(f"`{name}`: decimals are read as 64-bit floating point")
    elif column.dtype.is_temporal():
        column = column.dt.to_string("iso")
        notes.append(f"`{name}`: dates and times are passed on as ISO 8601 text")
    elif column.dtype == pl.Null:
        column = column.cast(pl.String)
    unfinite = 0
    if column.dtype.is_float():
        column, unfinite = _finite(column)
    return column.rechunk(), [*notes, *_absent(name, column.null_count(), unfinite)]
