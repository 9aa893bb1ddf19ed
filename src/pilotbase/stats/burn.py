"""How fast is the error budget spent? Burn rates over several windows of time, and over the last results of a quiet route.

A burn rate is the share of failures over the share that is allowed: at 1 the budget lasts exactly its period. The pairs of
windows follow Google's Site Reliability Workbook (2018, ch. 5, "Alerting on SLOs"). They tell how much is spent and whom to
call; they promise no run length to a false alarm, as `detector` does.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MONTH", "PAIRS", "Burn", "Pair", "Quiet", "budget_left", "burns", "first_quiet_alarm", "pair"]

MONTH = 30 * 86400.0
"""The usual period of a budget, 30 days, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two windows in seconds that must both burn at `rate` or faster; the short one ends the alarm soon after the trouble."""

    rate: float
    long: float
    short: float

    def __post_init__(self) -> None:
        if not (0.0 < self.short < self.long < math.inf and 0.0 < self.rate < math.inf):
            raise ValueError(f"found {self}: give 0 < short < long seconds and a rate above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The fallback where a short window holds too few results: the last `many` and the last `few` results, whatever their age.

    None of `many` and `few` means 20 and 2 over the allowed share: 2,000 and 200 at 1 %. It fires where each holds at least
    `rate` times the failures that the budget allows in its *full* number, so that results which are not there count as good.
    """

    rate: float = 2.0
    many: int | None = None
    few: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < math.inf or any(size is not None and size < 1 for size in (self.many, self.few)):
            raise ValueError(f"found {self}: give a rate above 0 and numbers of at least 1")
        if self.many is not None and self.few is not None and self.few >= self.many:
            raise ValueError(f"found {self}: few must be below many")

    def sizes(self, allowed: float) -> tuple[int, int]:
        """`many` and `few` for an allowed share of failures."""
        few = self.few or math.ceil(2.0 / allowed)
        return max(self.many or math.ceil(20.0 / allowed), few + 1), few


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One pair as it stands. Rates are None where a window is empty; `enough` is false where the guard kept the pair silent.

    `by` is "time" (windows in seconds) or "count" (windows in results), and `long` and `short` are in that unit.
    """

    by: str
    rate: float
    long: float
    short: float
    long_rate: float | None
    short_rate: float | None
    long_count: float
    short_count: float
    enough: bool
    fires: bool


def pair(fraction: float, long: float, short: float, period: float = MONTH) -> Pair:
    """The pair that fires once `fraction` of a period's budget went within the long window: rate = fraction * period / long."""
    return Pair(rate=fraction * period / long, long=long, short=short)


PAIRS = (pair(0.02, 3600.0, 300.0), pair(0.05, 21600.0, 1800.0), pair(0.10, 259200.0, 21600.0))
"""14.4 times over 1 h and 5 min, 6 times over 6 h and 30 min, 1 time over 3 d and 6 h, for a budget of 30 days."""


def burns(
    times: NDArray[np.float64],
    failures: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    now: float,
    allowed: float,
    least: int | None = None,
    pairs: tuple[Pair, ...] = PAIRS,
    quiet: Quiet | None = None,
) -> tuple[Burn, ...]:
    """Every pair as it stands, in the order given, and the fallback last where a pair was silent; alarm where any `fires`.

    Buckets: `times` their ends in seconds, ascending; `failures` and `counts` per bucket, 0 <= failures <= counts. A window
    holds the buckets with now - window < time <= now. A pair whose short window holds fewer than `least` results says nothing;
    without `least` that is 3 / (rate * allowed), so that three failures stand behind every alarm. In the windows by count the
    oldest bucket counts in proportion. `allowed` is the budget as a share of results, in (0, 1).

    ValueError for arrays of different lengths, times that go back, or numbers outside their ranges.
    """
    times, failures, counts = _checked(times, failures, counts, allowed)
    known = times <= now
    times, failures, counts = times[known], failures[known], counts[known]
    found = [_by_time(one, times, failures, counts, now, allowed, least) for one in pairs]
    if not all(burn.enough for burn in found):
        found.append(_by_count(quiet or Quiet(), failures, counts, allowed))
    return tuple(found)


