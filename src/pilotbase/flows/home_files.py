"""Which files of a home a backup takes."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from pilotbase.domain.backup import is_private
from pilotbase.flows.held_files import WAL, Held, Indexed, names_below, open_plain

__all__ = ["Opened", "opened_files"]

_EVIDENCE: Final = re.compile(r"runs/([^/]+)/evidence/([^/]+)/([0-9]{8})\.(parquet|journal)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One file that belongs in the backup. `size` bytes of it are taken; `sha256` is what its content must have, where known."""

    name: str
    source: IO[bytes] = field(repr=False)
    size: int
    private: bool
    sha256: str | None = None


def opened_files(home: Path, held: Held, known: Indexed, *, keys: bool, troubles: list[str]) -> Iterator[Opened]:
    """Every file of the home that belongs in, one open at a time. What is missing or is no plain file is told in `troubles`."""
    seen: set[str] = set()
    for name in sorted({*names_below(home, home, troubles), *held}):
        if not _wanted(name, held, known) or (is_private(name) and not keys):
            continue
        with ExitStack() as stack:
            source = held.get(name) or open_plain(home / name, stack)
            if source is None:
                continue
            state = os.fstat(source.fileno())
            seen.add(name)
            yield Opened(
                name=name,
                source=source,
                size=state.st_size,
                private=not stat.S_IMODE(state.st_mode) & 0o077,
                sha256=_digest(name, known),
            )
    troubles += _missing(home, seen, known)


def _wanted(name: str, held: Held, known: Indexed) -> bool:
    parts = name.split("/")
    if parts[0] == "runs" and len(parts) > 2 and parts[1] not in known.runs:
        return False  # begun after the database was read
    if found := _EVIDENCE.fullmatch(name):
        count = len(known.segments.get(f"{found[1]}/{found[2]}", ()))
        return int(found[3]) <= count if found[4] == "parquet" else int(found[3]) == count + 1
    return name in held or not WAL.fullmatch(name)


def _digest(name: str, known: Indexed) -> str | None:
    found = _EVIDENCE.fullmatch(name)
    return known.segments.get(f"{found[1]}/{found[2]}", {}).get(name.rpartition("/")[2]) if found else None


def _missing(home: Path, seen: set[str], known: Indexed) -> Iterator[str]:
    """Segments that the database lists; runs of other homes on a shared database have no folder here."""
    for log, segments in known.segments.items():
        run, _, candidate = log.partition("/")
        if run in known.runs and (home / "runs" / run).is_dir():
            for name in segments:
                told = f"runs/{run}/evidence/{candidate}/{name}"
                if told not in seen:
                    yield f"{told}: the database lists this segment of evidence, and it is missing"
