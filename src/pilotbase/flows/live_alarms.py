"""Reasons to go back that no verdict gives: it is getting worse, or evidence has stopped arriving."""

from collections.abc import Sequence

from pilotbase.checks.live import LiveCheck
from pilotbase.checks.live_feed import LiveFeed
from pilotbase.context import Context
from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.release import Plan
from pilotbase.flows.live_evidence import stalled
from pilotbase.flows.live_judging import DAY, may_spend
from pilotbase.gateway.arms import STABLE
from pilotbase.gateway.ledger_window import count_between
from pilotbase.release.budget import burn_causes, burns_of
from pilotbase.release.records import Release
from pilotbase.release.steps import Cause
from pilotbase.stats.burn import Burn

__all__ = ["against", "missing_of", "worse_of"]

EXPECTED = 10.0
"""So many results must be expected in a time for their absence to mean something: P(none | 10) is 0.00005 for a Poisson count."""
HISTORY = 5


def against(plan: Plan, checks: Sequence[LiveCheck], feed: LiveFeed, now: float) -> tuple[list[Cause], tuple[Burn, ...]]:
    """What the ledger says against the candidate beside its checks' verdicts, and every window of the error budget.

    `now` is seconds since the epoch.
    """
    worse = worse_of(plan, checks, feed)
    if plan.budget is None:
        return worse, ()
    ends = [start + feed.block for start in feed.times]
    found = burns_of(plan.budget, ends, feed.failures, feed.counts, now)
    return [*worse, *burn_causes(plan.budget, found)], found


def worse_of(plan: Plan, checks: Sequence[LiveCheck], feed: LiveFeed) -> list[Cause]:
    """What the detectors of each check say."""
    found: list[Cause] = []
    for name, (level, units) in feed.alarms.items():
        one = next(check for check in checks if check.id == name)
        run = plan.monitor.run_length
        english = (
            f"{name} is getting worse than {one.require}: alarm after {units} units of evidence "
            f"(a false one comes after {run:,} on average, or later)"
        )
        chinese = f"{name} 正在变差，已低于 {one.require}：{units} 个证据单元后报警（平均至少 {run:,} 个单元才有一次误报）"
        figures = {"level": level, "units": units, "run_length": run, "require": str(one.require), "method": "e-detector"}
        found.append(Cause(kind="worse", told=(english, chinese), check=name, figures=figures))
    return found


def missing_of(
    context: Context,
    release: Release,
    plan: Plan,
    checks: Sequence[LiveCheck],
    feed: LiveFeed,
    arm: str,
    *,
    now: int,
    applied: float,
    awake: float,
) -> list[Cause]:
    """Evidence that should be there and is not: missing telemetry is a reason to go back, not to go on.

    `awake` is for how many seconds the release has been watched without a break. Only what is missing since then speaks against
    the candidate: while nobody watches, workers send nobody to it.
    """
    within = parse_duration(plan.evidence.within)
    found: list[Cause] = []
    lag = min(now / 1e6 - applied, awake)
    if lag > within:
        told = (f"the ledger has not been read for {lag:.0f} s", f"账本已有 {lag:.0f} 秒未能读入")
        found.append(Cause(kind="missing-evidence", told=told, figures={"seconds": round(lag), "within": within}))
    if awake <= within:
        return found
    found += _silent(context, release, within, arm, now=now)
    for one in stalled(context, release, checks, now - int(within * 1e6)):
        # Yesterday's money may have been used up, and the answers of that time are judged only now.
        if one.check.judge is not None and (not may_spend(context, release, one, now) or now % DAY < within * 1e6):
            continue
        told = (
            f"{one.id}: sampled answers have not been scored for {within:g} s",
            f"{one.id}：抽样回答已有 {within:g} 秒未评分",
        )
        found.append(Cause(kind="missing-evidence", told=told, check=one.id, figures={"within": within}))
    return found


def _silent(context: Context, release: Release, within: float, arm: str, *, now: int) -> list[Cause]:
    """The candidate answered nobody for a while, though it did before and the others' traffic went on."""
    if arm != "candidate":
        return []
    span = int(within * 1e6)
    start = max(now - (HISTORY + 1) * span, int(release.document["rung_since"]))
    before = (now - span - start) / span
    if before < 1:
        return []  # what came in a moment does not tell what comes in a while

    def count(name: str, since: int, until: int) -> int:
        return count_between(context.database, release.id, name, since, until)

    if count("candidate", now - span, now + span):
        return []
    expected = count("candidate", start, now - span) / before
    if expected < EXPECTED:
        return []
    usual = count(STABLE, start, now - span) / before
    others = count(STABLE, now - span, now + span)
    if release.state != "full" and others < usual / 2:
        return []  # nobody asks anybody: that is a quiet route
    if release.state == "full" and not others:
        return []
    told = (
        f"no request reached the candidate for {within:g} s, where about {expected:.0f} were expected",
        f"已有 {within:g} 秒没有请求到达被测应用，而预期约为 {expected:.0f} 个",
    )
    return [Cause(kind="missing-evidence", told=told, figures={"within": within, "expected": expected, "found": 0})]
