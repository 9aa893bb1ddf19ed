"""Where the checks of a candidate stand while it is asked: what a reader of a live page may be told, and no more."""

from typing import Any

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.views import look_at

__all__ = ["standing"]


def standing(board: Board) -> list[dict[str, Any]]:
    """One entry a check, in order: what it asks for, how many of its cases are complete, and its estimate on them.

    Only a check that may be looked at at any time has an estimate here: people act on what they see, and one that looks once
    would not hold then (VERDICT.md, section 4). `verdict` is that of a check that is decided, and None of one that is open.
    """
    return [_one(board, tracked) for tracked in board.tracked]


def _one(board: Board, tracked: Tracked) -> dict[str, Any]:
    plan = tracked.plan
    told: dict[str, Any] = {
        "id": plan.id,
        "gate": plan.gate,
        "title": {"en": plan.metric.title[0], "zh": plan.metric.title[1]},
        "require": str(plan.require),
        "n": tracked.ready,
        "planned": len(tracked.need),
        "anytime": plan.anytime,
        "verdict": tracked.frozen.verdict if tracked.frozen is not None else None,
        "value": None,
        "low": None,
        "high": None,
    }
    loaded = board.variants[plan.column.variant].kind == "load"
    if loaded or not plan.anytime or not tracked.ready:
        return told
    count = tracked.frozen.n if tracked.frozen is not None else tracked.ready
    found = look_at(plan, board.scored(tracked, count)).estimate
    return {**told, "value": found.value, "low": found.low, "high": found.high}
