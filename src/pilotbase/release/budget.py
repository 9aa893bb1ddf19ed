"""The error budget of a release: how fast it burns, and whether that is a reason to go back."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pilotbase.domain.quantity import parse_duration, parse_share
from pilotbase.domain.release import Budget
from pilotbase.release.steps import Cause
from pilotbase.stats.burn import MONTH, PAIRS, Burn, Pair, budget_left, burns

__all__ = ["burn_causes", "burn_document", "burns_of"]

FAILURES = 10
"""So many failures stand behind every alarm by time: fewer come together by chance too often where many windows are looked at."""
GOES_BACK = 1.5
"""Burning at least so many times too fast is a reason to go back; what is slower is shown."""


def burns_of(
    budget: Budget, times: Sequence[int], failures: Sequence[int], counts: Sequence[int], now: float
) -> tuple[Burn, ...]:
    """Every window as it stands. `times` are the ends of blocks in microseconds; `now` is seconds since the epoch.

    The windows are those for 30 days, stretched or shortened with the budget's own period.
    """
    allowed = parse_share(budget.failures)
    scale = parse_duration(budget.over) / MONTH
    columns = (np.array(times, dtype=np.float64) / 1e6, np.array(failures, float), np.array(counts, float))
    found: list[Burn] = []
    for one in PAIRS:
        scaled = Pair(rate=one.rate, long=one.long * scale, short=one.short * scale)
        least = max(budget.least, math.ceil(FAILURES / (one.rate * allowed)))
        several = burns(*columns, now=now, allowed=allowed, least=least, pairs=(scaled,))
        # The windows by count are the same for every pair.
        found += several if not any(burn.by == "count" for burn in found) else several[:1]
    return tuple(found)


def burn_causes(budget: Budget, found: Sequence[Burn]) -> list[Cause]:
    """Those that burn too fast to go on."""
    causes: list[Cause] = []
    for burn in found:
        if not burn.fires or burn.rate < GOES_BACK or burn.long_rate is None or burn.short_rate is None:
            continue
        spans = f"{burn.long:g} and {burn.short:g} " + ("s" if burn.by == "time" else "results")
        zh = f"{burn.long:g} 与 {burn.short:g} " + ("秒" if burn.by == "time" else "个结果")
        fast = f"{burn.long_rate:.1f} / {burn.short_rate:.1f}"
        told = (
            f"the error budget ({budget.failures} of requests) burns {fast} times too fast"
            f" over {spans}; the limit is {burn.rate:g}",
            f"错误预算（{budget.failures}）在 {zh} 内的消耗速度为 {fast} 倍，上限为 {burn.rate:g} 倍",
        )
        figures = {"by": burn.by, "rate": burn.rate, "long_rate": burn.long_rate, "short_rate": burn.short_rate}
        causes.append(
            Cause(kind="burn", told=told, figures={**figures, "n": int(burn.long_count), "method": "multi-window burn"})
        )
    return causes


def burn_document(budget: Budget, found: Sequence[Burn], failures: int, count: int) -> dict[str, Any]:
    """The budget as those who look on see it."""
    left = budget_left(failures, count, allowed=parse_share(budget.failures))
    burns_ = [asdict(burn) | {"enough": burn.enough and burn.long_count >= burn.short * (burn.by == "count")} for burn in found]
    return {"failures": budget.failures, "over": budget.over, "left": left, "burns": burns_}
