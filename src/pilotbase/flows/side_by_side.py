"""Two runs side by side, or two candidates: of one run, or of different ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.comparable import Comparable, read_comparable
from pilotbase.flows.compare import Comparison, compare_runs
from pilotbase.flows.run_list import opened_run

__all__ = ["Sides", "side_by_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two results that are compared, and what came of it."""

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    comparison: Comparison


def side_by_side(
    context: Context, first: str, second: str, *, candidate: str = "", other: str = "", confidence: float = 0.95
) -> Sides:
    """Compare runs of this home by their ids, and of each the one candidate that is named, a reference too.

    Only ids are taken, never paths: who asks may be far from this machine. UserError where a run or candidate is not there.
    """
    left, right = (
        _only(read_comparable(context, opened_run(context, run).run), name) for run, name in ((first, candidate), (second, other))
    )
    return Sides(first=left.result, second=right.result, comparison=compare_runs(left, right, confidence))


def _only(side: Comparable, candidate: str) -> Comparable:
    if not candidate:
        return side
    found = next((c for c in side.result["candidates"] if c["id"] == candidate), None)
    if found is None:
        known = ", ".join(str(c["id"]) for c in side.result["candidates"])
        raise UserError(f"run {side.name} has no candidate `{candidate[:80]}`", hint=f"it has: {known}", status=404)
    return replace(side, result={**side.result, "candidates": [{**found, "role": "candidate"}]})
