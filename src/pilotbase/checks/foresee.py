"""What a check could be decided on, before anything is asked: its acceptance line, its power, and whether it can pass at all."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.labels import TN, TP
from pilotbase.checks.loads import BATCHES
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.views import Scored, look_at
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import decide
from pilotbase.stats import cluster, judge, power, tail
from pilotbase.stats.sequential import log_wealth, next_look
from pilotbase.stats.special import beta_ppf

__all__ = ["CHANCE", "Foresight", "foresee", "foresee_judged", "foresee_load"]

CHANCE = 0.8
MOST = 50_000  # further cases than this are not searched for where there is no closed form
TRIALS, DRAWS = 400, 5
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What a check could be decided on. None stands for "cannot be told beforehand".

    `n` counts the cases in the check's own denominator. `line` and `refusal` are the counts at which the exact rule says PASS
    and FAIL on all n; `look_line` the count that passes at the last look of the sequential rule. `pass_at` and `fail_at` are the
    true values at which the rule in force says so with a chance of 0.8 (with early stopping a little conservative: earlier looks
    are left out of account). `best` says whether answers without any error would pass, `earliest` on how many cases, `lacking`
    how many more cases that would take. `expected` is the number of its cases asked if the true value lay half-way between the
    threshold and no error at all.
    """

    n: int
    line: int | None = None
    refusal: int | None = None
    look_line: int | None = None
    pass_at: float | None = None
    fail_at: float | None = None
    best: bool | None = None
    earliest: int | None = None
    lacking: int | None = None
    expected: int = 0
    groups: tuple[tuple[str, int], ...] = ()
    small: tuple[tuple[str, int], ...] = ()
    ungrouped: int = 0
    clusters: int | None = None


def foresee(board: Board, one: Tracked) -> Foresight:
    """For a check that is scored case by case; `board` has been told nothing yet."""
    plan, n = one.plan, len(one.need)
    if plan.metric.kind in ("count", "members", "judged") or not n:
        return Foresight(n=n, expected=n)
    blank = board.scored(one, n)
    clusters = None if blank.clusters is None else len(np.unique(blank.clusters))
    groups = _sizes(blank)
    told = Foresight(
        n=n,
        expected=n,
        clusters=clusters,
        groups=groups,
        small=tuple(g for g in groups if g[1] < plan.check.minimum),
        ungrouped=0 if blank.groups is None else int((blank.groups < 0).sum()),
    )
    if _plain(plan) and clusters is None:
        told = _rate(plan, told)
    values = _best(plan, blank)
    if values is None:
        return told
    perfect = replace(blank, value=values)
    passes = _passes(plan, perfect)
    few = clusters is not None and clusters < cluster.MINIMUM
    return replace(
        told,
        best=passes,
        earliest=_earliest(plan, perfect) if passes else None,
        lacking=None if passes or told.ungrouped or (few and clusters == 1) else _lacking(plan, perfect),
        expected=_expected(plan, perfect) if plan.anytime else n,
    )


def foresee_load(plan: PlannedCheck, variant: Variant) -> Foresight:
    """For a check under load: n is the expected number of arrivals after warm-up."""
    assert variant.load is not None
    n = round(variant.load.per_second * variant.load.seconds)
    if plan.metric.quantile is None:
        return Foresight(n=n, expected=n, best=n >= BATCHES)
    share = 1 - plan.metric.quantile

    def passes(count: int) -> bool:
        high = tail.share_over(np.zeros(count), 1.0, plan.confidence, count).high if count >= BATCHES else None
        return high is not None and high <= share

    best = passes(n)
    return Foresight(n=n, expected=n, best=best, lacking=None if best else _search(passes, n))


