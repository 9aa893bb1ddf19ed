"""Checks on live traffic: the same claims, thresholds and decision as in a pilot, on evidence that has no end.

What is one unit of evidence live is a block of time: the mean of all results of an arm that came in it. Results that come close
together depend on each other (an outage, a batch, one user's session), and a bound that took each for itself would be too sure.
Fewer units cost time; they are never counted twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.estimators import Sample, estimate, estimate_difference
from pilotbase.checks.judged import Calibration
from pilotbase.checks.metric import Metric
from pilotbase.checks.metrics import metric
from pilotbase.checks.plan import plan_checks
from pilotbase.checks.told import decided
from pilotbase.domain.gate import Check
from pilotbase.domain.live import LIVE, STABLE, Source, anytime, live_of
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.quantity import Require
from pilotbase.domain.reason import Reason
from pilotbase.domain.verdict import CheckResult, Family, Verdict, decide, literal
from pilotbase.ports import Results
from pilotbase.stats import judge, sequential
from pilotbase.stats.estimate import Estimate

__all__ = ["LiveCheck", "badness", "conclude_live", "ledger_values", "plan_live", "tolerated"]

FEEDBACK = Metric(
    name="feedback",
    title=("Good words of users", "用户好评率"),
    kind="proportion",
    looks="any",
    source="share of good words among users' words on answers (POST /v1/feedback)",
)
EDGE = 1e-9
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """A check as it is read live. `require` is its threshold in live terms: a tail becomes a share beyond it.

    `confidence` is what is left of the declared one after alpha was spent over the rungs. `windows` windows of `window` scored
    requests are declared for what may not be looked at at any time. `against`: the difference from the stable arm.
    """

    id: str
    gate: str
    mandatory: bool
    check: Check
    metric: Metric
    source: Source
    require: Require
    confidence: float
    anytime: bool
    sample: float = 1.0
    windows: int = 0
    window: int = 0
    against: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of one result."""
        if self.check.bound is not None:
            return self.check.bound
        upper = np.inf if self.metric.upper is None and self.metric.kind != "tail" else 1.0
        return (0.0, float(upper))

    @property
    def limit(self) -> float | None:
        """Seconds beyond which a result counts, for tails."""
        return self.check.required.value if self.metric.kind == "tail" else None


def plan_live(pilot: Pilot, more: Sequence[Check], rungs: int) -> tuple[LiveCheck, ...]:
    """Every live check: those of the pilot's gates that are marked live, what the ledger alone can tell of the others, and `more`
    of the release's plan.

    Alpha is divided by the number of rungs, each of which decides anew: so over the whole release a good candidate is sent back
    by a check, or an unready one let past every rung, with a chance of at most alpha.
    """
    planned, _ = plan_checks(pilot, Family(candidates=1, round=1, alpha=1 - pilot.level), early_stop=True)
    found: list[LiveCheck] = []
    for one in planned:
        check = one.check
        source = source_of(check)
        by_itself = source == "ledger" and check.view is None and anytime(check)
        if source is None or (check.live is None and not by_itself):
            continue
        found.append(_live(check, one.id, one.gate, one.mandatory, pilot, rungs))
    taken = {one.id for one in found}
    for check in more:
        name = base = check.id or f"release/{check.metric}" + (f"[{check.compare_to}]" if check.compare_to else "")
        number = 2
        while name in taken:
            name, number = f"{base}#{number}", number + 1
        taken.add(name)
        found.append(_live(check, name, "release", True, pilot, rungs))
    return tuple(found)


def source_of(check: Check) -> Source | None:
    """Where a check's live numbers come from; None where it has none.

    A text is looked for by itself, or in the truth; so are the shares of plug-ins.
    """
    if check.metric == "contains" and check.expect is None:
        return "label"
    found = LIVE.get(check.metric)
    if found is None and check.live is not None and metric(check.metric).kind == "proportion":
        return "label" if "target" in metric(check.metric).needs else "sample"
    return found


def _live(check: Check, name: str, gate: str, mandatory: bool, pilot: Pilot, rungs: int) -> LiveCheck:
    row = FEEDBACK if check.metric == "feedback" else metric(check.metric)
    live = live_of(check)
    level = check.confidence if check.confidence is not None else pilot.level
    require = check.required
    if row.kind == "tail":
        assert row.quantile is not None
        require = Require(op="<=", value=1.0 - row.quantile)
    return LiveCheck(
        id=name,
        gate=gate,
        mandatory=mandatory,
        check=check,
        metric=row,
        source=source_of(check) or "sample",
        require=require,
        confidence=1.0 - (1.0 - level) / max(1, rungs),
        anytime=anytime(check),
        sample=live.share,
        windows=live.windows or 0,
        window=live.window or 0,
        against=check.compare_to == STABLE,
    )


