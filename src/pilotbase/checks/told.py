"""Verdicts in words: the reasons of a check's result, and figures as they are shown in them."""

from dataclasses import replace

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.needed import more_cases
from pilotbase.checks.plan import Column, PlannedCheck
from pilotbase.checks.scores import PENDING
from pilotbase.checks.views import Seen
from pilotbase.domain.quantity import Require
from pilotbase.domain.reason import Reason
from pilotbase.domain.verdict import CheckResult, Verdict
from pilotbase.stats import cluster
from pilotbase.stats.estimate import Estimate

__all__ = ["decided", "more", "shortfalls", "show", "unit_of", "unscored"]


def unit_of(plan: PlannedCheck) -> str:
    """The unit of a check's figures; a currency for money."""
    return plan.require.unit.upper() if plan.metric.unit == "money" else plan.metric.unit


def show(number: float | None, require: Require, unit: str) -> str:
    """A figure as a reason tells it: four digits, or as many more as keep it on its side of the threshold."""
    if number is None:
        return "—"
    if unit == "s" and require.unit == "ms":
        return show(number * 1000, replace(require, value=require.value * 1000, unit=""), "ms")
    tail = f" {unit}" if unit else ""
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}{tail}"
    t = require.value
    for digits in range(4, 18):
        text = f"{number:.{digits}g}"
        if (float(text) >= t) == (number >= t) and (float(text) > t) == (number > t):
            break
    return text + tail


def decided(require: Require, unit: str, estimate: Estimate, verdict: Verdict, needed: int | None = None) -> Reason:
    """The one reason that a bound gives."""
    if estimate.method == "census" and not estimate.n:
        return Reason("no-regressions")
    if estimate.method == "census":
        return Reason("census", {"n": estimate.n, "value": show(estimate.value, require, unit)})
    if verdict == "inconclusive":
        figures = {"low": show(estimate.low, require, unit), "high": show(estimate.high, require, unit), "require": str(require)}
        return Reason("straddles-more", figures | {"needed": f"{needed:,}"}) if needed else Reason("straddles", figures)
    low_side = (require.op == ">=") == (verdict == "pass")
    shown = show(estimate.low if low_side else estimate.high, require, unit)
    return Reason(
        "met" if verdict == "pass" else "missed",
        {"bound": "low" if low_side else "high", "value": shown, "require": str(require)},
    )


def more(plan: PlannedCheck, estimate: Estimate, *, clustered: bool) -> int | None:
    """VERDICT.md section 8, for proportions; None where no closed form tells: means, differences, groups, clusters."""
    simple = plan.metric.kind == "proportion" and plan.other is None and plan.check.group is None and not clustered
    if not simple or estimate.value is None or estimate.low is None or not 0 < plan.require.value < 1:
        return None
    return more_cases(plan.require.op, plan.require.value, estimate.value, plan.confidence, estimate.n, anytime=plan.anytime)


def _answered(board: Board, column: Column, one: Tracked) -> bool:
    """Whether any of a check's cases was answered there."""
    return bool((board.columns[column].state[one.need] != PENDING).any())


def shortfalls(board: Board, one: Tracked, result: CheckResult, seen: Seen | None, why: str) -> list[Reason]:
    """What is missing, in words; a decision at an earlier prefix needs none of it."""
    if one.frozen is not None:
        return []
    found: list[Reason] = []
    plan = one.plan
    if result.not_asked:
        if (
            plan.reference is not None
            and plan.other is not None
            and not _answered(board.references[plan.reference], plan.other, one)
        ):
            found.append(Reason("no-reference", {"count": result.not_asked, "reference": plan.reference}))
        else:
            found.append(Reason("not-asked", {"count": result.not_asked, "planned": result.planned, "why": why or "stopped"}))
    if seen is None:
        return found
    if one.complete:
        found += [Reason("small-group", {"group": p.name, "n": p.n, "minimum": plan.check.minimum}) for p in seen.small]
    if plan.check.group is not None and len(seen.parts) < 2:
        found.append(Reason("one-group", {"count": len(seen.parts), "column": plan.check.group}))
    if one.ungrouped:
        found.append(Reason("ungrouped", {"count": one.ungrouped, "column": plan.check.group}))
    return found + _unestimated(board, one, seen)


def _unestimated(board: Board, one: Tracked, seen: Seen) -> list[Reason]:
    """Why there are no bounds, or no value, where groups do not explain it."""
    few = _few_clusters(board, one, seen)
    if few is not None:
        return [Reason("few-clusters", {"clusters": few, "minimum": cluster.MINIMUM})]
    if seen.estimate.method == "needs both classes" or any(p.estimate.method == "needs both classes" for p in seen.parts):
        return [Reason("one-class")]
    if seen.estimate.value is None and one.complete and not seen.small:
        return [Reason("no-cases")]
    return []


def _few_clusters(board: Board, one: Tracked, seen: Seen) -> int | None:
    """The number of clusters where it is too small, of the whole or of the smallest group; None where there are enough."""
    scored = board.scored(one, one.ready)
    if scored.clusters is None:
        return None
    counted = ~np.isnan(scored.value)
    counts = [len(np.unique(scored.clusters[counted]))]
    if scored.groups is not None:
        counts = [len(np.unique(scored.clusters[counted & (scored.groups == code)])) for code in range(len(scored.group_names))]
    short = [e for e in (seen.estimate, *(p.estimate for p in seen.parts)) if e.method == "too few clusters"]
    return min(counts) if short and counts else None


def unscored(plan: PlannedCheck, count: int) -> Reason:
    """Why answers without a number leave a check open."""
    if plan.metric.unit in ("tokens", "money"):
        return Reason("no-usage", {"count": count})
    return Reason("no-worst-value", {"failed": count, "metric": plan.check.metric})
