"""Plain files of cases: `open_cases` reads one, orders it, and keeps the inputs on disk in the order of asking.

The inputs lie in scratch as uncompressed Arrow IPC, one file for each 65,536 positions, each mapped into memory only while it is
read. So a process holds labels, groups and ids (a few bytes a case) and one part of the inputs, however large the file is.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilotbase.data.encoding import digest_file
from pilotbase.data.media import add_media, check_media, place_media
from pilotbase.data.order import order_digest, order_rows
from pilotbase.data.reading import Table, find_file, read_table
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import TestData
from pilotbase.errors import InvalidInput, UserError
from pilotbase.ports import Coded

__all__ = ["FileCases", "Ids", "open_cases"]

_PART = 1 << 16
_SHOWN = 20
_LIMIT = 4_000_000_000


class Ids(Sequence[str]):
    """Ids by position, spelled out only when looked at: held as packed text, or as row numbers."""

    __slots__ = ("_held",)

    def __init__(self, held: pl.Series) -> None:
        self._held = held

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return self._held[place].cast(pl.String).to_list()
        return str(self._held[place])

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._held), _PART):
            yield from self[start : start + _PART]

    def series(self) -> pl.Series:
        """All ids as one Polars column of strings."""
        return self._held.cast(pl.String)


class FileCases:
    """`ports.Cases` over one file. `rows_digest` covers the file's bytes alone, `digest` its media too."""

    def __init__(
        self,
        *,
        path: Path,
        count: int,
        digest: str,
        rows_digest: str,
        order: str,
        repairs: tuple[str, ...],
        ids: Ids,
        truth: Coded | None,
        numbers: NDArray[np.float64] | None,
        groups: Mapping[str, Coded],
        clusters: Coded | None,
        incidents: Coded | None,
        spread: Mapping[str, float],
        parts: Path,
    ) -> None:
        self.path = path
        self.count = count
        self.digest = digest
        self.rows_digest = rows_digest
        self.order = order
        self.repairs = repairs
        self.ids: Sequence[str] = ids
        self.truth = truth
        self.numbers = numbers
        self.groups = groups
        self.clusters = clusters
        self.incidents = incidents
        self._spread = dict(spread)
        self._parts = parts
        self._open: tuple[int, pl.DataFrame] | None = None
        self._finalizer = weakref.finalize(self, shutil.rmtree, parts, ignore_errors=True)

    def inputs(self, start: int, stop: int) -> pl.DataFrame:
        """The inputs at positions start <= p < stop, which are cut to 0..count."""
        start, stop = max(0, start), min(stop, self.count)
        if start >= stop:
            return self._part(0).clear()
        first, last = start // _PART, (stop - 1) // _PART
        pieces = [self._part(i)[max(0, start - i * _PART) : stop - i * _PART] for i in range(first, last + 1)]
        return pieces[0] if len(pieces) == 1 else pl.concat(pieces, rechunk=True)

    def _part(self, index: int) -> pl.DataFrame:
        if self._open is None or self._open[0] != index:
            self._open = None
            self._open = (index, pl.read_ipc(_part_path(self._parts, index)))
        return self._open[1]

    def spread(self) -> Mapping[str, float]:
        """Sample standard deviation of each numeric input over the ordinary cases that have it; 0 where fewer than two have."""
        return self._spread

    def close(self) -> None:
        """Remove the ordered inputs from scratch. Safe to call twice; also done when the object goes."""
        self._open = None
        self._finalizer()


def open_cases(spec: TestData, folder: Path, seed: int, scratch: Path) -> FileCases:
    """Read `spec.path` (from `folder`) and put its cases in the order that `seed` gives.

    Errors name the file, row and column: UserError for one thing, InvalidInput for several. An error leaves nothing in `scratch`.
    """
    path = find_file(spec.path, folder)
    rows_digest = digest_file(path)
    table = read_table(path, spec)
    problems, truth = _examine(table, spec, path)
    if problems:
        raise InvalidInput(f"{path.name}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the data", problems)
    media = [table.columns[name] for name in spec.media]
    digest = add_media(rows_digest, media, path) if media else rows_digest
    for name in spec.media:
        table.columns[name] = place_media(table.columns[name], path)
    clusters = _code(table.columns[spec.cluster]) if spec.cluster else None
    order = order_rows(table.rows, seed, clusters.codes if clusters else None)
    numbers = _numbers(table.columns[spec.target], order) if spec.target else None
    incidents = _code(table.columns[spec.incident]) if spec.incident else None
    ordinary = pl.Series(incidents.codes < 0) if incidents else None
    groups = {name: _arrange(_code(_among(table.columns[name], ordinary)), order) for name in spec.groups}
    ids = Ids(table.ids.gather(order)) if table.ids is not None else Ids(pl.Series("id", order) + 1)
    spread = _spread(table, spec.inputs, ordinary)
    parts = _write_parts(table, spec.inputs, order, scratch)
    return FileCases(
        path=path,
        count=table.rows,
        digest=digest,
        rows_digest=rows_digest,
        order=order_digest(order),
        repairs=table.repairs,
        ids=ids,
        truth=_arrange(truth, order) if truth else None,
        numbers=numbers,
        groups=groups,
        clusters=_arrange(clusters, order) if clusters else None,
        incidents=_arrange(incidents, order) if incidents else None,
        spread=spread,
        parts=parts,
    )


