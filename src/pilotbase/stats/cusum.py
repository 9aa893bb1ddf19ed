"""Bernoulli CUSUM: the quickest alarm for one declared rise of a failure rate, with its average run lengths.

Page 1954 (Biometrika 41, 100); for failures Reynolds & Stoumbos 1999 (J. Quality Technology 31, 87). Average run lengths by
the Markov chain of Brook & Evans 1972 (Biometrika 59, 539).
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cusum", "arl", "threshold_for"]

_STATES = 200
_FINE = 20.0
_CHUNK = 8192
_LONGEST = 1e9


class Cusum:
    """Watches results in [0, 1], 1 the worst: W_n = max(0, W_{n-1} + l(x)), with an alarm where W reaches `threshold`.

    l(1) = log(p1 / p0), l(0) = log((1 - p1) / (1 - p0)), and a fraction x has x l(1) + (1 - x) l(0). For 0/1 results `arl` tells
    the average run length. For fractions that chain says nothing; what holds for them, and for every mean of at most p0 given the
    past, is an average run length to a false alarm of at least exp(threshold): exp(l(x)) lies under the line between its ends,
    so that its mean is at most 1, and exp(W) lies under the Shiryaev-Roberts sum where the alarm sounds.

    ValueError unless 0 < p0 < p1 < 1 and the threshold is finite and above 0.
    """

    def __init__(self, p0: float, p1: float, threshold: float) -> None:
        self._up, self._down = _steps(p0, p1)
        if not (math.isfinite(threshold) and threshold > 0.0):
            raise ValueError(f"the threshold is {threshold}: give a finite number above 0")
        self.p0 = p0
        self.p1 = p1
        self.threshold = float(threshold)
        self._level = 0.0
        self._since = 0

    @property
    def level(self) -> float:
        """W, in nats of evidence; 0 at the start."""
        return self._level

    @property
    def since(self) -> int:
        """Values since W was last 0: at an alarm, the likeliest number of results since the change (Page 1954)."""
        return self._since

    @property
    def state(self) -> tuple[float, float]:
        """`level` and `since`; `resume` takes them back."""
        return (self._level, float(self._since))

    def resume(self, state: Iterable[float]) -> None:
        """Go on from a `state`. ValueError for anything else."""
        found = tuple(float(number) for number in state)
        if len(found) != 2 or not all(math.isfinite(number) and number >= 0.0 for number in found) or found[1] % 1.0 != 0.0:
            raise ValueError(f"found {found}, which is no state of a CUSUM: give what `state` returned")
        self._level, self._since = found[0], int(found[1])

    def reset(self) -> None:
        """Begin again, as after an alarm that was dealt with."""
        self._level, self._since = 0.0, 0

    def update(self, value: float) -> bool:
        """Take one result; whether the alarm sounds at it. ValueError outside [0, 1]."""
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"found the value {value}: results lie between 0 and 1")
        level = self._level + value * self._up - (1.0 - value) * self._down
        self._level, self._since = (level, self._since + 1) if level > 0.0 else (0.0, 0)
        return self._level >= self.threshold

    def update_many(self, values: NDArray[np.float64]) -> int | None:
        """Take results in their order up to the first alarm: its index, or None. Those after it are not taken."""
        x = np.asarray(values, dtype=np.float64)
        if x.size and not (x.min() >= 0.0 and x.max() <= 1.0):
            raise ValueError(f"found values from {x.min()} to {x.max()}: results lie between 0 and 1")
        start, taken = 0, _CHUNK // 16
        while start < x.size:
            part = x[start : start + taken]
            sums = self._level + np.cumsum(part * (self._up + self._down) - self._down)
            floors = np.minimum(np.minimum.accumulate(sums), 0.0)
            levels = sums - floors
            hits = levels >= self.threshold
            last = int(hits.argmax()) if hits.any() else part.size - 1
            zeros = np.flatnonzero(levels[: last + 1] <= 0.0)
            self._since = last - int(zeros[-1]) if zeros.size else self._since + last + 1
            self._level = float(levels[last])
            if hits[last]:
                return start + last
            # small at first, so that an early alarm costs little
            start, taken = start + part.size, min(2 * taken, _CHUNK)
        return None


def arl(p0: float, p1: float, threshold: float, rate: float) -> float:
    """Mean number of independent 0/1 results of failure rate `rate` until the alarm, from W = 0.

    A Markov chain over steps of the smaller way of W; a step between two states is split over both in proportion, which keeps
    its mean. Within 3 % of simulation; up to 10 % off where a whole number of failures and successes all but meets the
    threshold. inf from 1e9 up, or at rate 0.
    ValueError unless 0 < p0 < p1 < 1, threshold > 0 and 0 <= rate <= 1.
    """
    up, down = _steps(p0, p1)
    if not (math.isfinite(threshold) and threshold > 0.0 and 0.0 <= rate <= 1.0):
        raise ValueError(
            f"found the threshold {threshold} and the rate {rate}: give a finite threshold above 0, a rate in [0, 1]"
        )
    if rate == 0.0:
        return math.inf
    if rate == 1.0:
        return float(math.ceil(threshold / up))
    fine = up / down >= _FINE
    # the whole way down where that is a small part of the way up, else a part of it that makes many states
    width = down if fine else down / max(1, math.floor(_STATES * down / threshold))
    place = threshold / width
    below = max(1, math.floor(place))
    if fine:
        lengths = _fine(up / width, rate, below + 1)
        first, second = lengths[below - 1], lengths[below]
    else:
        first, second = (_coarse(up / width, down / width, rate, count) for count in (below, below + 1))
    # the number of states is whole: between two thresholds that the chain knows, log ARL is nearly linear
    share = min(1.0, max(0.0, place - below))
    found = math.exp((1.0 - share) * math.log(first) + share * math.log(second))
    return found if found < _LONGEST else math.inf


def threshold_for(p0: float, p1: float, run_length: float) -> float:
    """The lowest threshold, to 0.1 %, whose `arl` at rate p0 is at least `run_length` results (1 < run_length <= 1e8).

    It lies at or under log(run_length), since exp(threshold) is a lower limit of the run length.
    """
    _steps(p0, p1)
    if not 1.0 < run_length <= 1e8:
        raise ValueError(f"the run length is {run_length}: give a number above 1, at most 1e8")
    low, high = 0.0, math.log(run_length)
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        if arl(p0, p1, middle, p0) >= run_length:
            high = middle
        else:
            low = middle
    return high


def _steps(p0: float, p1: float) -> tuple[float, float]:
    """The way up of a failure and the way down of a success, both positive."""
    if not 0.0 < p0 < p1 < 1.0:
        raise ValueError(f"found p0 {p0} and p1 {p1}: give 0 < p0 < p1 < 1, p1 the rate that must not be missed")
    return math.log(p1 / p0), math.log((1.0 - p0) / (1.0 - p1))


def _fine(up: float, rate: float, most: int) -> list[float]:
    """Run lengths from 0 of chains with 1, 2, ... `most` states under the alarm, a success going down by exactly one.

    From the top down, g(i - 1) = (g(i) - 1 - rate g(i + up)) / (1 - rate), which is A + B c with c = g(top) unknown; A and B
    depend only on the distance from the top, so that one pass serves all sizes. At 0 a success stays:
    rate g(0) = 1 + rate g(up), which gives c.
    """
    whole = math.floor(up)
    part = up - whole
    stay = 1.0 - rate
    fixed, factor = [0.0], [1.0]
    lengths: list[float] = []
    for j in range(most):
        near, far = j - whole, j - whole - 1
        a = ((1.0 - part) * fixed[near] if near >= 0 else 0.0) + (part * fixed[far] if far >= 0 else 0.0)
        b = ((1.0 - part) * factor[near] if near >= 0 else 0.0) + (part * factor[far] if far >= 0 else 0.0)
        c = (1.0 / rate + a - fixed[j]) / (factor[j] - b)
        lengths.append(fixed[j] + factor[j] * c)
        fixed.append((fixed[j] - 1.0 - rate * a) / stay)
        factor.append((factor[j] - rate * b) / stay)
    return lengths


def _coarse(up: float, down: float, rate: float, count: int) -> float:
    """The run length from 0 of a chain with `count` states under the alarm, by solving its equations whole."""
    matrix = np.eye(count)
    here = np.arange(count)
    for way, chance in ((up, rate), (-down, 1.0 - rate)):
        whole = math.floor(way)
        part = way - whole
        for step, share in ((whole, 1.0 - part), (whole + 1, part)):
            target = np.maximum(here + step, 0)
            inside = target < count
            np.subtract.at(matrix, (here[inside], target[inside]), chance * share)
    return float(np.linalg.solve(matrix, np.ones(count))[0])
