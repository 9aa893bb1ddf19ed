"""A rate read through a judge: corrected by the judge's measured error, or only told (VERDICT.md section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.told import decided, unit_of
from pilotbase.domain.reason import Reason
from pilotbase.domain.verdict import CheckResult, decide, literal
from pilotbase.stats import judge

__all__ = ["Calibration", "conclude_judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a judge did on answers that people labelled: true positives of `positives` yes-labels, true negatives of `negatives`
    no-labels.
    """

    true_positive: int
    positives: int
    true_negative: int
    negatives: int

    def figures(self) -> dict[str, object]:
        """As a reason tells them."""
        return {
            "sens": f"{self.true_positive / self.positives:.3f}" if self.positives else "—",
            "spec": f"{self.true_negative / self.negatives:.3f}" if self.negatives else "—",
            "n": self.positives + self.negatives,
        }


def conclude_judged(
    board: Board, one: Tracked, result: CheckResult, missing: Sequence[Reason], found: Calibration | None
) -> CheckResult:
    """The result, from all judgements. `missing` tells what was not asked; without a calibration the rate informs and decides
    nothing.
    """
    plan = one.plan
    value = board.value(plan, one.need[: one.ready])
    yes, n = int(np.nansum(value)), len(value)
    raw = yes / n if n else None
    told = replace(result, value=raw, low=None, high=None, n=n, method="share judged yes, uncorrected")
    failed = (Reason("judge-failed", {"count": result.failed}),) if result.failed else ()
    if missing or not n:
        return replace(told, reasons=(*missing, *failed) or (Reason("no-cases"),))
    if found is None:
        return replace(told, reasons=(Reason("judge-uncalibrated"), *failed))
    if board.cases.clusters is not None:
        return replace(told, reasons=(Reason("judge-clustered"), *failed))
    counts = (found.true_positive, found.positives, found.true_negative, found.negatives)
    estimate = judge.rogan_gladen(yes, n, *counts, plan.confidence)
    shown = found.figures()
    if estimate.value is None or (estimate.low == 0.0 and estimate.high == 1.0):
        return replace(told, method=estimate.method, reasons=(Reason("judge-weak", shown), *failed))
    verdict = decide(plan.require, estimate)
    return replace(
        result,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=n,
        method=estimate.method,
        verdict=verdict,
        literal=literal(plan.require, estimate.value),
        reasons=(decided(plan.require, unit_of(plan), estimate, verdict), Reason("judge-corrected", shown), *failed),
    )
