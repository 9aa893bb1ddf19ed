"""The evidence of a run: where it lies, and boards fed from what was read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import Calibration
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.transforms import TRANSFORMS
from pilotbase.context import Context
from pilotbase.data.files import Ids
from pilotbase.domain.evidence import OBSERVATION
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.variant import Variant
from pilotbase.errors import UserError
from pilotbase.pilots.ask import Transformer
from pilotbase.pilots.judging import CALIBRATION
from pilotbase.pilots.observe import from_frame
from pilotbase.ports import Cases, Coded
from pilotbase.store.columns import to_parquet
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.segments import SegmentLog

__all__ = [
    "asking_order",
    "calibrations",
    "judged_labels",
    "make_boards",
    "open_log",
    "read_cases",
    "read_log",
    "transformer",
    "write_cases",
]

ROLL_ROWS = 8192


def open_log(context: Context, run: str, candidate: str) -> SegmentLog:
    """The one writer of a candidate's evidence."""
    index = DatabaseIndex(context.database, f"{run}/{candidate}")
    return SegmentLog(context.run_folder(run) / "evidence" / candidate, OBSERVATION, index, context.disk, ROLL_ROWS)


def read_log(context: Context, run: str, candidate: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """A candidate's evidence, verified segment by segment."""
    index = DatabaseIndex(context.database, f"{run}/{candidate}")
    return SegmentLog.reader(context.run_folder(run) / "evidence" / candidate, OBSERVATION, index, context.disk).read(columns)


def write_cases(context: Context, run: str, columns: CaseColumns) -> None:
    """Keep what the verdict needs of the cases (ids, truth, groups, clusters; no inputs), to conclude again without the data."""
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
    """Case columns from a frame of id (or position), truth, number, g:* and cluster."""
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
    )


def asking_order(pilot: Pilot) -> list[str]:
    """Candidates with those first that others are compared to."""
    compared = {c.compare_to for g in pilot.open_gates for c in g.checks if c.compare_to}
    names = [c.id for c in pilot.candidates]
    return [n for n in names if n in compared] + [n for n in names if n not in compared]


def make_boards(
    pilot: Pilot, planned: Sequence[PlannedCheck], variants: Sequence[Variant], columns: CaseColumns
) -> dict[str, Board]:
    """A board for each candidate, in asking order; those compared to feed the comparisons too."""
    feeds: dict[str, list[PlannedCheck]] = {}
    for check in planned:
        if check.reference is not None:
            feeds.setdefault(check.reference, []).append(replace(check, other=None, reference=None, id=f"{check.id} (reference)"))
    boards: dict[str, Board] = {}
    for name in asking_order(pilot):
        boards[name] = Board(name, planned, variants, columns, references=boards, feeds=feeds.get(name, ()))
    return boards


def feed(board: Board, frames: Iterator[pl.DataFrame]) -> None:
    """Add what was read back; judgements of labelled answers are not the candidate's."""
    for frame in frames:
        for seen in from_frame(frame.filter(~judged_labels(board.variants))):
            board.add(seen)


def judged_labels(variants: Sequence[Variant]) -> pl.Expr:
    """Marks judgements of labelled answers, which measure a judge and are no answers of the candidate."""
    judges = [i for i, v in enumerate(variants) if v.kind == "judge"]
    return pl.col("variant").is_in(judges) & (pl.col("repetition") == CALIBRATION) if judges else pl.lit(False)


def calibrations(
    frames: Iterator[pl.DataFrame], variants: Sequence[Variant], labels: Mapping[int, Sequence[str]]
) -> dict[int, Calibration]:
    """How each judge did on the labelled answers; `labels` holds what people said, row by row."""
    rows = pl.concat(
        [f.filter(pl.col("repetition") == CALIBRATION).select("variant", "position", "label") for f in frames] or [pl.DataFrame()]
    )
    found: dict[int, Calibration] = {}
    for variant, labelled in labels.items():
        said = (
            {r["position"]: r["label"] for r in rows.filter(pl.col("variant") == variant).iter_rows(named=True)}
            if rows.height
            else {}
        )
        if len(said) < len(labelled) or variants[variant].kind != "judge":
            continue
        pairs = [(word, said.get(i)) for i, word in enumerate(labelled)]
        found[variant] = Calibration(
            true_positive=sum(t == "yes" and s == "yes" for t, s in pairs),
            positives=sum(t == "yes" for t, _ in pairs),
            true_negative=sum(t == "no" and s != "yes" for t, s in pairs),
            negatives=sum(t == "no" for t, _ in pairs),
        )
    return found


def transformer(cases: Cases, seed: int, media: Sequence[str] = ()) -> Transformer:
    """Applies a variant's transform to a slice of inputs that starts at a position."""
    spread = cases.spread()

    def transform(variant: Variant, frame: pl.DataFrame, start: int) -> pl.DataFrame:
        assert variant.transform is not None
        strength, unit = variant.transform.strength
        row = TRANSFORMS[variant.transform.transform]
        kept = frame.select(c for c in frame.columns if c in media)  # paths are not values to disturb
        changed = row.apply(
            frame.drop(kept.columns),
            start,
            seed=seed,
            strength=strength,
            unit=unit,
            spread=spread,
            columns=variant.transform.columns or None,
        )
        return changed.with_columns(kept.get_columns()).select(frame.columns)

    return transform