def foresee_judged(plan: PlannedCheck, n: int, yes: int, no: int) -> Foresight:
    """For a judged rate: the best case is a judge that is right on all labels, and says the best of every answer."""
    good = n if plan.require.op == ">=" else 0
    estimate = judge.rogan_gladen(good, n, yes, yes, no, no, plan.confidence) if n and yes and no else None
    return Foresight(n=n, expected=n, best=estimate is not None and decide(plan.require, estimate) == "pass")


def _plain(plan: PlannedCheck) -> bool:
    """Whether the check is of one rate over cases that are known beforehand, so that counting tells everything."""
    known = plan.metric.kind == "proportion" and plan.check.metric != "precision" and 0 < plan.require.value < 1
    return known and plan.other is None and plan.check.group is None


def _rate(plan: PlannedCheck, told: Foresight) -> Foresight:
    op, t, n = plan.require.op, plan.require.value, told.n
    line, refusal = power.line(op, t, n, plan.confidence), power.refusal_line(op, t, n, plan.confidence)
    look_line = _look_line(op, t, n, plan.confidence) if plan.anytime else None
    look_refusal = _look_line("<=" if op == ">=" else ">=", t, n, plan.confidence) if plan.anytime else None
    upper, lower = (look_line, look_refusal) if plan.anytime else (line, refusal)
    if op == "<=":
        upper, lower = lower, upper
    above = None if upper is None else beta_ppf(upper, n - upper + 1.0, CHANCE)
    below = None if lower is None else 0.0 if lower < 0 else beta_ppf(lower + 1.0, n - lower, 1 - CHANCE) if lower < n else 1.0
    passing, failing = (above, below) if op == ">=" else (below, above)
    return replace(told, line=line, refusal=refusal, look_line=look_line, pass_at=passing, fail_at=failing)


def _look_line(op: str, threshold: float, n: int, confidence: float) -> int | None:
    """The count on n cases from which (up to which, for "<=") the last look of the sequential rule passes; None if never."""
    goal = -math.log(1 - confidence)
    t = threshold if op == ">=" else 1 - threshold
    low, high = math.ceil(n * t), n + 1
    while low < high:
        middle = (low + high) // 2
        if middle > n or log_wealth(middle, n, t) >= goal:
            high = middle
        else:
            low = middle + 1
    if low > n:
        return None
    return low if op == ">=" else n - low


def _sizes(blank: Scored) -> tuple[tuple[str, int], ...]:
    if blank.groups is None:
        return ()
    return tuple((name, int((blank.groups == code).sum())) for code, name in enumerate(blank.group_names))


def _best(plan: PlannedCheck, blank: Scored) -> Values | None:
    """The values of answers without any error; None where there is no such thing to reckon with."""
    n, upward, kind = len(blank.positive), plan.require.op == ">=", plan.metric.kind
    if plan.other is not None:
        return _even_difference(plan, n)
    if kind in ("proportion", "mean"):
        values = np.full(n, 1.0 if upward else 0.0)
        return np.where(blank.positive, values, np.nan) if plan.check.metric == "precision" else values
    if kind == "loss" and plan.check.bound is not None:
        return np.full(n, plan.check.bound[1 if upward else 0])
    if kind == "balanced" and upward:
        return np.ones(n)
    if kind == "f1" and upward:
        return np.where(blank.positive, TP, TN)
    return blank.positive.astype(np.float64) if kind == "auroc" and upward else None


def _even_difference(plan: PlannedCheck, n: int) -> Values | None:
    """No difference in any case; the largest possible one where none would not do."""
    if not plan.anytime and plan.metric.kind not in ("proportion", "mean"):
        return None
    t, upward = plan.require.value, plan.require.op == ">="
    if (t < 0) if upward else (t > 0):
        return np.zeros(n)
    return np.full(n, 1.0 if upward else -1.0) if plan.metric.upper == 1.0 else None


def _passes(plan: PlannedCheck, scored: Scored) -> bool:
    return decide(plan.require, look_at(plan, scored).estimate) == "pass"


