"""Judging the answers of a candidate, and the labelled ones that measure the judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pilotbase.checks.board import Board
from pilotbase.domain.variant import Variant
from pilotbase.flows.labels import usable_labels
from pilotbase.flows.prepare import Prepared
from pilotbase.judges.labels import Label
from pilotbase.judges.model import build
from pilotbase.pilots.judging import CALIBRATION, Bench, expected_of, judge_answers, judge_labels
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.progress import Progress
from pilotbase.ports import Cases, Question, TargetContext
from pilotbase.store.segments import SegmentLog

__all__ = ["check_judges", "judge_all", "labels_of"]


def labels_of(variants: Sequence[Variant], folder: Path) -> dict[int, list[str]]:
    """What people said in each judge's labels file, by variant; `unsure` rows measure nothing and are left out."""
    named = {i: v.judge.labels for i, v in enumerate(variants) if v.judge is not None and v.judge.labels is not None}
    return {i: [row.label for row in usable_labels(folder / path)] for i, path in named.items()}


def check_judges(prepared: Prepared) -> None:
    """UserError, before anything is called, where a judge's key is not set."""
    for check in (c for g in prepared.pilot.open_gates for c in g.checks):
        if check.judge is not None:
            build(check.judge, _context(prepared).secrets)


async def judge_all(prepared: Prepared, board: Board, log: SegmentLog, *, budget: Budget, progress: Progress) -> None:
    """Ask each judge that a check names about every answer that it has not judged yet."""
    for index, variant in enumerate(board.variants):
        if variant.judge is None:
            continue
        answers, judged, calibrated = _answers(log, index)
        known = _context(prepared)
        judge = build(variant.judge, known.secrets, bounds=known.bounds)
        bench = Bench(variant=index, judge=judge, log=log, budget=budget, progress=progress, candidate=board.candidate)
        try:
            if variant.judge.labels is not None:
                rows = prepared.labels[variant.judge.labels]
                await judge_labels(bench, _labelled(rows, calibrated, answers, prepared.cases))
            ordinary = prepared.columns.ordinary
            unjudged = {p: t for p, t in answers.items() if p not in judged and ordinary[p]}
            await judge_answers(bench, unjudged, prepared.cases, board)
        finally:
            await judge.aclose()


def _context(prepared: Prepared) -> TargetContext:
    return next(iter(prepared.contexts.values()))


def _labelled(
    rows: Sequence[Label], done: set[int], answers: Mapping[int, str | None], cases: Cases
) -> dict[int, Question | None]:
    """The labelled answers not judged yet, put as cases of the test are: with inputs, and the truth where there is one."""
    wanted = {row.id for i, row in enumerate(rows) if i not in done}
    places = {name: p for p, name in enumerate(cases.ids) if name in wanted} if wanted else {}
    found: dict[int, Question | None] = {}
    for i, row in enumerate(rows):
        if i in done:
            continue
        place = places.get(row.id)
        answer = row.answer if row.answer is not None else (answers.get(place) if place is not None else None)
        inputs = cases.inputs(place, place + 1).row(0, named=True) if place is not None else {}
        expected = expected_of(cases, place) if place is not None else None
        found[i] = None if answer is None else Question(key=i, inputs=inputs, expected=expected, answer=answer)
    return found


def _answers(log: SegmentLog, variant: int) -> tuple[dict[int, str | None], set[int], set[int]]:
    """(plain answers by position, positions judged, labelled answers judged), from what was recorded."""
    answers: dict[int, str | None] = {}
    judged: set[int] = set()
    calibrated: set[int] = set()
    for frame in log.read(["variant", "position", "repetition", "failure", "label", "text"]):
        plain = frame.filter(pl.col("variant") == 0)
        texts = plain.select(
            pl.when(pl.col("failure").is_null()).then(pl.coalesce("text", "label")).otherwise(None).alias("text")
        )["text"]
        answers.update(zip(plain["position"].to_list(), texts.to_list(), strict=True))
        own = frame.filter(pl.col("variant") == variant)
        labelled = own["repetition"].to_numpy() == CALIBRATION
        positions = own["position"].to_numpy()
        judged.update(positions[~labelled].tolist())
        calibrated.update(positions[labelled].tolist())
    return answers, judged, calibrated
