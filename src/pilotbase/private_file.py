"""A small file that is made once, whole, and readable by its owner alone: keys and what workers share."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["put_in_place"]


def put_in_place(path: Path, data: bytes) -> None:
    """Make the file (0600), durably, unless another process was first: then that one's stays. OSError where it cannot be made."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, does not replace the file of a process that was first.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
