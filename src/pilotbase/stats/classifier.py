"""Whether two samples of vectors come from one law: can a classifier that saw half of them tell the other half apart?"""

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.contingency import fisher
from pilotbase.stats.two_sample import TwoSample, thinned

__all__ = ["classifier_test", "logistic_weights"]

ROWS = 2000  # a side
PENALTY = 1e-3
STEPS = 40


def classifier_test(first: NDArray[np.float32], second: NDArray[np.float32], *, seed: int, most: int = ROWS) -> TwoSample:
    """A classifier two-sample test of vectors, shapes (m, d) and (n, d), rows of length at most 1.

    Lopez-Paz and Oquab 2017 (ICLR), with a logistic classifier. Each side is cut in two by `seed`; the classifier that learnt
    from one half names the other half's likeliest members of the second sample, as many as there are. Given the scores, every
    assignment of those rows to the sides is equally likely where the law is one, so Fisher's test of named against true is
    exact, in the far tail too. The halves change places, and p is twice the smaller of both (Bonferroni, whatever their
    dependence). The statistic is the balanced share of right answers over both: 0.5 cannot tell the samples apart, 1 always
    can. At most `most` rows a side. Raises ValueError for under 4 rows on a side.
    """
    generator = np.random.default_rng(seed)
    x = np.asarray(first, dtype=np.float32)[generator.permutation(thinned(len(first), most, generator))]
    y = np.asarray(second, dtype=np.float32)[generator.permutation(thinned(len(second), most, generator))]
    if min(len(x), len(y)) < 4:
        raise ValueError(f"found {len(x)} and {len(y)} rows: a classifier needs four on each side")
    halves = (x[: len(x) // 2], y[: len(y) // 2]), (x[len(x) // 2 :], y[len(y) // 2 :])
    smallest, right = 1.0, 0.0
    for learnt, asked in (halves, halves[::-1]):
        weights, offset = logistic_weights(*learnt)
        scores = np.concatenate(asked) @ weights + offset
        of_first, of_second = scores[: len(asked[0])], scores[len(asked[0]) :]
        line = np.sort(scores)[-len(of_second)]
        wrong, hits = int((of_first >= line).sum()), int((of_second >= line).sum())
        smallest = min(smallest, fisher(hits, len(of_second), wrong, len(of_first), "greater"))
        right += 0.25 * (hits / len(of_second) + 1.0 - wrong / len(of_first))
    return TwoSample(statistic=right, p=min(1.0, 2.0 * smallest), m=len(x), n=len(y), method="classifier, exact")


def logistic_weights(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Weights, shape (d,), and offset of an L2 logistic classifier whose score is higher for the second sample.

    Both samples weigh the same in sum. Forty steps of Nesterov's (1983) accelerated descent from zero, with the step of the
    logistic loss's curvature for rows of length at most 1: always the same, close to the optimum, and no test's validity hangs
    on how close.
    """
    rows = np.concatenate([first, second])
    signs = np.concatenate([np.full(len(first), -1.0), np.full(len(second), 1.0)]).astype(np.float32)
    share = np.concatenate([np.full(len(first), 0.5 / len(first)), np.full(len(second), 0.5 / len(second))]).astype(np.float32)
    centre = share @ rows
    rows = rows - centre
    # a quarter of the largest mean square of a row with its constant
    step = 1.0 / (0.25 * (1.0 + float((share * np.square(rows).sum(axis=1)).sum())) + PENALTY)
    weights, offset = np.zeros(rows.shape[1], dtype=np.float32), 0.0
    ahead, ahead_offset = weights, offset
    for k in range(STEPS):
        pull = share * signs / (1.0 + np.exp(np.clip(signs * (rows @ ahead + np.float32(ahead_offset)), -30.0, 30.0)))
        following = ahead + np.float32(step) * (pull @ rows - np.float32(PENALTY) * ahead)
        following_offset = ahead_offset + step * float(pull.sum())
        momentum = k / (k + 3.0)
        ahead = following + np.float32(momentum) * (following - weights)
        ahead_offset = following_offset + momentum * (following_offset - offset)
        weights, offset = following, following_offset
    return weights, offset - float(centre @ weights)
