"""Texts as vectors of hashed character n-grams: no words to cut, so Chinese and English alike."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST", "WIDTH", "vectors"]

WIDTH = 2048
LONGEST = 2000  # characters of a text that count
_BLOCK = 256  # texts hashed at a time, which bounds the memory
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def vectors(texts: Sequence[str], *, width: int = WIDTH) -> NDArray[np.float32]:
    """One row of length 1 a text, shape (texts, `width`): its n-grams of 1 to 3 characters, after NFKC and case folding.

    The first 2,000 characters count. Each n-gram falls in a column by a hash that is the same everywhere and always, with a sign
    by the same hash, so that collisions cancel in the mean (Weinberger et al. 2009, ICML). Counts enter by their square roots. An
    empty text is a row of zeros.
    """
    if width < 2:
        raise ValueError(f"found the width {width}: a hash needs at least 2 columns")
    found = np.zeros((len(texts), width), dtype=np.float32)
    for start in range(0, len(texts), _BLOCK):
        block = [unicodedata.normalize("NFKC", text[:LONGEST]).casefold() for text in texts[start : start + _BLOCK]]
        found[start : start + len(block)] = _counted(block, width)
    return found


def _counted(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """The rows of one block."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    of = np.repeat(np.arange(len(texts), dtype=np.int64), [len(text) for text in texts])
    counts = np.zeros(len(texts) * width)
    grams = np.zeros_like(codes)
    for length in range(1, 4):
        if codes.size < length:
            break
        whole = codes.size - length + 1
        grams = _mixed(grams[:whole] * _GOLDEN + codes[length - 1 :])
        kept = of[:whole] == of[length - 1 :]
        hashed, row = grams[kept], of[:whole][kept]
        signs = 1.0 - 2.0 * (hashed >> np.uint64(63)).astype(np.float64)
        counts += np.bincount(row * width + (hashed % np.uint64(width)).astype(np.int64), signs, minlength=counts.size)
    table = np.sign(counts) * np.sqrt(np.abs(counts))
    rows = table.reshape(len(texts), width)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return (rows / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): each bit of a value moves each bit of its hash."""
    z = values + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
