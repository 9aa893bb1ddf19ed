"""Checks under load: quantiles of latency as a share over the threshold, and throughput, by batch means (VERDICT.md section
6).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.scores import Arrivals
from pilotbase.checks.told import decided
from pilotbase.domain.gate import Load
from pilotbase.domain.quantity import parse_require
from pilotbase.domain.reason import Reason
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import CheckResult, Verdict, decide, literal
from pilotbase.stats import tail
from pilotbase.stats.estimate import Estimate, undefined

__all__ = ["BATCHES", "conclude_load"]

BATCHES = 20
LATE_SECONDS = 0.005
LATE_SHARE = 0.01
ERRORS = 0.01
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The arrivals after warm-up, in order of the schedule; `ended` are the moments at which good answers of all arrivals came
    to an end.
    """

    seconds: Values
    failed: Values
    late: Values
    ended: Values


def conclude_load(plan: PlannedCheck, arrivals: Arrivals, variant: Variant, missing: str) -> CheckResult:
    """The result of one check on the arrivals after warm-up. `missing` says why the load was not run, or is empty."""
    load = variant.load
    assert load is not None
    window = _window(plan, arrivals, load)
    n = len(window.failed)
    blocked = _blocked(plan, window, missing)
    if plan.metric.kind == "throughput":
        estimate = _throughput(plan, window.ended, load)
    else:
        estimate = _quantile(plan, window.seconds)
    result = CheckResult(
        id=plan.id,
        metric=plan.check.metric,
        under=f"load {load}",
        by=None,
        require=plan.check.require,
        role=plan.check.role,
        verdict="inconclusive",
        literal=None,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=plan.metric.unit,
        n=n,
        planned=n,
        failed=int(window.failed.sum()),
        not_asked=0,
        method=estimate.method,
        needed=None,
        confidence=plan.confidence,
    )
    if blocked is not None:
        return replace(result, low=None, high=None, reasons=(blocked,))
    verdict = decide(plan.require, estimate)
    point = literal(plan.require, math.inf if plan.metric.kind == "tail" and estimate.value is None else estimate.value)
    told = decided(plan.require, plan.metric.unit, estimate, verdict)
    excess = _errors(plan, window) if plan.metric.kind == "throughput" else None
    if excess is None:
        return replace(result, verdict=verdict, literal=point, reasons=(told,))
    # too few good answers stay too few; enough of them, with too many failures, are no proof
    held: Verdict = "fail" if verdict == "fail" else "inconclusive"
    return replace(result, verdict=held, literal="fail", reasons=(told, excess) if held == "fail" else (excess,))


def _window(plan: PlannedCheck, arrivals: Arrivals, load: Load) -> _Window:
    scheduled, failed = arrivals.column("scheduled"), arrivals.column("failed")
    kept = scheduled >= load.warmup_seconds
    timed = plan.check.metric.split(".", maxsplit=1)[0]
    return _Window(
        seconds=arrivals.column("ttft" if timed == "ttft" else "latency")[kept],
        failed=failed[kept],
        late=arrivals.column("late")[kept],
        ended=(scheduled + arrivals.column("latency"))[failed == 0],
    )


def _blocked(plan: PlannedCheck, window: _Window, missing: str) -> Reason | None:
    n = len(window.failed)
    if missing or not n:
        return Reason("load-missing", {"why": missing or "stopped"})
    if n < BATCHES:
        return Reason("few-arrivals", {"n": n})
    late = float((window.late > LATE_SECONDS).mean())
    if late > LATE_SHARE:
        return Reason("generator-late", {"share": f"{late:.1%}"})
    untimed = int(np.isnan(window.seconds).sum())
    return Reason("no-first-content", {"count": untimed}) if untimed and plan.metric.kind == "tail" else None


def _quantile(plan: PlannedCheck, seconds: Values) -> Estimate:
    """`p_q <= T` is the claim share(seconds > T) <= 1 - q, tested at T itself.

    The bounds shown are the thresholds at which that test turns. It need not turn only once (the variance between batches
    moves with the
    threshold), so a bound that would say other than the test at T is moved to T.
    """
    q, method, n = plan.metric.quantile, "share over threshold by batch means, inverted", len(seconds)
    assert q is not None
    if n < BATCHES or np.isnan(seconds).any():
        return undefined(n, method, plan.confidence)

    # Where no value is over, the bound rests on the number of batches alone: 20 could never show less than 13.9 % at 0.95,
    # so there are as many as are nearly independent.
    batches = tail.choose_batches(seconds, BATCHES)

    def holds(t: float) -> bool:
        high = tail.share_over(seconds, t, plan.confidence, batches).high
        return high is not None and high <= 1 - q

    def misses(t: float) -> bool:
        low = tail.share_over(seconds, t, plan.confidence, batches).low
        return low is not None and low > 1 - q

    ordered = np.sort(seconds)
    point = float(ordered[max(0, math.ceil(q * n - 1e-9) - 1)])
    moments = np.unique(ordered[np.isfinite(ordered)])
    held, missed = _first(moments, holds), _first(moments, lambda t: not misses(t))
    high = float(moments[held]) if held < len(moments) else math.inf
    low = float(moments[missed - 1]) if missed else 0.0
    if math.isfinite(point):
        low, high = min(low, point), max(high, point)
    t = plan.require.value
    high = min(high, t) if holds(t) else max(high, math.nextafter(t, math.inf))
    low = max(low, math.nextafter(t, math.inf)) if misses(t) else min(low, t)
    value = point if math.isfinite(point) else None
    return Estimate(
        value=value, low=low, high=high if math.isfinite(high) else None, n=n, method=method, confidence=plan.confidence
    )


def _first(moments: Values, holds: Callable[[float], bool]) -> int:
    """A place at which a condition turns to hold; the only one, where it turns once."""
    low, high = 0, len(moments)
    while low < high:
        middle = (low + high) // 2
        if holds(float(moments[middle])):
            high = middle
        else:
            low = middle + 1
    return low


def _throughput(plan: PlannedCheck, ended: Values, load: Load) -> Estimate:
    """Good answers a second that came to an end in equal slices of the time after warm-up.

    Ends are counted and not arrivals: what queues up without being served is no throughput.
    """
    edges = np.linspace(load.warmup_seconds, load.warmup_seconds + load.seconds, BATCHES + 1)
    good = np.histogram(ended, edges)[0] / (load.seconds / BATCHES)
    return tail.batch_mean(good.astype(np.float64), plan.confidence, BATCHES)


def _errors(plan: PlannedCheck, window: _Window) -> Reason | None:
    limit = parse_require(plan.check.errors).value if plan.check.errors else ERRORS
    share = float(window.failed.mean())
    return Reason("load-errors", {"share": f"{share:.1%}", "limit": f"{limit:.1%}"}) if share > limit else None
