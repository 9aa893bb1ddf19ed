"""From a board to results: one for each check, told with its reasons (VERDICT.md sections 1, 2, 5, 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.judged import Calibration, conclude_judged
from pilotbase.checks.loads import conclude_load
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.told import decided, more, shortfalls, unit_of, unscored
from pilotbase.checks.views import Seen, look_at
from pilotbase.domain.reason import Reason
from pilotbase.domain.verdict import CandidateResult, CheckResult, Verdict, decide, literal, roll_up_candidate, roll_up_gate

__all__ = ["Account", "Calibration", "conclude_candidate", "conclude_check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the runner says that it did, beside what was read back.

    `answered[variant]` counts the calls that it recorded; `why` says in words why the rest was not asked; `currency` is the
    price's.
    `judges` and `load_missing` are by variant.
    """

    answered: Mapping[int, int]
    why: str = ""
    currency: str | None = None
    judges: Mapping[int, Calibration] = field(default_factory=dict)
    load_missing: Mapping[int, str] = field(default_factory=dict)


def conclude_candidate(
    board: Board,
    account: Account,
    *,
    role: str,
    fingerprint: str,
    gates: Sequence[tuple[str, bool]],
    accounts: Mapping[str, Account] | None = None,
    examples: bool = True,
) -> CandidateResult:
    """All checks of one candidate, rolled up. The board must have been fed and looked at.

    `accounts` are those of every candidate, by which comparisons check their reference's records. Without `examples` no reason
    quotes an answer.
    """
    results = {t.plan.id: conclude_check(board, t, account, accounts=accounts, examples=examples) for t in board.tracked}
    rolled = [
        roll_up_gate(g, mandatory, [results[t.plan.id] for t in board.tracked if t.plan.gate == g]) for g, mandatory in gates
    ]
    return roll_up_candidate(board.candidate, role, fingerprint, rolled)


def conclude_check(
    board: Board, one: Tracked, account: Account, *, accounts: Mapping[str, Account] | None = None, examples: bool = True
) -> CheckResult:
    """One check's result."""
    plan = one.plan
    variant = plan.column.variant
    if board.variants[variant].kind == "load":
        result = conclude_load(plan, board.arrivals[variant], board.variants[variant], account.load_missing.get(variant, ""))
    else:
        result = _conclude(board, one, account, examples)
    blocked = _mismatch(board, plan, account, accounts or {}) or _blocked(board, plan, account)
    if blocked is None:
        return result
    return replace(result, verdict="inconclusive", literal=None, low=None, high=None, needed=None, reasons=(blocked,))


def _mismatch(board: Board, plan: PlannedCheck, account: Account, accounts: Mapping[str, Account]) -> Reason | None:
    """Where the run recorded another number of answers than were read back, in any variant that the check reads, its
    reference's too.
    """
    read = [(board, account, variant) for variant in sorted(board.reads(plan))]
    if plan.other is not None and plan.reference is not None and plan.reference in accounts:
        read.append((board.references[plan.reference], accounts[plan.reference], plan.other.variant))
    for one, said, variant in read:
        if one.rows[variant] != said.answered.get(variant, 0):
            name = str(one.variants[variant]) if one is board else f"{one.candidate}, {one.variants[variant]}"
            return Reason("count-mismatch", {"said": said.answered.get(variant, 0), "found": one.rows[variant], "variant": name})
    return None


def _blocked(board: Board, plan: PlannedCheck, account: Account) -> Reason | None:
    """What keeps a check from being decided whatever the answers are."""
    if plan.reference == board.candidate:
        return Reason("reference-itself")
    if "price" in plan.metric.needs:
        if account.currency is None:
            return Reason("no-price")
        if plan.require.unit and plan.require.unit.upper() != account.currency:
            return Reason("currency", {"found": account.currency, "wanted": plan.require.unit.upper()})
    return None


def _conclude(board: Board, one: Tracked, account: Account, examples: bool) -> CheckResult:
    plan = one.plan
    judged = plan.metric.kind == "judged"
    n = one.frozen.n if one.frozen else one.ready
    seen = look_at(plan, board.scored(one, n)) if not judged and (one.complete or plan.anytime) else None
    result = _draft(board, one, seen, n)
    missing = shortfalls(board, one, result, seen, account.why)
    if judged:
        return conclude_judged(board, one, result, missing, account.judges.get(plan.column.variant))
    unscorable = board.unscorable(one)
    if unscorable:
        return replace(result, low=None, high=None, reasons=(*missing, unscored(plan, unscorable)))
    if seen is None:
        return replace(result, reasons=tuple(missing))
    if plan.metric.kind == "members":
        return _members(board, one, result, missing, examples)
    return _decided(board, one, result, seen, missing)


def _draft(board: Board, one: Tracked, seen: Seen | None, n: int) -> CheckResult:
    """The result before its verdict: what was counted and estimated."""
    plan, check = one.plan, one.plan.check
    estimate = seen.estimate if seen else None
    _, failed, pending = board.account(one)
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
        unit=unit_of(plan),
        n=n,
        planned=len(one.need),
        failed=failed,
        not_asked=pending,
        method=estimate.method if estimate else "not estimated: needs the complete planned sample",
        needed=None,
        confidence=plan.confidence,
        parts=tuple(
            {"group": p.name, "n": p.n, "value": p.estimate.value, "low": p.estimate.low, "high": p.estimate.high}
            for p in (seen.parts if seen else ())
        ),
    )


def _decided(board: Board, one: Tracked, result: CheckResult, seen: Seen, missing: Sequence[Reason]) -> CheckResult:
    """By the prefix that first decided it; else by what is there, which a bound valid at every time allows and any other only
    when complete.
    """
    plan = one.plan
    verdict: Verdict = one.frozen.verdict if one.frozen else decide(plan.require, seen.estimate)
    whole = one.complete and result.n == result.planned  # else it stopped early, and the point rule has no complete sample
    needed = more(plan, seen.estimate, clustered=board.cases.clusters is not None) if verdict == "inconclusive" else None
    told = decided(plan.require, result.unit, seen.estimate, verdict, needed)
    early = (
        (Reason("decided-early", {"n": result.n, "planned": result.planned}),) if one.frozen and result.n < result.planned else ()
    )
    return replace(
        result,
        verdict=verdict,
        literal=literal(plan.require, seen.estimate.value) if whole else None,
        needed=needed,
        reasons=(*((told,) if verdict != "inconclusive" or not missing else ()), *missing, *early),
    )


def _members(board: Board, one: Tracked, result: CheckResult, missing: Sequence[Reason], examples: bool) -> CheckResult:
    """A set membership on complete data, with the first labels that lie outside."""
    if missing:
        return replace(result, reasons=tuple(missing))
    outside = int(np.nansum(board.value(one.plan, one.need)))
    require = str(one.plan.require)
    if not outside:
        kept = Reason("members-kept", {"n": len(one.need), "require": require})
        return replace(result, verdict="pass", literal="pass", reasons=(kept,))
    found = board.columns[one.plan.column].outside
    shown = ", ".join(name if len(name) <= 40 else name[:39] + "…" for name in found) if examples else ""
    figures = {"count": outside, "require": require} | ({"examples": shown} if shown else {})
    return replace(result, verdict="fail", literal="fail", reasons=(Reason("members" if shown else "members-hidden", figures),))
