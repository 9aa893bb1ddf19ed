"""The evidence of a run: where it lies, and boards fed from what was read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import Calibration
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.transforms import choose_transform
from pilotbase.context import Context
from pilotbase.domain.evidence import OBSERVATION
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.variant import Variant
from pilotbase.pilots.ask import Transformer
from pilotbase.pilots.judging import CALIBRATION
from pilotbase.pilots.observe import from_frame
from pilotbase.ports import Cases
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.segments import SegmentLog

__all__ = ["asking_order", "calibrations", "judged_labels", "log_head", "make_boards", "open_log", "read_log", "transformer"]

ROLL_ROWS = 8192


def open_log(context: Context, run: str, candidate: str) -> SegmentLog:
    """The one writer of a candidate's evidence."""
    index = DatabaseIndex(context.database, f"{run}/{candidate}")
    return SegmentLog(context.run_folder(run) / "evidence" / candidate, OBSERVATION, index, context.disk, ROLL_ROWS)


def read_log(context: Context, run: str, candidate: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """A candidate's evidence, verified segment by segment."""
    index = DatabaseIndex(context.database, f"{run}/{candidate}")
    return SegmentLog.reader(context.run_folder(run) / "evidence" / candidate, OBSERVATION, index, context.disk).read(columns)


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


def log_head(context: Context, run: str, candidate: str) -> dict[str, Any]:
    """The end of a candidate's evidence chain: what a dossier says of it binds every segment that the custodian keeps."""
    infos = DatabaseIndex(context.database, f"{run}/{candidate}").list()
    return {"segments": len(infos), "rows": sum(i.rows for i in infos), "head": infos[-1].digest if infos else None}


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
        row = choose_transform(variant.transform.transform)
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
