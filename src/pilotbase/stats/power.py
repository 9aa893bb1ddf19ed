"""How many cases a verdict needs: acceptance lines, chances of an answer, and expected calls of the sequential rule.

`op` is ">=" (the rate must be at least the threshold) or "<=" (at most).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.sequential import log_wealth, next_look
from pilotbase.stats.special import beta_cdf, beta_sf, normal_ppf

MOST = 10_000_000
"""More cases than this are not planned: `needed` answers None."""


def line(op: str, threshold: float, n: int, confidence: float) -> int | None:
    """The acceptance count on n cases by the exact rule: PASS from this count up (">=") or down to it ("<="); None if never."""
    _check(op, threshold, n, confidence)
    if op == ">=":
        return _from_above(threshold, n, 1.0 - confidence)
    return _from_below(threshold, n, 1.0 - confidence)


def refusal_line(op: str, threshold: float, n: int, confidence: float) -> int | None:
    """The count on n cases from which the exact rule says FAIL: down from it (">=") or up from it ("<="); None if never."""
    _check(op, threshold, n, confidence)
    if op == ">=":
        return _from_below(threshold, n, 1.0 - confidence)
    return _from_above(threshold, n, 1.0 - confidence)


def chance(op: str, threshold: float, true: float, n: int, confidence: float) -> float:
    """Probability that the exact rule says PASS on n cases of true rate `true`."""
    return _chance_beyond(line(op, threshold, n, confidence), op == ">=", true, n)


def refusal_chance(op: str, threshold: float, true: float, n: int, confidence: float) -> float:
    """Probability that the exact rule says FAIL on n cases of true rate `true`."""
    return _chance_beyond(refusal_line(op, threshold, n, confidence), op != ">=", true, n)


def needed(op: str, threshold: float, value: float, confidence: float, chance: float = 0.8, have: int = 0) -> int | None:
    """Further cases for a probability of `chance` of a decision (PASS or FAIL, exact rule) if the true rate is `value`.

    The `have` cases in hand are taken to show that rate. About the smallest such number: the probability is a saw-tooth in n.
    None where `value` sits at the threshold or more than ten million further cases would be needed.
    """
    _check(op, threshold, have, confidence)
    if not (0.0 <= value <= 1.0 and 0.0 < chance < 1.0):
        raise ValueError(f"needed() got value {value} and chance {chance}: give 0 <= value <= 1 and 0 < chance < 1")
    if value == threshold:
        return None
    upward = value > threshold
    seen = round(value * have)

    def enough(more: int) -> bool:
        find = _from_above if upward else _from_below
        bound = find(threshold, have + more, 1.0 - confidence)
        return bound is not None and _chance_beyond(bound - seen, upward, value, more) >= chance

    if enough(0):
        return 0
    distance = abs(value - threshold)
    spread = normal_ppf(confidence) * math.sqrt(threshold * (1.0 - threshold))
    spread += max(0.0, normal_ppf(chance)) * math.sqrt(value * (1.0 - value))
    guess = max(1.0, (spread / distance) ** 2 - have)
    if guess > 2 * MOST:
        return None
    right = max(1, min(int(guess), MOST))
    while not enough(right):
        if right >= MOST:
            return None
        right = min(MOST, right + max(1, right // 4))
    left = 0
    while right - left > max(1, right // 1000 if right > 10_000 else 1):
        middle = (left + right) // 2
        if enough(middle):
            right = middle
        else:
            left = middle
    return right


def expected_calls(op: str, threshold: float, true: float, n: int, confidence: float, trials: int, seed: int) -> float:
    """Mean number of cases that the sequential rule asks before it decides, at most n, over `trials` simulated runs."""
    return float(stopping_times(op, threshold, true, n, confidence, trials=trials, seed=seed).mean())


def stopping_times(
    op: str, threshold: float, true: float, n: int, confidence: float, *, trials: int, seed: int
) -> NDArray[np.int64]:
    """The prefix at which each simulated run decides, n where it does not; shape (trials,)."""
    _check(op, threshold, n, confidence)
    generator = np.random.default_rng(seed)
    successes = np.zeros(trials, dtype=np.int64)
    stopped = np.full(trials, n, dtype=np.int64)
    running = np.ones(trials, dtype=np.bool_)
    asked = 0
    for look, reject, accept in boundaries(threshold, n, confidence):
        successes += generator.binomial(look - asked, true, trials)
        asked = look
        decided = running & ((successes >= accept) | (successes <= reject))
        stopped[decided] = look
        running &= ~decided
        if not running.any():
            break
    return stopped


def boundaries(threshold: float, n: int, confidence: float) -> list[tuple[int, int, int]]:
    """At each scheduled look up to n: (cases, largest count with high < threshold, smallest with low >= threshold).

    -1 and cases + 1 stand for "never". These are the edges of `sequential.proportion` without its root finding.
    """
    goal = -math.log(1.0 - confidence)
    rows: list[tuple[int, int, int]] = []
    look, accept, refuse = 0, 0, 0
    while (look := next_look(look)) <= n:
        # the counts needed never fall as cases are added, so each search starts where the last one ended
        accept = _smallest(lambda s, k=look: log_wealth(s, k, threshold) >= goal, accept, look)  # type: ignore[misc]
        refuse = _smallest(lambda f, k=look: log_wealth(f, k, 1.0 - threshold) >= goal, refuse, look)  # type: ignore[misc]
        rows.append((look, look - refuse, accept))
    return rows


def _smallest(holds: Callable[[int], bool], start: int, n: int) -> int:
    """The smallest count in start..n for which a condition that stays true holds; n + 1 if none."""
    left, step = start - 1, 1
    right = start
    while right <= n and not holds(right):
        left, right, step = right, right + step, step * 2
    right = min(right, n + 1)
    while right - left > 1:
        middle = (left + right) // 2
        if holds(middle):
            right = middle
        else:
            left = middle
    return right


def _from_above(threshold: float, n: int, alpha: float) -> int | None:
    """The smallest k with P(Bin(n, threshold) >= k) <= alpha, the count whose exact lower bound reaches the threshold."""
    start = n * threshold + normal_ppf(1.0 - alpha) * math.sqrt(n * threshold * (1.0 - threshold))
    left, right, step = 0, n + 1, 2
    k = min(max(1, round(start)), n)
    if n == 0:
        return None
    if _at_least(k, n, threshold) <= alpha:
        right = k
        while right - step > 0 and _at_least(right - step, n, threshold) <= alpha:
            right, step = right - step, step * 2
        left = max(0, right - step)
    else:
        left = k
        while left + step <= n and _at_least(left + step, n, threshold) > alpha:
            left, step = left + step, step * 2
        right = min(n + 1, left + step)
    while right - left > 1:
        middle = (left + right) // 2
        if _at_least(middle, n, threshold) <= alpha:
            right = middle
        else:
            left = middle
    return right if right <= n else None


def _from_below(threshold: float, n: int, alpha: float) -> int | None:
    """The largest k with P(Bin(n, threshold) <= k) <= alpha."""
    mirrored = _from_above(1.0 - threshold, n, alpha)
    return None if mirrored is None else n - mirrored


def _at_least(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) >= k)."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_cdf(k, n - k + 1.0, p)


def _chance_beyond(bound: int | None, upward: bool, true: float, n: int) -> float:
    """P(Bin(n, true) >= bound), or <= bound where not upward; 0 without a bound."""
    if bound is None:
        return 0.0
    if upward:
        return _at_least(bound, n, true)
    if bound < 0:
        return 0.0
    return 1.0 if bound >= n else beta_sf(bound + 1.0, n - bound, true)


def _check(op: str, threshold: float, n: int, confidence: float) -> None:
    if op not in (">=", "<="):
        raise ValueError(f"found the comparison {op!r}: only '>=' and '<=' have an acceptance line")
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"found the threshold {threshold}: a rate is tested against a number strictly between 0 and 1")
    if n < 0 or not 0.0 < confidence < 1.0:
        raise ValueError(f"found n = {n} and confidence {confidence}: give n >= 0 and 0 < confidence < 1")
