"""Content-addressed bytes: a blob's name is its digest, so a put is idempotent and a get proves what it returns."""

import hashlib
import re
from pathlib import Path

from pilotbase.errors import UserError
from pilotbase.store.disk import Disk

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits.

    >>> digest_of(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest; UserError unless it is `sha256:` and 64 hexadecimal digits."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise UserError(f"{digest!r} is not a digest", hint="a digest is sha256: followed by 64 hexadecimal digits")
    return match[1]


def verified(data: bytes, digest: str, where: str) -> bytes:
    """`data`, or a UserError if it does not have this digest."""
    if digest_of(data) != digest:
        raise UserError(
            f"changed: the content no longer has the digest {digest}",
            where=where,
            hint="restore the file from a backup; nothing that rests on it can be trusted until then",
        )
    return data


def absent(digest: str, where: str) -> UserError:
    """The error for a digest that was never put here."""
    return UserError(f"no content {digest} here", where=where, hint="check the digest, or restore the folder from a backup")


class Blobs:
    """Blobs as plain files under `root/ab/cd/<hex>`, which `sha256sum` can check."""

    __slots__ = ("_disk", "_root")

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk

    def put(self, data: bytes) -> str:
        """Keep `data` durably and return its digest. The same bytes again cost nothing."""
        digest = digest_of(data)
        path = self._path(digest)
        if not self._disk.has(path):
            self._disk.make_folder(path.parent)
            self._disk.write_whole(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of this digest, checked. UserError if they are missing or were changed."""
        path = self._path(digest)
        data = self._disk.find(path)
        if data is None:
            raise absent(digest, str(self._root))
        return verified(data, digest, str(path))

    def has(self, digest: str) -> bool:
        """Whether this digest was put here."""
        return self._disk.has(self._path(digest))

    def _path(self, digest: str) -> Path:
        name = hex_of(digest)
        return self._root / name[:2] / name[2:4] / name
