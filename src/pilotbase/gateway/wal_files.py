"""The files of the workers' write-ahead logs: one stream a worker, cut into segments named by where they begin in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pilotbase.gateway.wal import LONGEST, Record, scan
from pilotbase.store.disk import Disk, explained

__all__ = ["Reading", "Segment", "is_worker_name", "read_stream", "segment_path", "segments", "unbroken"]

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})-([0-9a-f]{16})\.wal")
_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHUNK: Final = 2 * LONGEST  # more than any record is long


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: `start` is the place of its first byte in the whole stream of its worker."""

    start: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Records of a stream, the place after the last of them, and why reading stopped (as `wal.Scan` has it).

    `left`: bytes that follow `position` in the files and are no part of `records`.
    """

    records: list[Record]
    position: int
    stop: Literal["end", "torn", "damaged"]
    why: str
    left: int


def is_worker_name(worker: str) -> bool:
    """Whether a worker may be called so: 1 to 64 letters, digits, `.`, `_`, `-`."""
    return _WORKER.fullmatch(worker) is not None


def segment_path(folder: Path, worker: str, start: int) -> Path:
    """Where the segment of `worker` is that begins at `start`."""
    return folder / f"{worker}-{start:016x}.wal"


def segments(folder: Path, disk: Disk) -> dict[str, list[Segment]]:
    """The segments of every worker, in order."""
    found: dict[str, list[Segment]] = {}
    for name in disk.names(folder):
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault(match[1], []).append(Segment(int(match[2], 16), folder / name))
    for files in found.values():
        files.sort(key=lambda one: one.start)
    return found


def unbroken(spans: Sequence[tuple[int, int]], position: int) -> range | None:
    """Which of a stream's files, each as (start, size) and in order, hold it without a gap from `position` on; None: they do not.

    >>> unbroken([(0, 10), (10, 10), (20, 5)], 12), unbroken([(0, 10), (20, 5)], 4), unbroken([(20, 5)], 12)
    (range(1, 3), range(0, 1), None)
    """
    first = max((i for i, (start, _) in enumerate(spans) if start <= position), default=-1)
    if first < 0 or sum(spans[first]) < position:
        return None
    last = first
    while last + 1 < len(spans) and spans[last + 1][0] == sum(spans[last]):
        last += 1
    return range(first, last + 1)


def read_stream(files: Sequence[Segment], position: int, sequence: int, limit: int) -> Reading:
    """At most `limit` records from `position` on, the first of which has the number `sequence`.

    `files` were listed before this call: a segment that has a successor in the list is whole, the last one may be growing.
    """
    records: list[Record] = []
    while True:
        at = max((i for i, one in enumerate(files) if one.start <= position), default=-1)
        after = files[at + 1] if at + 1 < len(files) else None
        if at < 0:
            return _stopped(files, records, position, "damaged" if after else "end", "the file before is missing")
        offset = position - files[at].start
        data = _read(files[at].path, offset, _CHUNK)
        found = scan(data, 0, sequence, limit - len(records))
        if not found.records and len(data) == _CHUNK:
            data = _read(files[at].path, offset, -1)
            found = scan(data, 0, sequence, limit - len(records))
        records += found.records
        sequence += len(found.records)
        position += found.position
        if len(records) >= limit:
            return _stopped(files, records, position, "end", "")
        if found.records and len(data) == _CHUNK:
            continue
        if found.stop != "end":
            torn = found.stop == "torn" and after is None
            return _stopped(files, records, position, "torn" if torn else "damaged", found.why)
        if after is None:
            return _stopped(files, records, position, "end", "")
        if after.start != position:
            return _stopped(files, records, position, "damaged", "the next file begins elsewhere than this one ends")


def _stopped(
    files: Sequence[Segment], records: list[Record], position: int, stop: Literal["end", "torn", "damaged"], why: str
) -> Reading:
    return Reading(records=records, position=position, stop=stop, why=why, left=_left(files, position))


def _left(files: Sequence[Segment], position: int) -> int:
    total = 0
    for one in files:
        with explained("look at", one.path):
            size = one.path.stat().st_size
        total += max(0, one.start + size - max(one.start, position))
    return total


def _read(path: Path, offset: int, size: int) -> bytes:
    with explained("read", path), path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size) or b""