def _take(scored: Scored, n: int) -> Scored:
    """The first n cases; beyond the last, the same ones again as new cases (in new clusters)."""
    have = len(scored.value)
    at = np.arange(n) % have
    clusters = scored.clusters
    if clusters is not None:
        clusters = clusters[at] + (np.arange(n) // have) * (int(clusters.max()) + 1)
    return replace(
        scored,
        value=scored.value[at],
        classes=scored.classes[at],
        positive=scored.positive[at],
        clusters=clusters,
        groups=None if scored.groups is None else scored.groups[at],
    )


def _earliest(plan: PlannedCheck, perfect: Scored) -> int:
    n = len(perfect.value)
    return _first_look(n, lambda k: _passes(plan, _take(perfect, k))) or n if plan.anytime else n


def _first_look(n: int, holds: Callable[[int], bool]) -> int | None:
    """The first scheduled look up to n (n itself included) at which a condition that stays true holds."""
    looks: list[int] = []
    k = 0
    while (k := next_look(k)) < n:
        looks.append(k)
    looks.append(n)
    low, high = 0, len(looks)
    while low < high:
        middle = (low + high) // 2
        if holds(looks[middle]):
            high = middle
        else:
            low = middle + 1
    return looks[low] if low < len(looks) else None


def _lacking(plan: PlannedCheck, perfect: Scored) -> int | None:
    """Further cases, in the proportions of these, with which answers without an error would pass."""
    return _search(lambda n: _passes(plan, _take(perfect, n)), len(perfect.value))


def _search(passes: Callable[[int], bool], have: int) -> int | None:
    """How many more than `have` make it pass; None above MOST."""
    low, high = have, max(have, 8)
    while not passes(high):
        if high >= have + MOST:
            return None
        low, high = high, min(have + MOST, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high - have


def _expected(plan: PlannedCheck, perfect: Scored) -> int:
    """Cases that an anytime check is asked, if the truth lies half-way between the threshold and no error.

    For one rate the mean of simulated runs; elsewhere the middle of a few drawn ones, in which each error counts whole.
    """
    n, t = len(perfect.value), plan.require.value
    if _plain(plan):
        half = (t + (1.0 if plan.require.op == ">=" else 0.0)) / 2
        return round(power.expected_calls(plan.require.op, t, half, n, plan.confidence, trials=TRIALS, seed=0))
    best = float(np.nanmean(perfect.value))
    share = _error_share(plan, best)
    if share is None:
        return n
    worse = best + np.sign(_worse(plan)) * 1.0
    stops: Sequence[int] = sorted(_drawn_stop(plan, perfect, share, worse, seed) for seed in range(DRAWS))
    return stops[DRAWS // 2]


def _worse(plan: PlannedCheck) -> float:
    """The direction in which an error moves a value."""
    if plan.check.gap_by or plan.check.ratio_by:
        return -1.0
    return -1.0 if plan.require.op == ">=" else 1.0


def _error_share(plan: PlannedCheck, best: float) -> float | None:
    """How many of the cases err, half-way to the threshold; None for values in another range than a share's."""
    t = plan.require.value
    if plan.check.bound is not None:
        return None
    distance = t if plan.check.gap_by else 1 - t if plan.check.ratio_by else abs(best - t)
    return min(1.0, distance / 2)


def _drawn_stop(plan: PlannedCheck, perfect: Scored, share: float, worse: float, seed: int) -> int:
    n = len(perfect.value)
    wrong = np.random.default_rng(seed).random(n) < share
    if perfect.groups is not None and not plan.check.worst_of:
        wrong &= perfect.groups == 0  # one group errs, which is what makes a gap
        perfect = replace(perfect, value=np.where(np.isnan(perfect.value), np.nan, 1.0))
        worse = 0.0
    drawn = replace(perfect, value=np.where(wrong, worse, perfect.value))
    return _first_look(n, lambda k: _passes(plan, _take(drawn, k))) or n
