"""The console's own files, named by their content so that a browser may keep them for good."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["Asset", "asset", "assets"]

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

Asset = tuple[str, bytes]
"""(media type, content)"""


@cache
def assets() -> Mapping[str, Asset]:
    """Every file by its name with the digest of its content in it."""
    found: dict[str, Asset] = {}
    for path in sorted(_STATIC.iterdir()):
        if path.suffix in _TYPES:
            data = path.read_bytes()
            found[_hashed(path.name, data)] = (_TYPES[path.suffix], data)
    return found


@cache
def asset(name: str) -> str:
    """The address of a file of `console/static`."""
    return f"/console/static/{_hashed(name, (_STATIC / name).read_bytes())}"


def _hashed(name: str, data: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
