"""What could decide each check, told before anything is called."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.foresee import CHANCE, Foresight, foresee, foresee_judged, foresee_load
from pilotbase.checks.transforms import TRANSFORMS
from pilotbase.domain.variant import Variant
from pilotbase.flows.judging import labels_of

__all__ = ["check_facts", "count_labels", "foresee_check"]


def count_labels(variants: Sequence[Variant], folder: Path) -> dict[int, tuple[int, int]]:
    """How many answers people labelled (yes, no), by judged variant."""
    found: dict[int, tuple[int, int]] = {}
    for index, rows in labels_of(variants, folder).items():
        yes = rows.count("yes")
        found[index] = (yes, len(rows) - yes)
    return found


def foresee_check(board: Board, one: Tracked, labels: Mapping[int, tuple[int, int]]) -> Foresight:
    variant = board.variants[one.plan.column.variant]
    if variant.kind == "load":
        return foresee_load(one.plan, variant)
    if one.plan.metric.kind == "judged":
        return foresee_judged(one.plan, len(one.need), *labels.get(one.plan.column.variant, (0, 0)))
    return foresee(board, one)


def check_facts(board: Board, one: Tracked, told: Foresight, labels: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    found, check = one.plan, one.plan.check
    variant = board.variants[found.column.variant]
    transform = check.drop_under
    return asdict(told) | {
        "id": found.id,
        "gate": found.gate,
        "mandatory": found.mandatory,
        "role": check.role,
        "metric": check.metric,
        "title": found.metric.title[0],
        "kind": found.metric.kind,
        "denominator": found.metric.denominator.__name__ if found.metric.denominator else "",
        "view": list(check.view) if check.view else None,
        "transform": TRANSFORMS[transform.transform].describe(*transform.strength) if transform else None,
        "load": str(variant.load) if variant.load else None,
        "repeat": variant.repetitions if variant.kind == "repeat" else None,
        "judge": {
            "model": variant.judge.model,
            "labels": list(labels[found.column.variant]) if found.column.variant in labels else None,
        }
        if variant.judge
        else None,
        "live": None if check.live is None else str(check.live),
        "require": str(found.require),
        "op": found.require.op,
        "threshold": found.require.value,
        "confidence": found.confidence,
        "looks": "any" if found.anytime else "once",
        "minimum": check.minimum,
        "chance": CHANCE,
    }
