"""How long logs and bodies are kept. The account itself, one row a request in the database, is never removed here.

At least six months are asked of a provider's network logs (Cybersecurity Law of the PRC of 2017, article 21 (3)):
183 days, the default.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pilotbase.store.disk import explained

__all__ = ["KEEP", "Swept", "sweep"]

KEEP = timedelta(days=183)
_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.[^/]+\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was removed: `files` by name, oldest first, and their `size` in bytes. `stuck` are
    those that could not be, with why."""

    folder: Path
    files: tuple[str, ...] = ()
    size: int = 0
    stuck: tuple[str, ...] = ()

    @property
    def days(self) -> tuple[str, ...]:
        """The days of the removed files, oldest first."""
        return tuple(sorted({name[:10] for name in self.files}))

    def __str__(self) -> str:
        days = self.days
        if not days:
            said = f"{self.folder}: nothing is old enough to be removed"
        else:
            span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
            said = f"{self.folder}: removed {len(self.files)} file(s), {self.size} bytes, of {len(days)} day(s): {span}"
        return "\n".join([said, *(f"  could not remove {line}" for line in self.stuck)])


def sweep(folder: Path, now: datetime, keep: timedelta = KEEP) -> Swept:
    """Remove the day files (`YYYY-MM-DD.<worker>.jsonl`) of every UTC day that ended `keep` or longer before `now`.

    Only plain files that lie directly in `folder` go: nothing is followed, neither a link in it nor a folder that is itself a
    link. A missing folder is an empty one. Raises ValueError where `keep` is not positive or `now` has no zone, and UserError
    where the folder cannot be read.
    """
    if keep <= timedelta(0):
        raise ValueError(f"logs cannot be kept for {keep}: the time must be positive")
    if now.tzinfo is None:
        raise ValueError("the time has no zone")
    if folder.is_symlink() or not folder.exists():
        return Swept(folder=folder)
    with explained("read", folder):
        # Names are looked up and removed relative to this descriptor, so that a folder swapped meanwhile is not entered.
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    files: list[str] = []
    stuck: list[str] = []
    size = 0
    try:
        with explained("read", folder):
            names = sorted(os.listdir(fd))
        for name in _old(names, now.astimezone(UTC) - keep):
            try:
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    os.unlink(name, dir_fd=fd)
                    files.append(name)
                    size += found.st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                stuck.append(f"{name}: {os.strerror(error.errno or 0).lower()}")
    finally:
        os.close(fd)
    return Swept(folder=folder, files=tuple(files), size=size, stuck=tuple(stuck))


def _old(names: list[str], before: datetime) -> Iterator[str]:
    """Names of files whose whole day lies before this time."""
    for name in names:
        if match := _NAME.fullmatch(name):
            try:
                day = date.fromisoformat(match[1])
            except ValueError:
                continue
            if day < before.date():
                yield name
