"""How files that grow are held while the database is read, so that both belong to one moment.

A writer of evidence seals its journal as a segment, names the segment in the database and removes the journal; the gateway
applies a write-ahead log to the database, notes how far, and removes the file. So both kinds are opened before the database is
read, which keeps them readable even when they are removed, and what is taken of them is decided by what the database said:
of each log its indexed segments and the journal after them, of each worker that is not closed its files from its mark on.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pilotbase.gateway.wal_files import unbroken
from pilotbase.store.database import Database
from pilotbase.store.disk import trouble

__all__ = ["WAL", "Held", "Indexed", "hold", "indexed", "let_go_of_applied", "names_below", "open_plain"]

_GROWING: Final = re.compile(r"runs/[^/]+/evidence/[^/]+/[0-9]{8}\.journal|gateway/ledger/[^/]+\.wal")
WAL: Final = re.compile(r"gateway/ledger/(.+)-([0-9a-f]{16})\.wal")
_LEFT: Final = re.compile(
    r"pilotbase\.db.*|audit-newest|scratch/.*|gateway/epoch|keys/set-up-code|(.*/)?[^/]*\.(lock|tmp)", re.DOTALL
)
"""The database itself, which is read row by row; the audit log's note, which is read before it; what passes; locks; the shared
page, which is made anew; the first visitor's code."""

Held = dict[str, IO[bytes]]
"""Open files by their paths in the home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What the database said: its runs, for each log (`RUN/CANDIDATE`) the digests of its segments in hexadecimal, and for
    each worker how many bytes of its log are applied, None where it is closed."""

    runs: frozenset[str]
    segments: Mapping[str, Mapping[str, str]]
    workers: Mapping[str, int | None]


def hold(home: Path, stack: ExitStack, held: Held) -> None:
    """Open every file that grows and is not held yet: before the database is read, and once more when its moment is fixed."""
    for folder in (home / "runs", home / "gateway" / "ledger"):
        for name in names_below(folder, home):
            if name not in held and _GROWING.fullmatch(name):
                opened = open_plain(home / name, stack)
                if opened is not None:
                    held[name] = opened


def let_go_of_applied(held: Held, known: Indexed) -> bool:
    """Keep of each worker's files those that hold its log without a gap from what the database has applied; False: there is one.

    What a worker wrote into files that are not among them came after the backup began.
    """
    logs: dict[str, list[tuple[int, int, str]]] = {}
    for name, source in held.items():
        if wal := WAL.fullmatch(name):
            logs.setdefault(wal[1], []).append((int(wal[2], 16), os.fstat(source.fileno()).st_size, name))
    for worker, files in logs.items():
        files.sort()
        applied = known.workers.get(worker, 0)
        kept = range(0) if applied is None else unbroken([(start, size) for start, size, _ in files], applied)
        if kept is None:
            return False
        for i, (_, _, name) in enumerate(files):
            if i not in kept:
                del held[name]
    return True


def indexed(database: Database) -> Indexed:
    """Ask the database, inside the snapshot."""
    segments: dict[str, dict[str, str]] = {}
    for row in database.rows("SELECT log, name, content_digest FROM segments ORDER BY log, seq"):
        segments.setdefault(row["log"], {})[row["name"]] = row["content_digest"].removeprefix("sha256:")
    workers = {
        row["worker"]: None if row["closed"] else int(row["applied"])
        for row in database.rows("SELECT worker, applied, closed FROM wal_marks")
    }
    return Indexed(
        runs=frozenset(row["run"] for row in database.rows("SELECT run FROM runs")), segments=segments, workers=workers
    )


def open_plain(path: Path, stack: ExitStack) -> IO[bytes] | None:
    """None where it is gone by now: a log that was swept, a draft that was renamed."""
    try:
        # A link that was put in its place meanwhile would lead out of the home.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise trouble("read", path, error) from error
    return stack.enter_context(os.fdopen(descriptor, "rb"))


def names_below(folder: Path, home: Path, troubles: list[str] | None = None) -> Iterator[str]:
    """Paths of plain files below a folder, as text from the home on; links are not followed."""
    for place, folders, names in os.walk(folder):
        for name in [*names, *(one for one in folders if Path(place, one).is_symlink())]:
            path = Path(place, name)
            told = path.relative_to(home).as_posix()
            if _LEFT.fullmatch(told):
                continue
            plain = path.is_file() and not path.is_symlink()
            if plain and told.isprintable() and "\\" not in told:
                yield told
            elif troubles is not None and (path.is_symlink() or path.exists()):
                troubles.append(f"{told.encode('ascii', 'backslashreplace').decode()}: left out: a link, or no plain file")
