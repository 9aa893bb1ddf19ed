"""The one seeded random order in which cases are asked (VERDICT.md section 2).

NumPy promises that the raw output of a bit generator never changes, and nothing of the kind for `Generator.permutation`. So
rows are sorted by 64-bit keys drawn raw from Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
ties by row number: the same seed gives the same order on every machine and under every NumPy.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["order_digest", "order_rows", "philox_key"]


def philox_key(*words: object) -> NDArray[np.uint64]:
    """128 bits for Philox, derived by SHA-256 from words; each is written with its length, so that no two lists collide."""
    spelt = [str(w).encode() for w in words]
    raw = b"".join(len(w).to_bytes(8, "little") + w for w in spelt)
    return np.frombuffer(hashlib.sha256(raw).digest()[:16], dtype="<u8").astype(np.uint64)


def _keys(count: int, seed: int, label: str) -> NDArray[np.uint64]:
    return np.asarray(np.random.Philox(key=philox_key("pilotbase/order/1", label, seed)).random_raw(count), dtype=np.uint64)


def order_rows(count: int, seed: int, clusters: NDArray[np.int32] | None = None) -> NDArray[np.uint32]:
    """The row at each position: a permutation of 0..count-1 that depends on nothing but its arguments.

    With `clusters` (a code >= 0 per row, numbered by first appearance) whole clusters are put in random order, the rows of one
    side by side and in random order among themselves.
    """
    rows = _keys(count, seed, "rows")
    if clusters is None:
        return np.argsort(rows, kind="stable").astype(np.uint32)
    total = int(clusters.max()) + 1 if count else 0
    drawn = _keys(total, seed, "clusters")
    return np.lexsort((rows, clusters, drawn[clusters])).astype(np.uint32)


def order_digest(order: NDArray[np.uint32]) -> str:
    """`sha256:...` of the permutation, little-endian 32-bit words."""
    return "sha256:" + hashlib.sha256(order.astype("<u4").tobytes()).hexdigest()