def ledger_values(one: LiveCheck, results: Results) -> Values:
    """The number of each request that the ledger gives for a check; NaN where it says nothing."""
    name, limit = one.check.metric, one.limit
    if limit is not None:
        took = results.ttft if name.startswith("ttft") else results.seconds
        return np.where(np.isnan(took), np.nan, took > limit)
    if name == "failure-rate":
        return results.bad
    if name == "cost.per-case":
        return _within(one, results.cost)
    tokens = {
        "tokens.input": results.tokens_in,
        "tokens.output": results.tokens_out,
        "tokens.total": results.tokens_in + results.tokens_out,
    }
    return _within(one, tokens[name])


def _within(one: LiveCheck, values: Values) -> Values:
    """Values brought into a declared range: one beyond it counts as its end, on the side that speaks against the candidate."""
    return values if one.check.bound is None else np.clip(values, *one.check.bound)


def badness(one: LiveCheck, units: Values) -> Values | None:
    """The units as numbers in [0, 1], 1 the worst; None where the check has no such form."""
    low, high = one.bounds
    if one.against or not one.anytime or not np.isfinite((low, high)).all() or high <= low:
        return None
    scaled = (units - low) / (high - low)
    return scaled if one.require.op == "<=" else 1.0 - scaled


def tolerated(one: LiveCheck) -> float | None:
    """The mean badness that still keeps the check; None where there is none strictly between 0 and 1."""
    low, high = one.bounds
    if one.against or not one.anytime or not np.isfinite((low, high)).all():
        return None
    share = (one.require.value - low) / (high - low)
    share = share if one.require.op == "<=" else 1.0 - share
    return share if 0.0 < share < 1.0 else None


def conclude_live(
    one: LiveCheck,
    units: Values,
    requests: int,
    *,
    failed: int = 0,
    calibration: Calibration | None = None,
    plain: float | None = None,
    reasons: Sequence[Reason] = (),
) -> CheckResult:
    """The result on the units so far, in the order of time; `requests` is how many results are in them.

    `plain` is the mean over requests: where most failures came in few crowded blocks, the mean over blocks would not tell. It
    keeps a PASS from being given, which costs no alpha, and never gives one.
    """
    units = units[~np.isnan(units)]
    if one.metric.kind == "judged":
        return _judged(one, units, requests, failed, calibration, reasons)
    if not one.anytime:
        return _on_windows(one, units, requests, failed, reasons)
    found = _estimate(one, units, one.confidence, anytime_=True)
    verdict = decide(one.require, found)
    if verdict == "pass" and literal(one.require, plain) == "fail":
        figures = {"value": f"{plain:.4g}", "require": str(one.require)}
        return _result(one, found, "inconclusive", requests, failed, (Reason("live-weighed", figures), *reasons))
    return _result(one, found, verdict, requests, failed, (*_told(one, found, verdict, units), *reasons))


def _estimate(one: LiveCheck, units: Values, confidence: float, *, anytime_: bool) -> Estimate:
    if one.against:
        low, high = one.bounds
        return estimate_difference(units, None, confidence, anytime=anytime_, width=high - low)
    empty = np.zeros(len(units), dtype=np.int32)
    kind = "proportion" if one.metric.kind == "tail" else one.metric.kind
    sample = Sample(value=units, classes=empty, positive=empty.astype(bool))
    if kind != "proportion" or not anytime_:
        return estimate(kind, sample, confidence, anytime=anytime_, bounds=one.bounds)
    return _of_blocks(units, confidence)


