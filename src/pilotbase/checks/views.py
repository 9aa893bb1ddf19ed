"""The ways of looking at a metric (as it is, a gap or ratio or worst over groups, a paired difference), as one estimate."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.estimators import Sample, estimate, estimate_difference
from pilotbase.checks.plan import PlannedCheck
from pilotbase.stats import groups
from pilotbase.stats.estimate import Estimate, census, unbounded, undefined

__all__ = ["Part", "Scored", "Seen", "look_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a check's estimate is a function of, over its cases in the recorded order.

    `value` f64 (NaN: outside the denominator), `classes` codes of the truth, `positive` bool, `clusters` and `groups` codes or
    None.
    `ungrouped` counts the cases without a group among all that the check needs, whether or not they are in this prefix: they
    are known before
    anything is asked, and an early look may not decide as if they were not there.
    """

    value: NDArray[np.float64]
    classes: NDArray[np.int32]
    positive: NDArray[np.bool_]
    clusters: NDArray[np.int64] | None = None
    groups: NDArray[np.int32] | None = None
    group_names: tuple[str, ...] = ()
    ungrouped: int = 0

    @property
    def sample(self) -> Sample:
        return Sample(value=self.value, classes=self.classes, positive=self.positive, clusters=self.clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One group of a check, with its estimate at the group's share of alpha, and its cases in the denominator."""

    name: str
    n: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An estimate, and where there are groups, their parts, which of them are too small, and the cases without a group."""

    estimate: Estimate
    parts: tuple[Part, ...] = field(default=())
    small: tuple[Part, ...] = field(default=())
    ungrouped: int = 0


def look_at(plan: PlannedCheck, scored: Scored) -> Seen:
    """The check's estimate on these cases. A small group, or cases without a group, leave no bounds (VERDICT.md section 6)."""
    if plan.metric.empty is not None and not len(scored.value):
        return Seen(estimate=census(plan.metric.empty, 0, plan.confidence))
    if plan.other is not None:
        width = _width(plan)
        return Seen(
            estimate=estimate_difference(scored.value, scored.clusters, plan.confidence, anytime=plan.anytime, width=width)
        )
    if scored.groups is not None:
        return _over_groups(plan, scored)
    return Seen(estimate=estimate(plan.metric.kind, scored.sample, plan.confidence, anytime=plan.anytime, bounds=_bounds(plan)))


def _bounds(plan: PlannedCheck) -> tuple[float, float]:
    if plan.check.bound is not None and plan.metric.kind in ("loss", "root-mean-square"):
        return plan.check.bound
    return (
        -np.inf if plan.metric.lower is None else plan.metric.lower,
        np.inf if plan.metric.upper is None else plan.metric.upper,
    )


def _width(plan: PlannedCheck) -> float:
    low, high = _bounds(plan)
    return high - low


def _over_groups(plan: PlannedCheck, scored: Scored) -> Seen:
    assert scored.groups is not None
    codes = range(len(scored.group_names))  # of all cases, not of this prefix: a group not seen yet leaves no bounds
    level = groups.part_confidence(plan.confidence, max(1, len(codes)))
    parts: list[Part] = []
    for code in codes:
        sample = scored.sample.where(scored.groups == code)
        found = estimate(plan.metric.kind, sample, level, anytime=plan.anytime, bounds=_bounds(plan))
        parts.append(Part(name=scored.group_names[code], n=len(sample.counted.value), estimate=found))
    small = tuple(p for p in parts if p.n < plan.check.minimum)
    n = sum(p.n for p in parts)
    if not parts or any(p.estimate.value is None for p in parts):
        return Seen(estimate=undefined(n, "groups", plan.confidence), parts=tuple(parts), small=small, ungrouped=scored.ungrouped)
    whole = _combine(plan, [p.estimate for p in parts])
    if whole.value is not None and (small or scored.ungrouped or len(parts) < 2):
        whole = unbounded(whole.value, n, whole.method, plan.confidence)
    return Seen(estimate=whole, parts=tuple(parts), small=small, ungrouped=scored.ungrouped)


def _combine(plan: PlannedCheck, parts: list[Estimate]) -> Estimate:
    if plan.check.gap_by:
        return groups.gap(parts, plan.confidence)
    if plan.check.ratio_by:
        return groups.ratio(parts, plan.confidence)
    return groups.worst(parts, plan.confidence, largest=plan.require.op == "<=")
