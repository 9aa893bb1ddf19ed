"""From a board to results: one for each check, told with its reasons (VERDICT.md sections 1, 2, 5, 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.loads import conclude_load
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.views import Seen, look_at
from pilotbase.domain.reason import Reason
from pilotbase.domain.verdict import CandidateResult, CheckResult, Verdict, decide, literal, roll_up_candidate, roll_up_gate
from pilotbase.stats import cluster, judge, power
from pilotbase.stats.estimate import Estimate

__all__ = ["Account", "Calibration", "conclude_candidate", "conclude_check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a judge did on answers that people labelled: true positives of `positives` yes-labels, true negatives of `negatives` no-labels."""

    true_positive: int
    positives: int
    true_negative: int
    negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the runner says that it did, beside what was read back.

    `answered[variant]` counts the calls that it recorded; `why` says in words why the rest was not asked; `currency` is the price's.
    """

    answered: Mapping[int, int]
    why: str = ""
    currency: str | None = None
    judges: Mapping[int, Calibration] = field(default_factory=dict)
    load_missing: Mapping[int, str] = field(default_factory=dict)


def conclude_candidate(board: Board, account: Account, *, role: str, fingerprint: str, gates: Sequence[tuple[str, bool]]) -> CandidateResult:
    """All checks of one candidate, rolled up. The board must have been fed and looked at."""
    results = {t.plan.id: conclude_check(board, t, account) for t in board.tracked}
    rolled = [roll_up_gate(g, mandatory, [results[t.plan.id] for t in board.tracked if t.plan.gate == g]) for g, mandatory in gates]
    return roll_up_candidate(board.candidate, role, fingerprint, rolled)


def conclude_check(board: Board, one: Tracked, account: Account) -> CheckResult:
    """One check's result."""
    plan = one.plan
    if board.variants[plan.column.variant].kind == "load":
        missing = account.load_missing.get(plan.column.variant, "")
        return conclude_load(plan, board.arrivals[plan.column.variant], board.variants[plan.column.variant], missing)
    blocked = _blocked(board, plan, account)
    n = one.frozen.n if one.frozen else one.ready
    scored, failed, pending = board.failed(one)
    seen = look_at(plan, board.scored(plan, one.need[:n])) if one.complete or one.frozen or plan.anytime else None
    result = _draft(plan, one, scored, failed, pending, seen, n)
    if blocked is not None:
        return replace(result, verdict="inconclusive", low=None, high=None, needed=None, reasons=(blocked,))
    if board.rows[plan.column.variant] != account.answered.get(plan.column.variant, 0):
        said = account.answered.get(plan.column.variant, 0)
        figures = {"scored": board.rows[plan.column.variant] - failed, "failed": failed, "not_asked": pending, "planned": len(one.need)}
        note = Reason("count-mismatch", figures | {"planned": said})
        return replace(result, verdict="inconclusive", reasons=(note,))
    if plan.metric.kind == "judged":
        return _judged(board, one, result, account)
    return _told(board, one, result, seen, account)


def _blocked(board: Board, plan: PlannedCheck, account: Account) -> Reason | None:
    """What keeps a check from being decided whatever the answers are."""
    if plan.reference == board.candidate:
        return Reason("reference-itself")
    if "price" in plan.metric.needs and account.currency is None:
        return Reason("no-price")
    if plan.metric.unit == "money" and plan.require.unit and plan.require.unit.upper() != account.currency:
        return Reason("currency", {"found": account.currency, "wanted": plan.require.unit.upper()})
    return None


def _draft(plan: PlannedCheck, one: Tracked, scored: int, failed: int, pending: int, seen: Seen | None, n: int) -> CheckResult:
    estimate = seen.estimate if seen else None
    check = plan.check
    return CheckResult(
        id=plan.id,
        metric=check.metric,
        under=str(check.drop_under) if check.drop_under else (f"compared to {check.compare_to}" if check.compare_to else None),
        by=check.group,
        require=check.require,
        role=check.role,
        verdict="inconclusive",
        literal=None,
        value=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        unit=_unit(plan),
        n=n,
        planned=len(one.need),
        failed=failed,
        not_asked=pending,
        method=estimate.method if estimate else "not estimated: needs the complete planned sample",
        needed=None,
        confidence=plan.confidence,
        parts=tuple(
            {"group": p.name, "n": p.n, "value": p.estimate.value, "low": p.estimate.low, "high": p.estimate.high} for p in (seen.parts if seen else ())
        ),
    )


def _unit(plan: PlannedCheck) -> str:
    return plan.require.unit if plan.metric.unit == "money" else plan.metric.unit


def _told(board: Board, one: Tracked, result: CheckResult, seen: Seen | None, account: Account) -> CheckResult:
    plan = one.plan
    unscorable = board.columns[plan.column].unscorable
    reasons = list(_shortfalls(board, one, result, seen, account))
    if unscorable:
        code = "no-usage" if plan.metric.unit == "tokens" else "no-worst-value"
        figures: dict[str, object] = {"count": unscorable} if code == "no-usage" else {"failed": unscorable, "metric": plan.check.metric}
        reasons.append(Reason(code, figures))
        return replace(result, low=None, high=None, reasons=tuple(reasons))
    if seen is None:
        return replace(result, reasons=tuple(reasons) or (Reason("no-cases"),))
    if plan.metric.kind == "members":
        return _members(board, one, result)
    estimate = seen.estimate
    verdict: Verdict = one.frozen.verdict if one.frozen else ("inconclusive" if _short(one) else decide(plan.require, estimate))
    whole = look_at(plan, board.scored(plan, one.need)).estimate.value if one.complete and one.frozen else estimate.value
    told = _reason(plan, estimate, verdict, one)
    early = (Reason("decided-early", {"n": result.n, "planned": result.planned}),) if one.frozen and result.n < result.planned else ()
    return replace(
        result,
        verdict=verdict,
        literal=literal(plan.require, whole) if one.complete else None,
        needed=_more(plan, estimate) if verdict == "inconclusive" else None,
        reasons=(*((told,) if verdict != "inconclusive" or not reasons else ()), *reasons, *early),
    )


