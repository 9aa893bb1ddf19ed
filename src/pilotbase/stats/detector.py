"""Is it getting worse? An e-detector, whose average run length to a false alarm holds however often one looks.

The mixture Shiryaev-Roberts e-detector of Shin, Ramdas & Rinaldo 2023 ("E-detectors: a nonparametric framework for
sequential change detection", New England Journal of Statistics in Data Science), over the Shiryaev-Roberts recursion
(Shiryaev 1963; Roberts 1966) and the bets on a bounded mean of Waudby-Smith & Ramdas 2024.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detector", "block_means"]

_POINTS = 5
_ODDS = 8.0
_MOST_BET = 0.75
_CHUNK = 8192
_LARGEST = 1e300


class Detector:
    """Watches results in [0, 1], 1 the worst, whose mean is at most `p0` while all is well.

    Each of five bets b has a multiplier L = 1 + b (x - p0), and M_n = L_n (1 + M_{n-1}) from M_0 = 0; the alarm is the mean of
    the five reaching `run_length`. While the mean of each result, given all results before it, is at most p0, every E[L] is at
    most 1 and M_n - n is a supermartingale, so that the mean number of results to a false alarm is at least `run_length`: for
    every such p <= p0, with no tuning, for 0/1 results and fractions alike, since L is linear in x (and so never under the
    likelihood ratio's own power law, which is convex). M_k + n - k is a supermartingale up to n, so that an alarm within the
    first n results has a chance of at most n / run_length (Ville 1939).

    For single 0/1 results the bets are (q - p0) / (p0 (1 - p0)), which makes L the likelihood ratio of rate q, with five q at
    equal steps of log odds from p0 (left out) to `upper`; without it, eight times the odds of p0. `block` says of how many
    results each value is the mean: bets grow with it, since such means vary less, and validity does not depend on it.
    `run_length` counts values: with blocks of 50, a promise of 20,000 results is a run length of 400.

    ValueError for p0 outside (0, 1), upper outside (p0, 1), run_length not above 1, block below 1, or a value outside [0, 1].
    """

    def __init__(self, p0: float, run_length: float, *, upper: float | None = None, block: int = 1) -> None:
        if not 0.0 < p0 < 1.0:
            raise ValueError(f"the rate in control is {p0}: give a number strictly between 0 and 1")
        if not (math.isfinite(run_length) and run_length > 1.0):
            raise ValueError(f"the run length is {run_length}: give a finite number above 1")
        if block < 1:
            raise ValueError(f"the block is {block}: a value is the mean of at least one result")
        odds = p0 / (1.0 - p0)
        top = _ODDS * odds if upper is None else _odds_above(upper, p0)
        self.p0 = p0
        self.run_length = float(run_length)
        self.block = block
        self.points = tuple(_rate(odds * (top / odds) ** (j / _POINTS)) for j in range(1, _POINTS + 1))
        self.bets = tuple(_bet(p0, q, block) for q in self.points)
        self._goal = math.log(run_length) + math.log(_POINTS)
        # log(1 + M) of each bet: 0 at the start, and finite ever after
        self._logs = (0.0,) * _POINTS
        self._seen = 0

    @property
    def level(self) -> float:
        """The mean of the five M: the alarm sounds where it reaches `run_length`. 0 at the start, cut at 1e300."""
        return math.exp(min(self._total(self._logs) - math.log(_POINTS), math.log(_LARGEST)))

    @property
    def seen(self) -> int:
        """Values since the start or the last reset."""
        return self._seen

    @property
    def state(self) -> tuple[float, ...]:
        """Six finite numbers: values seen, and log(1 + M) of each bet. `resume` takes them back."""
        return (float(self._seen), *self._logs)

    def resume(self, state: Iterable[float]) -> None:
        """Go on from a `state` of a detector with the same p0, upper and block. ValueError for anything else than six such."""
        seen, *logs = (float(number) for number in state)
        if len(logs) != _POINTS or not all(math.isfinite(a) and a >= 0.0 for a in logs) or seen < 0.0 or seen % 1.0 != 0.0:
            raise ValueError(f"found a state of {len(logs) + 1} numbers that is none: give what `state` returned")
        self._seen, self._logs = int(seen), tuple(logs)

    def reset(self) -> None:
        """Begin again, as after an alarm that was dealt with."""
        self._seen, self._logs = 0, (0.0,) * _POINTS

    def update(self, value: float) -> bool:
        """Take one result; whether the alarm sounds at it. It goes on sounding while the level stays above."""
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"found the value {value}: results lie between 0 and 1")
        excess = value - self.p0
        logs = [math.log1p(bet * excess) + before for bet, before in zip(self.bets, self._logs, strict=True)]
        self._logs = tuple(_log1p_exp(m) for m in logs)
        self._seen += 1
        return _log_sum_exp(logs) >= self._goal

    def update_many(self, values: NDArray[np.float64]) -> int | None:
        """Take results in their order up to the first alarm: its index, or None. Those after it are not taken.

        With S_n the sum of log L, log M_n = S_n + log((1 + M_0) + sum of exp(-S_k) over k from 1 to n - 1).
        """
        x = np.asarray(values, dtype=np.float64)
        if x.size and not (x.min() >= 0.0 and x.max() <= 1.0):
            raise ValueError(f"found values from {x.min()} to {x.max()}: results lie between 0 and 1")
        bets = np.array(self.bets)[:, None]
        start, taken = 0, _CHUNK // 16
        while start < x.size:
            part = x[start : start + taken]
            sums = np.cumsum(np.log1p(bets * (part - self.p0)), axis=1)
            terms = np.concatenate((np.array(self._logs)[:, None], -sums[:, :-1]), axis=1)
            logs = sums + np.logaddexp.accumulate(terms, axis=1)
            hits = np.logaddexp.reduce(logs, axis=0) >= self._goal
            last = int(hits.argmax()) if hits.any() else part.size - 1
            self._logs = tuple(float(a) for a in np.logaddexp(0.0, logs[:, last]))
            self._seen += last + 1
            if hits[last]:
                return start + last
            # small at first, so that an early alarm costs little
            start, taken = start + part.size, min(2 * taken, _CHUNK)
        return None

    @staticmethod
    def _total(logs: tuple[float, ...]) -> float:
        """log of the sum of M, from log(1 + M); -inf where all are 0."""
        return _log_sum_exp([a + math.log(-math.expm1(-a)) for a in logs if a > 0.0])


def block_means(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Means of whole blocks of `size` neighbours, in order; a rest that fills no block is left out, to wait for its others.

    Neighbouring results depend on one another where failures come in spells. A block longer than a spell has a mean that
    depends little on the blocks before, which is all that `Detector` asks for. ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"the size of a block is {size}: give at least 1")
    x = np.asarray(values, dtype=np.float64)
    whole = x.size // size
    means: NDArray[np.float64] = x[: whole * size].reshape(whole, size).mean(axis=1)
    return means


def _bet(p0: float, q: float, block: int) -> float:
    """The bet of a block against a rise from p0 to q: for one result the likelihood ratio's, for a long block 1 / (q - p0).

    Between them, the rise over the second moment of a block's mean, which is Kelly's bet to first order (Waudby-Smith & Ramdas
    2024, sec. 4.1). It stays under 1 / p0, where a block without a failure would lose all.
    """
    rise = q - p0
    best = rise / (p0 * (1.0 - p0) / block + rise * rise * (1.0 - 1.0 / block))
    return best if block == 1 else min(best, _MOST_BET / p0)


def _odds_above(upper: float, p0: float) -> float:
    if not p0 < upper < 1.0:
        raise ValueError(f"the upper rate is {upper}: give a number between the rate in control, {p0}, and 1")
    return upper / (1.0 - upper)


def _rate(odds: float) -> float:
    return odds / (1.0 + odds)


def _log1p_exp(m: float) -> float:
    return m + math.log1p(math.exp(-m)) if m > 0.0 else math.log1p(math.exp(m))


def _log_sum_exp(logs: list[float]) -> float:
    top = max(logs, default=-math.inf)
    return top + math.log(math.fsum(math.exp(m - top) for m in logs)) if top > -math.inf else top
