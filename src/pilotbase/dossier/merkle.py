"""Merkle trees as in RFC 6962 section 2.1 (Certificate Transparency), over SHA-256.

A leaf hashes as SHA-256(0x00 || data), a node as SHA-256(0x01 || left || right), so that neither can pass for the other.
An odd last node moves up unchanged: that is the RFC's split at the largest power of two below n.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence

__all__ = ["leaf_hash", "proof", "root", "verify"]

_SHA256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return _SHA256(b"\x00" + data).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf data in order, in memory of the logarithm of their number; of no leaves, SHA-256 of nothing."""
    # A binary counter: peaks[h] is the root of a whole subtree of 2**h leaves that still waits for its right sibling.
    peaks: list[bytes | None] = []
    for data in leaves:
        node = _SHA256(b"\x00" + data).digest()
        height = 0
        for waiting in peaks:
            if waiting is None:
                break
            node = _SHA256(b"\x01" + waiting + node).digest()
            peaks[height] = None
            height += 1
        if height == len(peaks):
            peaks.append(node)
        else:
            peaks[height] = node
    right: bytes | None = None
    for peak in peaks:
        if peak is not None:
            right = peak if right is None else _SHA256(b"\x01" + peak + right).digest()
    return _SHA256(b"").digest() if right is None else right


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` (RFC 6962, 2.1.1), from its sibling up. IndexError where there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    path: list[bytes] = []
    level = [_SHA256(b"\x00" + data).digest() for data in leaves]
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        above = [_SHA256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level, index = above, index >> 1
    return path


def verify(data: bytes, index: int, count: int, path: Sequence[bytes], expected: bytes) -> bool:
    """Whether `path` proves that leaf `index` of `count` holds `data` under the root `expected` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < count:
        return False
    at, last, node = index, count - 1, leaf_hash(data)
    for sibling in path:
        if last == 0:
            return False
        if at % 2 or at == last:
            node = _SHA256(b"\x01" + sibling + node).digest()
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            node = _SHA256(b"\x01" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and hmac.compare_digest(node, expected)
