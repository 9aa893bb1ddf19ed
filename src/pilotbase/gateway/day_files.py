"""Files of JSON lines, one a UTC day and worker: `YYYY-MM-DD.<worker>.jsonl`, readable by their owner alone."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

from pilotbase.errors import UserError
from pilotbase.store.disk import Disk, Handle

__all__ = ["DAY", "DayFiles", "day_name"]

DAY = 86_400
_EPOCH = date(1970, 1, 1)


def day_name(day: int) -> str:
    """The date of a day counted from 1970-01-01, as in `2026-11-30`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


class DayFiles:
    """Appends lines to the file of their day. Used from one thread at a time."""

    __slots__ = ("_day", "_disk", "_folder", "_handle", "_torn", "_worker")

    def __init__(self, folder: Path, worker: str, disk: Disk) -> None:
        self._folder = folder
        self._worker = worker
        self._disk = disk
        self._day = -1
        self._handle: Handle | None = None
        self._torn = False

    def write(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Append lines, each with its day and its newline; those of one day that follow one another in one call.

        Raises UserError where the disk does not take them; the next call opens the file anew and begins on a line of its own.
        """
        day, held = -1, bytearray()
        for other, line in lines:
            if other != day:
                self._put(day, held)
                day, held = other, bytearray()
            held += line
        self._put(day, held)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _put(self, day: int, data: bytearray) -> None:
        if not data:
            return
        try:
            if self._handle is None or day != self._day:
                self.close()
                self._disk.make_folder(self._folder)
                self._handle = self._disk.append(self._folder / f"{day_name(day)}.{self._worker}.jsonl", 0o600)
                self._day = day
            self._handle.write(b"\n" + bytes(data) if self._torn else bytes(data))
            self._torn = False
        except UserError:
            self._torn = True
            with suppress(UserError):
                self.close()
            raise