def _examine(table: Table, spec: TestData, path: Path) -> tuple[list[str], Coded | None]:
    """Everything wrong with the rows at once, and the truth in file order."""
    problems: list[str] = []
    if table.rows > _LIMIT:
        problems.append(f"{table.rows:,} rows: at most {_LIMIT:,} can be ordered; split the file")
    if table.ids is not None:
        problems.extend(_id_problems(table.ids, spec.id or ""))
    nested = [n for n in (spec.target, *spec.groups, spec.cluster, spec.incident) if n and table.columns[n].dtype.is_nested()]
    problems.extend(f"column `{n}`: lists and records cannot be labels; use text, numbers or booleans" for n in nested)
    if spec.cluster and spec.cluster not in nested and (rows := _missing(table.columns[spec.cluster])):
        problems.append(
            f"column `{spec.cluster}` (cluster): {rows}; give each of them a cluster, of its own where it stands alone"
        )
    problems.extend(check_media([table.columns[name] for name in spec.media], path))
    if spec.target is None or spec.target in nested:
        return problems, None
    if rows := _missing(table.columns[spec.target]):
        problems.append(
            f"column `{spec.target}` (target): {rows}; a row without truth cannot be scored: fill it in or leave the row out"
        )
    truth = _code(table.columns[spec.target])
    positive = canonical_label(spec.positive)
    if positive is not None and positive not in truth.names:
        near = get_close_matches(positive, truth.names, n=1, cutoff=0.6)
        found = ", ".join(f"`{n}`" for n in sorted(truth.names)[:_SHOWN]) + (", …" if len(truth.names) > _SHOWN else "")
        advice = f"; did you mean `{near[0]}`?" if near else ""
        problems.append(f"column `{spec.target}`: `positive: {positive}` is not among the truths: {found}{advice}")
    return problems, truth


def _missing(column: pl.Series) -> str:
    """How many rows lack a value and the first three, in words; empty where none does."""
    lacking = column.is_null()
    if column.dtype == pl.String:
        lacking = lacking | (column.str.strip_chars() == "").fill_null(True)
    rows = lacking.arg_true()
    if not len(rows):
        return ""
    return f"{len(rows):,} of {len(column):,} rows have no value (first: row {', '.join(str(r + 1) for r in rows[:3])})"


def _id_problems(ids: pl.Series, name: str) -> Iterator[str]:
    if lacking := _missing(ids):
        yield f"column `{name}` (id): {lacking}; give every row its own"
    # Sorted hashes tell in 16 bytes a row that nothing is repeated; only otherwise are the ids themselves compared.
    hashes = np.sort(ids.drop_nulls().hash().to_numpy())
    if not np.any(hashes[1:] == hashes[:-1]):
        return
    rows = pl.DataFrame({"id": ids}).with_row_index("row", 1).filter(ids.is_duplicated() & ids.is_not_null())
    many = rows.group_by("id", maintain_order=True).agg("row")
    if not many.height:
        return
    shown = [
        f"`{key}` in rows {', '.join(map(str, at[:3]))}{', …' if len(at) > 3 else ''}" for key, at in many.head(3).iter_rows()
    ]
    yield f"column `{name}` (id): {many.height:,} ids are used more than once: {'; '.join(shown)}; make ids unique"


def _code(column: pl.Series) -> Coded:
    """Canonical labels coded by first appearance; blank text is missing."""
    distinct = column.unique(maintain_order=True).drop_nulls()
    places: dict[str, int] = {}
    codes: list[int] = []
    for value in distinct:
        label = canonical_label(value)
        codes.append(places.setdefault(label, len(places)) if label else -1)
    table = column.replace_strict(distinct, pl.Series(codes, dtype=pl.Int32), default=-1, return_dtype=pl.Int32)
    return Coded(codes=table.fill_null(-1).to_numpy().astype(np.int32), names=tuple(places))


def _among(column: pl.Series, ordinary: pl.Series | None) -> pl.Series:
    """The column with nothing in it for cases from incidents, which stand outside of every group."""
    if ordinary is None:
        return column
    kept = pl.select(pl.when(ordinary).then(column)).to_series()
    return kept.alias(column.name)


def _arrange(coded: Coded, order: NDArray[np.uint32]) -> Coded:
    return Coded(codes=coded.codes[order], names=coded.names)


def _numbers(target: pl.Series, order: NDArray[np.uint32]) -> NDArray[np.float64] | None:
    if not target.dtype.is_numeric():
        return None
    return target.cast(pl.Float64).to_numpy()[order]


def _spread(table: Table, inputs: Sequence[str], ordinary: pl.Series | None) -> dict[str, float]:
    numeric = [n for n in inputs if table.columns[n].dtype.is_numeric()]
    found: dict[str, float] = {}
    for name in numeric:
        column = table.columns[name] if ordinary is None else table.columns[name].filter(ordinary)
        value = column.cast(pl.Float64).std(ddof=1)
        found[name] = value if isinstance(value, float) and np.isfinite(value) else 0.0
    return found


def _write_parts(table: Table, inputs: Sequence[str], order: NDArray[np.uint32], scratch: Path) -> Path:
    """Gather the inputs part by part in the order of asking, into a new folder of scratch."""
    frame = pl.DataFrame([table.columns[name].alias(name) for name in inputs])
    parts: Path | None = None
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        parts = Path(tempfile.mkdtemp(prefix="cases-", dir=scratch))
        for index, start in enumerate(range(0, table.rows, _PART)):
            frame[pl.Series(order[start : start + _PART])].write_ipc(_part_path(parts, index), compression="uncompressed")
    except (OSError, pl.exceptions.PolarsError) as error:
        if parts is not None:
            shutil.rmtree(parts, ignore_errors=True)
        raise UserError(
            f"the ordered cases cannot be written: {error}", where=str(scratch), hint="free disk space, or mend its permissions"
        ) from None
    return parts


def _part_path(parts: Path, index: int) -> Path:
    return parts / f"{index:05d}.arrow"
