"""Whether two samples of vectors come from one law: the kernel's maximum mean discrepancy, by permutation."""

import math

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.two_sample import TwoSample, permutation_p, thinned

__all__ = ["mmd"]

ROWS = 500  # a side: the kernel's table is the square of both


def mmd(
    first: NDArray[np.float32], second: NDArray[np.float32], *, seed: int, permutations: int = 999, most: int = ROWS
) -> TwoSample:
    """The unbiased squared discrepancy of two samples of vectors, shapes (m, d) and (n, d), with a permutation p.

    Gretton et al. 2012 (JMLR 13, 723), eq. 3, with a Gaussian kernel whose width is the median distance of the pooled rows.
    At most `most` rows a side, drawn by `seed`. p is `permutation_p`, so never under 1 / (permutations + 1). Raises ValueError
    for under 2 rows on a side.
    """
    generator = np.random.default_rng(seed)
    x = np.asarray(first, dtype=np.float32)[thinned(len(first), most, generator)]
    y = np.asarray(second, dtype=np.float32)[thinned(len(second), most, generator)]
    m, n = len(x), len(y)
    if min(m, n) < 2:
        raise ValueError(f"found {m} and {n} rows: a discrepancy needs two on each side")
    table = _kernel(np.concatenate([x, y]))
    sides = np.zeros((m + n, 1), dtype=np.float32)
    sides[:m] = 1.0
    observed = float(_discrepancies(table, sides, m, n)[0])
    # float32 sums of the same rows in another order differ in their last digits
    line = observed - 1e-6 * (1.0 + abs(observed))

    def larger(count: int) -> NDArray[np.bool_]:
        shuffled = generator.permuted(np.broadcast_to(sides, (m + n, count)), axis=0)
        return _discrepancies(table, shuffled, m, n) >= line

    return TwoSample(statistic=observed, p=permutation_p(larger, permutations), m=m, n=n, method="MMD, permutation")


def _kernel(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian similarities of all pairs, zeros on the diagonal; the width is the median distance of different rows."""
    lengths = np.square(rows).sum(axis=1)
    squares = np.maximum(lengths[:, None] + lengths[None, :] - 2.0 * (rows @ rows.T), 0.0)
    apart = squares[np.triu_indices(len(rows), 1)]
    apart = apart[apart > 1e-12]
    width = float(np.median(apart)) if apart.size else 1.0
    table: NDArray[np.float32] = np.exp(-squares / (2.0 * width)).astype(np.float32)
    np.fill_diagonal(table, 0.0)
    return table


def _discrepancies(table: NDArray[np.float32], sides: NDArray[np.float32], m: int, n: int) -> NDArray[np.float64]:
    """The squared discrepancy of each column of `sides`, 1.0 for a row of the first sample and 0.0 for one of the second."""
    within = np.einsum("ij,ij->j", sides, table @ sides).astype(np.float64)
    of_first = table.sum(axis=1, dtype=np.float64) @ sides
    total = float(table.sum(dtype=np.float64))
    across = of_first - within
    found: NDArray[np.float64] = (
        within / math.perm(m, 2) + (total - 2.0 * of_first + within) / math.perm(n, 2) - 2.0 * across / (m * n)
    )
    return found
