"""Every durable operation on files, behind one object that is passed in, so that a fault can be placed at each boundary."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pilotbase.errors import UserError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MISPLACED = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR})


class Handle(Protocol):
    """A file that is open for writing at its end."""

    @property
    def size(self) -> int:
        """Bytes in the file, as far as this handle has written it."""

    def write(self, data: bytes) -> None:
        """Hand all of `data` to the kernel in one call (more only where the kernel takes less). UserError if it cannot."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync(self) -> None:
        """Return once everything written is on the disk."""

    def fileno(self) -> int:
        """The descriptor, for advisory locks."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""


class Disk(Protocol):
    """Durable operations. Each raises UserError (what, where, what to do) when the disk is full, unwritable or broken."""

    def create(self, path: Path, mode: int = 0o644) -> Handle:
        """A new, empty file; what stood there is gone."""

    def append(self, path: Path, mode: int = 0o644) -> Handle:
        """A file open at its end; created when missing."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename and make the rename durable."""

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is fine."""

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents, durably; an existing one is fine."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; none where there is no folder."""

    def has(self, path: Path) -> bool:
        """Whether a plain file is there."""

    def read(self, path: Path) -> bytes:
        """The whole file; UserError if it is missing."""

    def find(self, path: Path) -> bytes | None:
        """The whole file, or None if it is missing."""

    def write_whole(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Put a file in place as a whole: readers see the old bytes or the new, after any interruption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The system calls that change durable state. Tests replace them to fail, to tear a write or to die at any one of them."""

    open_file: Callable[..., int] = os.open
    write: Callable[[int, bytes | memoryview], int] = os.write
    sync: Callable[[int], None] = os.fsync
    truncate: Callable[[int, int], None] = os.ftruncate
    rename: Callable[[Path, Path], None] = os.replace
    unlink: Callable[[Path], None] = os.unlink
    mkdir: Callable[[Path], None] = os.mkdir
    close: Callable[[int], None] = os.close


class LocalHandle:
    """A file descriptor open for appending, unbuffered: what `write` returned for survives the death of the process."""

    __slots__ = ("_calls", "_fd", "_write", "path", "size")

    def __init__(self, path: Path, fd: int, size: int, calls: Calls) -> None:
        self.path = path
        self.size = size
        self._fd = fd
        self._calls = calls
        self._write = calls.write

    def write(self, data: bytes) -> None:
        try:
            done = self._write(self._fd, data)
            while done < len(data):
                done += self._write(self._fd, memoryview(data)[done:])
        except OSError as error:
            raise trouble("write", self.path, error) from error
        self.size += len(data)

    def truncate(self, size: int) -> None:
        with explained("shorten", self.path):
            self._calls.truncate(self._fd, size)
        self.size = size

    def sync(self) -> None:
        with explained("save", self.path):
            self._calls.sync(self._fd)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with explained("close", self.path):
                self._calls.close(fd)


class LocalDisk:
    """The disk of this machine."""

    __slots__ = ("_calls", "_serial")

    def __init__(self, calls: Calls | None = None) -> None:
        self._calls = calls or Calls()
        self._serial = itertools.count()

    def create(self, path: Path, mode: int = 0o644) -> Handle:
        return self._open(path, os.O_TRUNC, mode)

    def append(self, path: Path, mode: int = 0o644) -> Handle:
        return self._open(path, 0, mode)

    def _open(self, path: Path, flags: int, mode: int) -> Handle:
        with explained("open", path):
            fd = self._calls.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, mode)
            return LocalHandle(path, fd, os.fstat(fd).st_size, self._calls)

    def replace(self, source: Path, target: Path) -> None:
        with explained("replace", target):
            self._calls.rename(source, target)
        self.sync_folder(target.parent)

    def remove(self, path: Path) -> None:
        with explained("remove", path), suppress(FileNotFoundError):
            self._calls.unlink(path)

    def make_folder(self, path: Path) -> None:
        with explained("create", path):
            if path.is_dir():
                return
            if path.exists():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        self.make_folder(path.parent)
        with explained("create", path):
            try:
                self._calls.mkdir(path)
            except FileExistsError:
                # Another process may have been first; anything but a folder is an error.
                if not path.is_dir():
                    raise
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        with explained("save", path):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._calls.sync(fd)
            finally:
                os.close(fd)

    def names(self, folder: Path) -> list[str]:
        with explained("list", folder):
            try:
                return sorted(os.listdir(folder))
            except FileNotFoundError:
                return []

    def has(self, path: Path) -> bool:
        with explained("look at", path):
            return path.is_file()

    def read(self, path: Path) -> bytes:
        with explained("read", path):
            return path.read_bytes()

    def find(self, path: Path) -> bytes | None:
        with explained("read", path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def write_whole(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        # The name is this process's own, so two writers of one file never share a half-written copy.
        draft = path.with_name(f"{path.name}.{os.getpid()}-{next(self._serial)}.tmp")
        handle = self.create(draft, mode)
        try:
            handle.write(data)
            handle.sync()
            handle.close()
            self.replace(draft, path)
        except UserError:
            with suppress(UserError):
                handle.close()
            with suppress(UserError):
                self.remove(draft)
            raise


@contextmanager
def explained(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a UserError that says what failed, where, and what to do."""
    try:
        yield
    except OSError as error:
        raise trouble(action, path, error) from error


def trouble(action: str, path: Path, error: OSError) -> UserError:
    """The UserError for a failed operation on `path`; `action` completes the sentence "could not ... it".

    >>> str(trouble("read", Path("/a"), OSError(errno.ENOENT, "No such file or directory"))).splitlines()[0]
    '/a: could not read it: the file is missing'
    """
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    hint = "check the disk and its file system, then run the same command again"
    if error.errno in _FULL:
        reason = f"no space is left for it ({reason})"
        hint = "free space, or raise the quota or file size limit, then run the same command again; what was recorded is kept"
    elif error.errno in _FORBIDDEN:
        reason = f"this user may not ({reason})"
        hint = "give this user write access to the folder, or choose another home folder"
    elif error.errno in _MISPLACED:
        reason = f"a file stands where a folder is needed, or a folder where a file is ({reason})"
        hint = "move it out of the way, or choose another home folder"
    elif error.errno == errno.ENOENT:
        reason = "the file is missing"
        hint = "restore it from a backup, or check the path"
    return UserError(f"could not {action} it: {reason}", where=str(path), hint=hint)
