"""Checks under load: quantiles of latency as a share over the threshold, and throughput, by batch means (VERDICT.md section 6)."""

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.scores import Arrivals
from pilotbase.domain.quantity import parse_require
from pilotbase.domain.reason import Reason
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import CheckResult, Verdict, decide
from pilotbase.stats import tail
from pilotbase.stats.estimate import Estimate

__all__ = ["BATCHES", "conclude_load"]

BATCHES = 20
LATE_SECONDS = 0.005
LATE_SHARE = 0.01
Values = NDArray[np.float64]


def conclude_load(plan: PlannedCheck, arrivals: Arrivals, variant: Variant, missing: str) -> CheckResult:
    """The result of one check on the arrivals after warm-up. `missing` says why the load was not run, or is empty."""
    load = variant.load
    assert load is not None
    scheduled = arrivals.column("scheduled")
    kept = scheduled >= load.warmup_seconds
    late, failed = arrivals.column("late")[kept], arrivals.column("failed")[kept]
    n = int(kept.sum())
    late_share = float((late > LATE_SECONDS).mean()) if n else 0.0
    blocked: Reason | None = None
    if missing or not len(scheduled):
        blocked = Reason("load-missing", {"why": missing or "stopped"})
    elif n < BATCHES:
        blocked = Reason("few-arrivals", {"n": n})
    elif late_share > LATE_SHARE:
        blocked = Reason("generator-late", {"share": f"{late_share:.1%}"})
    if plan.metric.kind == "throughput":
        estimate, reasons = _throughput(plan, scheduled[kept], failed, load.seconds, blocked)
    else:
        estimate, reasons = _quantile(plan, arrivals.column(plan.check.metric.split(".")[0])[kept], blocked)
    verdict: Verdict = "inconclusive" if blocked or any(r.code == "load-errors" for r in reasons) else decide(plan.require, estimate)
    held = blocked is not None
    return CheckResult(
        id=plan.id,
        metric=plan.check.metric,
        under=f"load {load}",
        by=None,
        require=plan.check.require,
        role=plan.check.role,
        verdict=verdict,
        literal=None,
        value=estimate.value,
        low=None if held else estimate.low,
        high=None if held else estimate.high,
        unit=plan.metric.unit,
        n=n,
        planned=max(n, len(scheduled) - int((~kept).sum())),
        failed=int(failed.sum()),
        not_asked=0,
        method=estimate.method,
        needed=None,
        confidence=plan.confidence,
        reasons=(blocked,) if blocked else (*reasons, *_told(plan, estimate, verdict)),
    )


def _told(plan: PlannedCheck, estimate: Estimate, verdict: Verdict) -> tuple[Reason, ...]:
    def show(number: float | None) -> str:
        return "—" if number is None else f"{number:.4g} {plan.metric.unit}"

    if verdict == "inconclusive":
        return (Reason("straddles", {"low": show(estimate.low), "high": show(estimate.high), "require": str(plan.require)}),)
    low_side = (plan.require.op == ">=") == (verdict == "pass")
    figures = {"bound": "low" if low_side else "high", "value": show(estimate.low if low_side else estimate.high), "require": str(plan.require)}
    return (Reason("met" if verdict == "pass" else "missed", figures),)


def _quantile(plan: PlannedCheck, seconds: Values, blocked: Reason | None) -> tuple[Estimate, list[Reason]]:
    """`p_q <= T` is the claim share(seconds > T) <= 1 - q; its bounds are the thresholds at which that share test turns."""
    q = plan.metric.quantile
    assert q is not None
    n = len(seconds)
    if not n or np.isnan(seconds).any():
        reason = [] if not n else [Reason("load-missing", {"why": "the endpoint gave no first content to time"})]
        return Estimate(value=None, low=None, high=None, n=n, method="share over threshold by batch means", confidence=plan.confidence), reason
    ordered = np.sort(seconds)
    point = float(ordered[min(n - 1, int(np.ceil(q * n)) - 1)])
    candidates = np.unique(ordered[np.isfinite(ordered)])
    share = 1 - q

    def holds(t: float) -> bool:
        high = tail.share_over(seconds, t, plan.confidence, BATCHES).high
        return high is not None and high <= share

    def misses(t: float) -> bool:
        low = tail.share_over(seconds, t, plan.confidence, BATCHES).low
        return low is not None and low > share

    high = next((float(t) for t in candidates[_first(candidates, holds) :][:1]), None)
    missed = _first(candidates, lambda t: not misses(t))
    low = float(candidates[missed - 1]) if missed else 0.0
    value = point if np.isfinite(point) else None
    if value is not None:
        low = min(low, value)
        high = None if high is None else max(high, value)
    return Estimate(value=value, low=low, high=high, n=n, method="share over threshold by batch means, inverted", confidence=plan.confidence), []


def _first(candidates: Values, holds: object) -> int:
    """The first place at which a monotone condition holds."""
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if holds(float(candidates[middle])):  # type: ignore[operator]
            high = middle
        else:
            low = middle + 1
    return low


def _throughput(plan: PlannedCheck, scheduled: Values, failed: Values, seconds: float, blocked: Reason | None) -> tuple[Estimate, list[Reason]]:
    """Good answers a second over equal slices of time, while failures stay within `errors` (default 1 %)."""
    limit = parse_require(plan.check.errors).value if plan.check.errors else 0.01
    if not len(scheduled) or seconds <= 0:
        return Estimate(value=None, low=None, high=None, n=0, method="batch means", confidence=plan.confidence), []
    edges = np.linspace(scheduled.min(), scheduled.min() + seconds, BATCHES + 1)
    good = np.histogram(scheduled[failed == 0], edges)[0] / (seconds / BATCHES)
    estimate = tail.batch_mean(good.astype(np.float64), plan.confidence, BATCHES)
    share = float(failed.mean())
    return estimate, [Reason("load-errors", {"share": f"{share:.1%}", "limit": f"{limit:.1%}"})] if share > limit else []