def _short(one: Tracked) -> bool:
    return not one.complete and not one.plan.anytime


def _shortfalls(board: Board, one: Tracked, result: CheckResult, seen: Seen | None, account: Account) -> list[Reason]:
    """What is missing, in words; an early decision needs none of it."""
    found: list[Reason] = []
    if one.frozen is None and result.not_asked:
        if one.plan.reference is not None and not result.planned - result.not_asked:
            found.append(Reason("no-reference", {"count": result.not_asked, "reference": one.plan.reference}))
        else:
            found.append(Reason("not-asked", {"count": result.not_asked, "planned": result.planned, "why": account.why or "stopped"}))
    if seen is not None:
        for part in seen.small:
            found.append(Reason("small-group", {"group": part.name, "n": part.n, "minimum": one.plan.check.minimum}))
        if seen.ungrouped:
            found.append(Reason("ungrouped", {"count": seen.ungrouped, "column": one.plan.check.group}))
        if seen.estimate.method == "too few clusters" and board.cases.clusters is not None:
            count = len(np.unique(board.cases.clusters.codes))
            found.append(Reason("few-clusters", {"clusters": count, "minimum": cluster.MINIMUM}))
        elif seen.estimate.value is None:
            found.append(Reason("no-cases"))
    return found


def _reason(plan: PlannedCheck, estimate: Estimate, verdict: Verdict, one: Tracked) -> Reason:
    require = str(plan.require)
    if estimate.method == "census":
        return Reason("census", {"n": estimate.n, "value": show(estimate.value, plan)})
    if verdict == "inconclusive":
        figures = {"low": show(estimate.low, plan), "high": show(estimate.high, plan), "require": require}
        more = _more(plan, estimate)
        return Reason("straddles-more", figures | {"needed": f"{more:,}"}) if more else Reason("straddles", figures)
    low_side = (plan.require.op == ">=") == (verdict == "pass")
    bound = estimate.low if low_side else estimate.high
    return Reason("met" if verdict == "pass" else "missed", {"bound": "low" if low_side else "high", "value": show(bound, plan), "require": require})


def show(number: float | None, plan: PlannedCheck) -> str:
    """A figure as a reason tells it."""
    if number is None:
        return "—"
    return f"{number:.4g}{' ' + unit if (unit := _unit(plan)) else ''}"


def _more(plan: PlannedCheck, estimate: Estimate) -> int | None:
    """VERDICT.md section 8, for proportions; None where no closed form tells."""
    if plan.metric.kind != "proportion" or plan.other is not None or plan.check.group or estimate.value is None or not 0 < plan.require.value < 1:
        return None
    return power.needed(plan.require.op, plan.require.value, estimate.value, plan.confidence, have=estimate.n)


def _members(board: Board, one: Tracked, result: CheckResult) -> CheckResult:
    if not one.complete:
        return result
    outside = int(np.nansum(board.value(one.plan)[one.need]))
    kept = {"n": len(one.need), "require": str(one.plan.require)}
    missed = {"count": outside, "require": str(one.plan.require), "examples": "see failures"}
    reason = Reason("members", missed) if outside else Reason("members-kept", kept)
    return replace(result, verdict="fail" if outside else "pass", reasons=(reason,))


def _judged(board: Board, one: Tracked, result: CheckResult, account: Account) -> CheckResult:
    """A rate read through a judge: corrected by its measured error, or only told."""
    plan = one.plan
    found = account.judges.get(plan.column.variant)
    value = board.value(plan)[one.need[: one.ready]]
    yes, n = int(np.nansum(value)), len(value)
    raw = yes / n if n else None
    if not one.complete:
        short = Reason("not-asked", {"count": result.not_asked, "planned": result.planned, "why": account.why or "stopped"})
        return replace(result, value=raw, low=None, high=None, reasons=(short,))
    if found is None:
        return replace(result, value=raw, low=None, high=None, method="share judged yes, uncorrected", reasons=(Reason("judge-uncalibrated"),))
    counts = (found.true_positive, found.positives, found.true_negative, found.negatives)
    estimate = judge.rogan_gladen(yes, n, *counts, plan.confidence)
    told = {
        "sens": f"{found.true_positive / found.positives:.3f}" if found.positives else "—",
        "spec": f"{found.true_negative / found.negatives:.3f}" if found.negatives else "—",
        "n": found.positives + found.negatives,
    }
    verdict = decide(plan.require, estimate)
    weak = estimate.value is None or (estimate.low == 0.0 and estimate.high == 1.0)
    reasons: tuple[Reason, ...] = (Reason("judge-weak", told),) if weak else (_reason(plan, estimate, verdict, one), Reason("judge-corrected", told))
    return replace(
        result,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        method=estimate.method,
        verdict=verdict,
        literal=literal(plan.require, raw),
        reasons=reasons,
    )
