"""JSON as others read and write it: NaN, halves of surrogate pairs and large integers included."""

import json
from typing import Any

import orjson

__all__ = ["parse", "write"]


def parse(data: bytes) -> Any:
    """A JSON document. ValueError where it is none, for anybody."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def write(document: Any) -> bytes:
    """What `parse` has read, as bytes."""
    try:
        return orjson.dumps(document)
    except (TypeError, ValueError):
        return json.dumps(document, separators=(",", ":")).encode()
