"""One spelling in bytes for JSON-like data, so that equal data has equal digests everywhere."""

import hashlib
import json
from typing import Any

__all__ = ["canonical", "digest", "digest_bytes"]

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def canonical(data: Any) -> bytes:
    """Data as JSON in UTF-8: keys sorted by code point, no spaces, floats in their shortest form that reads back the same.

    After RFC 8785 (JSON Canonicalization Scheme), with Python's spelling of numbers: `1` and `1.0` stay apart. Takes mappings
    with text keys, lists, tuples, text, numbers, booleans and None. Raises ValueError for NaN, infinity and lone surrogates,
    TypeError for anything else.
    """
    _refuse_other_keys(data)
    return _ENCODER.encode(data).encode("utf-8")


def digest(data: Any) -> str:
    """`sha256:` and 64 hex digits over the canonical bytes of `data`. Raises as `canonical` does."""
    return digest_bytes(canonical(data))


def digest_bytes(data: bytes) -> str:
    """`sha256:` and 64 hex digits over bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _refuse_other_keys(data: Any) -> None:
    # json.dumps would write 1, None and True as "1", "null" and "true", and two keys could become one.
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                raise TypeError(f"a key must be text, and {key!r} is {type(key).__name__}")
            _refuse_other_keys(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            _refuse_other_keys(value)