def budget_left(failures: float, count: float, *, allowed: float, expected: float = 0.0) -> float:
    """The share of a period's budget that is unspent: 1 - failures / (allowed * results); below 0 where it is overspent.

    Results are the `count` of the period so far, or the `expected` number of the whole period where that is more: early in a
    period the count alone makes a few failures look like the end. 1 without a result. ValueError for numbers out of range.
    """
    if not (0.0 < allowed < 1.0 and 0.0 <= failures <= count and 0.0 <= expected < math.inf):
        raise ValueError(
            f"found {failures} failures of {count}, {expected} expected, {allowed} allowed: give 0 <= failures <= count"
        )
    results = max(count, expected)
    return 1.0 - failures / (allowed * results) if results else 1.0


def first_quiet_alarm(values: NDArray[np.float64], allowed: float, quiet: Quiet) -> int | None:
    """The index of the result, 1 a failure, at which the windows by count first fire; None if never. For drills and trials."""
    many, few = quiet.sizes(allowed)
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(values, dtype=np.float64))))
    ends = np.arange(1, sums.size)
    hits = np.ones(ends.size, dtype=bool)
    for size in (many, few):
        hits &= _reaches(sums[1:] - sums[np.maximum(ends - size, 0)], quiet.rate * allowed * size)
    return int(hits.argmax()) if hits.any() else None


def _by_time(
    one: Pair,
    times: NDArray[np.float64],
    failures: NDArray[np.float64],
    counts: NDArray[np.float64],
    now: float,
    allowed: float,
    least: int | None,
) -> Burn:
    sums = []
    for window in (one.long, one.short):
        first = int(np.searchsorted(times, now - window, side="right"))
        sums.append((float(failures[first:].sum()), float(counts[first:].sum())))
    (long_failures, long_count), (short_failures, short_count) = sums
    enough = short_count >= (least if least is not None else 3.0 / (one.rate * allowed)) and short_count > 0.0
    burning = all(bool(_reaches(np.float64(bad), one.rate * allowed * n)) for bad, n in sums)
    return Burn(
        by="time",
        rate=one.rate,
        long=one.long,
        short=one.short,
        long_rate=long_failures / (allowed * long_count) if long_count else None,
        short_rate=short_failures / (allowed * short_count) if short_count else None,
        long_count=long_count,
        short_count=short_count,
        enough=enough,
        fires=enough and burning,
    )


def _by_count(quiet: Quiet, failures: NDArray[np.float64], counts: NDArray[np.float64], allowed: float) -> Burn:
    many, few = quiet.sizes(allowed)
    (long_failures, long_count), (short_failures, short_count) = (_last(size, failures, counts) for size in (many, few))
    fires = bool(
        _reaches(np.float64(long_failures), quiet.rate * allowed * many)
        and _reaches(np.float64(short_failures), quiet.rate * allowed * few)
    )
    return Burn(
        by="count",
        rate=quiet.rate,
        long=float(many),
        short=float(few),
        long_rate=long_failures / (allowed * many) if long_count else None,
        short_rate=short_failures / (allowed * few) if short_count else None,
        long_count=long_count,
        short_count=short_count,
        enough=long_count > 0.0,
        fires=fires,
    )


def _last(size: int, failures: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Failures and results among the last `size` results, the oldest bucket in proportion."""
    newest = counts[::-1]
    before = np.cumsum(newest) - newest
    shares = np.clip((size - before) / np.where(newest > 0.0, newest, 1.0), 0.0, 1.0)
    return float((failures[::-1] * shares).sum()), float((newest * shares).sum())


def _reaches(found: NDArray[np.float64] | np.float64, limit: float) -> NDArray[np.bool_]:
    """found >= limit, but for rounding: 0.02 * 200 failures are 4."""
    return np.asarray(found >= limit - 1e-9 * max(1.0, limit))


def _checked(
    times: NDArray[np.float64], failures: NDArray[np.float64], counts: NDArray[np.float64], allowed: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    t, bad, n = (np.asarray(array, dtype=np.float64) for array in (times, failures, counts))
    if not (t.ndim == 1 and t.shape == bad.shape == n.shape):
        raise ValueError(f"found {t.size} times, {bad.size} failures and {n.size} counts: give one of each a bucket")
    if not 0.0 < allowed < 1.0:
        raise ValueError(f"the allowed share of failures is {allowed}: give a number strictly between 0 and 1")
    if not (np.isfinite(t).all() and (np.diff(t) >= 0.0).all()):
        raise ValueError("the times of the buckets go back or are not finite: give them in ascending order")
    if not ((bad >= 0.0).all() and (bad <= n).all() and np.isfinite(n).all()):
        raise ValueError("a bucket has failures below 0 or more failures than results: give 0 <= failures <= count")
    return t, bad, n