def _of_blocks(units: Values, confidence: float) -> Estimate:
    """Bounds of a share from the means of blocks, valid at any time: by two methods at half of alpha each, the tighter side of
    both (a union bound). One takes a block for a single result, and is best where few come in a block; the other bets on how
    little full blocks vary.
    """
    half = 1.0 - (1.0 - confidence) / 2
    if not len(units):
        return Estimate(value=None, low=0.0, high=1.0, n=0, method="sequential blocks", confidence=confidence)
    single = sequential.proportion(min(float(len(units)), float(units.sum())), len(units), half)
    bets = sequential.mean(units, 0.0, 1.0, half)
    low = max(e.low for e in (single, bets) if e.low is not None)
    high = min(e.high for e in (single, bets) if e.high is not None)
    # What the root search leaves beside an edge is no figure to show.
    low, high = 0.0 if low < EDGE else low, 1.0 if high > 1.0 - EDGE else high
    return Estimate(
        value=float(units.mean()), low=low, high=high, n=len(units), method="sequential blocks", confidence=confidence
    )


def _on_windows(one: LiveCheck, units: Values, requests: int, failed: int, reasons: Sequence[Reason]) -> CheckResult:
    """Whole windows only, each with its share of alpha (VERDICT.md section 2): one FAIL is enough, and the last one PASSes."""
    level = 1.0 - (1.0 - one.confidence) / one.windows
    whole = min(len(units) // one.window, one.windows)
    found = Estimate(value=None, low=None, high=None, n=0, method="no window is complete", confidence=level)
    verdict: Verdict = "inconclusive"
    for k in range(whole):
        found = _estimate(one, units[k * one.window : (k + 1) * one.window], level, anytime_=False)
        verdict = decide(one.require, found)
        if verdict == "fail":
            break
    spent = len(units) // one.window >= one.windows and verdict != "fail"
    told = [] if whole else [Reason("live-window", {"n": len(units), "window": one.window})]
    if spent:
        told.append(Reason("live-windows-spent", {"windows": one.windows}))
    return _result(one, found, verdict, requests, failed, (*_told(one, found, verdict, units), *told, *reasons))


def _judged(
    one: LiveCheck, units: Values, requests: int, failed: int, calibration: Calibration | None, reasons: Sequence[Reason]
) -> CheckResult:
    """The last whole window of judgements, corrected for the judge's measured error; without a calibration it informs only."""
    level = 1.0 - (1.0 - one.confidence) / max(1, one.windows)
    whole = min(len(units) // one.window, one.windows) if one.window else 0
    empty = Estimate(value=None, low=None, high=None, n=0, method="no window is complete", confidence=level)
    if not whole:
        return _result(
            one, empty, "inconclusive", requests, failed, (Reason("live-window", {"n": len(units), "window": one.window}),)
        )
    if calibration is None:
        raw = replace(empty, value=float(units.mean()), n=len(units), method="share judged yes, uncorrected")
        return _result(one, raw, "inconclusive", requests, failed, (Reason("judge-uncalibrated"), *reasons))
    counts = (calibration.true_positive, calibration.positives, calibration.true_negative, calibration.negatives)
    verdict: Verdict = "inconclusive"
    found = empty
    for k in range(whole):
        part = units[k * one.window : (k + 1) * one.window]
        found = judge.rogan_gladen(int(part.sum()), len(part), *counts, level)
        if found.value is None or (found.low == 0.0 and found.high == 1.0):
            return _result(one, found, "inconclusive", requests, failed, (Reason("judge-weak", calibration.figures()), *reasons))
        verdict = decide(one.require, found)
        if verdict == "fail":
            break
    told = (*_told(one, found, verdict, units), Reason("judge-corrected", calibration.figures()), *reasons)
    return _result(one, found, verdict, requests, failed, told)


def _told(one: LiveCheck, found: Estimate, verdict: Verdict, units: Values) -> tuple[Reason, ...]:
    if found.value is None:
        return (Reason("live-none"),) if not len(units) else ()
    return (decided(one.require, "" if one.metric.kind == "tail" else one.metric.unit, found, verdict),)


def _result(
    one: LiveCheck, found: Estimate, verdict: Verdict, requests: int, failed: int, reasons: Sequence[Reason]
) -> CheckResult:
    return CheckResult(
        id=one.id,
        metric=one.check.metric,
        under=f"compared to {STABLE}" if one.against else None,
        by=None,
        require=str(one.require) if one.metric.kind == "tail" else one.check.require,
        role=one.check.role,
        verdict=verdict,
        literal=None,
        value=found.value,
        low=found.low,
        high=found.high,
        unit="" if one.metric.kind == "tail" else one.metric.unit,
        n=requests,
        planned=requests,
        failed=failed,
        not_asked=0,
        method=f"{found.method}, {found.n} units of live traffic",
        needed=None,
        reasons=tuple(reasons),
        confidence=one.confidence,
    )
