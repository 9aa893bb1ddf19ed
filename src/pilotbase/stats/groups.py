"""Metrics compared over groups: the gap, the ratio and the worst, from bounds that hold for all groups at once.

The parts must have been estimated at `part_confidence`: each of the 2 G one-sided bounds at alpha / (2 G). By Bonferroni
all hold together with probability 1 - alpha, and then so does whatever is derived from them by interval arithmetic.
"""

from collections.abc import Iterable, Sequence

from pilotbase.stats.estimate import Estimate, undefined


def part_confidence(confidence: float, groups: int) -> float:
    """The confidence at which each of `groups` >= 1 groups is bounded: 1 - alpha / (2 G)."""
    if groups < 1:
        raise ValueError(f"found {groups} groups: a comparison by group needs at least one")
    return 1.0 - (1.0 - confidence) / (2.0 * groups)


def gap(parts: Sequence[Estimate], confidence: float) -> Estimate:
    """Largest minus smallest group value. low = max(0, max low - min high), high = max high - min low."""
    method = "gap of simultaneous bounds"
    n = sum(part.n for part in parts)
    values = _all(part.value for part in parts)
    if values is None:
        return undefined(n, method, confidence)
    value = max(values) - min(values)
    lows, highs = _all(part.low for part in parts), _all(part.high for part in parts)
    if lows is None or highs is None:
        return Estimate(value=value, low=None, high=None, n=n, method=method, confidence=confidence)
    low, high = max(0.0, max(lows) - min(highs)), max(highs) - min(lows)
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, method=method, confidence=confidence)


def ratio(parts: Sequence[Estimate], confidence: float) -> Estimate:
    """Smallest over largest group value, in [0, 1]; the metric must be >= 0.

    low = min low / max high, high = min(1, min high / max low). No value where the largest is 0: the bounds are then 0 and 1.
    ValueError for a negative value.
    """
    method = "ratio of simultaneous bounds"
    n = sum(part.n for part in parts)
    values = _all(part.value for part in parts)
    if values is None:
        return undefined(n, method, confidence)
    if min(values) < 0.0:
        raise ValueError(f"found a group value of {min(values)}: a ratio of groups needs values >= 0")
    value = min(values) / max(values) if max(values) > 0.0 else None
    lows, highs = _all(part.low for part in parts), _all(part.high for part in parts)
    if lows is None or highs is None:
        return Estimate(value=value, low=None, high=None, n=n, method=method, confidence=confidence)
    smallest, largest = max(0.0, min(lows)), max(0.0, *lows)
    low = smallest / max(highs) if max(highs) > 0.0 else 0.0
    high = min(1.0, min(highs) / largest) if largest > 0.0 else 1.0
    if value is not None:
        low, high = min(low, value), max(high, value)
    return Estimate(value=value, low=min(low, high), high=high, n=n, method=method, confidence=confidence)


def worst(parts: Sequence[Estimate], confidence: float, largest: bool) -> Estimate:
    """The worst group's value: the largest where `largest` (an error rate), else the smallest (a recall).

    Largest: low = max low, high = max high; smallest: low = min low, high = min high. At alpha / (2 G) a part, either side
    misses with probability <= alpha / 2: a stated, conservative choice shared with `gap`.
    """
    method = "worst of simultaneous bounds"
    pick = max if largest else min
    n = sum(part.n for part in parts)
    values = _all(part.value for part in parts)
    if values is None:
        return undefined(n, method, confidence)
    lows, highs = _all(part.low for part in parts), _all(part.high for part in parts)
    return Estimate(
        value=pick(values),
        low=None if lows is None else pick(lows),
        high=None if highs is None else pick(highs),
        n=n,
        method=method,
        confidence=confidence,
    )


def _all(numbers: Iterable[float | None]) -> list[float] | None:
    """The numbers if there are any and none is missing."""
    found = list(numbers)
    present = [number for number in found if number is not None]
    return present if found and len(present) == len(found) else None
