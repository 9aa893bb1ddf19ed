"""One writer at a time: an advisory lock that says who holds it and that the kernel releases when the holder dies."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from pilotbase.errors import UserError
from pilotbase.store.disk import Disk, Handle, LocalDisk, trouble


def _now() -> datetime:
    return datetime.now(UTC)


class RunLock:
    """An exclusive lock on the file at `path` (flock: it goes when the holder ends, however it ends).

    The file keeps pid, host and start time of the holder for the message to whoever comes second; it is never removed,
    since a lock on a removed file would protect nothing. A child made by fork keeps the lock alive as long as it lives.
    """

    __slots__ = ("_disk", "_handle", "_now", "path")

    def __init__(self, path: Path, disk: Disk | None = None, *, now: Callable[[], datetime] = _now) -> None:
        self.path = path
        self._disk = disk or LocalDisk()
        self._handle: Handle | None = None
        self._now = now

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def take(self) -> Self:
        """Take the lock, or raise a UserError that names the holder. Taking it twice through one object does nothing."""
        if self._handle is not None:
            return self
        handle = self._disk.append(self.path)
        try:
            self._seize(handle)
            handle.truncate(0)
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._now().isoformat(timespec="seconds")}
            handle.write(orjson.dumps(holder) + b"\n")
        except BaseException:
            handle.close()
            raise
        self._handle = handle
        return self

    def _seize(self, handle: Handle) -> None:
        try:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._taken() from error
            raise trouble("lock", self.path, error) from error

    def _taken(self) -> UserError:
        # The holder may be between taking the lock and writing its name.
        try:
            holder = orjson.loads(self._disk.find(self.path) or b"{}")
            who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (orjson.JSONDecodeError, KeyError, TypeError):
            who = "another process"
        return UserError(
            f"in use by {who}",
            where=str(self.path.parent),
            hint="wait until it is finished or stop it; the lock goes when that process ends",
        )

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def __enter__(self) -> Self:
        return self.take()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
