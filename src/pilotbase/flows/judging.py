"""Judging the answers of a candidate, and the labelled ones that measure the judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilotbase.checks.board import Board
from pilotbase.domain.gate import JudgeSpec
from pilotbase.domain.variant import Variant
from pilotbase.flows.prepare import Prepared
from pilotbase.judges.labels import read_labels
from pilotbase.judges.model import ModelJudge, build
from pilotbase.pilots.judging import CALIBRATION, judge_answers, judge_labels
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.progress import Progress
from pilotbase.store.segments import SegmentLog

__all__ = ["judge_all", "labels_of"]


def labels_of(variants: Sequence[Variant], folder: Path) -> dict[int, list[Mapping[str, Any]]]:
    """The rows of each judge's labels file, by variant; `unsure` rows measure nothing and are left out."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for index, variant in enumerate(variants):
        if variant.judge is not None and variant.judge.labels is not None:
            found[index] = [{"answer": r.answer, "label": r.label, "id": r.id} for r in read_labels(folder / variant.judge.labels) if r.label != "unsure"]
    return found


async def judge_all(prepared: Prepared, board: Board, log: SegmentLog, budget: Budget, progress: Progress, candidate: str) -> None:
    """Ask each judge that a check names about every answer that it has not judged yet."""
    labels = labels_of(board.variants, prepared.loaded.folder)
    for index, variant in enumerate(board.variants):
        if variant.judge is None:
            continue
        answers, judged, calibrated = _answers(log, index)
        judge = _judge(prepared, variant.judge)
        try:
            if index in labels and calibrated < len(labels[index]):
                await judge_labels(index, judge, labels[index], log)
            waiting = {p: t for p, t in answers.items() if p not in judged}
            await judge_answers(
                index, judge, waiting, cases=prepared.cases, board=board, log=log, budget=budget, progress=progress, candidate=candidate
            )
        finally:
            await judge.aclose()


def _judge(prepared: Prepared, spec: JudgeSpec) -> ModelJudge:
    context = next(iter(prepared.contexts.values()))
    return build(spec, context.secrets)


def _answers(log: SegmentLog, variant: int) -> tuple[dict[int, str | None], set[int], int]:
    """(plain answers by position, positions judged, labelled answers judged), from what was recorded."""
    answers: dict[int, str | None] = {}
    judged: set[int] = set()
    calibrated = 0
    for frame in log.read(["variant", "position", "repetition", "failure", "label", "text"]):
        plain = frame.filter(pl.col("variant") == 0)
        texts = plain.select(pl.when(pl.col("failure").is_null()).then(pl.coalesce("text", "label")).otherwise(None).alias("text"))["text"]
        answers.update(zip(plain["position"].to_list(), texts.to_list(), strict=True))
        own = frame.filter(pl.col("variant") == variant)
        first = own["repetition"].to_numpy() != CALIBRATION
        judged.update(own["position"].to_numpy()[first].tolist())
        calibrated += int(np.count_nonzero(~first))
    return answers, judged, calibrated
