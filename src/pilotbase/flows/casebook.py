"""The cases of a run as they are kept with it: ids, truth, groups, clusters and incidents, and no inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.data.files import Ids
from pilotbase.errors import UserError
from pilotbase.ports import Coded
from pilotbase.store.columns import to_parquet

__all__ = ["cases_path", "columns_of", "read_cases", "write_cases"]


def write_cases(context: Context, run: str, columns: CaseColumns) -> None:
    """Keep what the verdict needs of the cases (and no inputs), to conclude again without the data."""
    frame: dict[str, Any] = {
        "id": columns.ids.series() if isinstance(columns.ids, Ids) else pl.Series(list(columns.ids), dtype=pl.String)
    }
    if columns.truth is not None:
        frame["truth"] = _spelled(columns.truth)
    if columns.numbers is not None:
        frame["number"] = columns.numbers
    for name, coded in columns.groups.items():
        frame[f"g:{name}"] = _spelled(coded)
    if columns.clusters is not None:
        frame["cluster"] = _spelled(columns.clusters)
    if columns.incidents is not None:
        frame["incident"] = _spelled(columns.incidents)
    path = cases_path(context, run)
    context.disk.make_folder(path.parent)
    context.disk.write_whole(path, to_parquet(pl.DataFrame(frame)))


def cases_path(context: Context, run: str) -> Path:
    return context.run_folder(run) / "cases.parquet"


def _spelled(coded: Coded) -> pl.Series:
    names = pl.Series([*coded.names, None], dtype=pl.String)
    return names.gather(pl.Series(np.where(coded.codes < 0, len(coded.names), coded.codes)))


def _coded(column: pl.Series) -> Coded:
    names = column.drop_nulls().unique(maintain_order=True)
    if not len(names):
        return Coded(codes=np.full(len(column), -1, dtype=np.int32), names=())
    codes = column.replace_strict(
        names, pl.Series(range(len(names)), dtype=pl.Int32), default=-1, return_dtype=pl.Int32
    ).fill_null(-1)
    return Coded(codes=codes.to_numpy().astype(np.int32), names=tuple(names))


def read_cases(path: Path, positive: str | None) -> CaseColumns:
    """The cases of a run as they were written. UserError where the file is gone or damaged."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"the cases of this run cannot be read: {error}", where=str(path), hint="restore the file from a copy of the home"
        ) from None
    return columns_of(frame, positive)


def columns_of(frame: pl.DataFrame, positive: str | None) -> CaseColumns:
    """Case columns from a frame of id (or position), truth, number, g:*, cluster and incident."""
    truth = _coded(frame["truth"]) if "truth" in frame.columns else None
    ids = Ids(frame["id"]) if "id" in frame.columns else Ids(pl.arange(0, frame.height, eager=True))
    return CaseColumns(
        count=frame.height,
        ids=ids,
        truth=truth,
        numbers=frame["number"].cast(pl.Float64).fill_null(float("nan")).to_numpy() if "number" in frame.columns else None,
        positive=truth.names.index(positive) if truth is not None and positive in truth.names else -1,
        groups={c[2:]: _coded(frame[c]) for c in frame.columns if c.startswith("g:")},
        clusters=_coded(frame["cluster"]) if "cluster" in frame.columns else None,
        incidents=_coded(frame["incident"]) if "incident" in frame.columns else None,
    )
