"""What lies in the home: who can read it, room, private files, segments of evidence, and what a dead process left."""

import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from pilotbase.domain.health import Finding, State
from pilotbase.errors import UserError
from pilotbase.signing import Key
from pilotbase.store.chain import SegmentInfo, check_content, check_link
from pilotbase.store.database import Database
from pilotbase.store.disk import Disk
from pilotbase.store.index import DatabaseIndex

__all__ = ["evidence", "left_behind", "permissions", "private_files", "room"]

_LITTLE: Final = 1 << 30
_NOTHING: Final = 128 << 20
_NEWEST: Final = 20  # runs whose evidence is read without `deep`
_EACH: Final = 4  # segments of each of their logs
_SHOWN: Final = 5


def permissions(home: Path) -> Iterator[Finding]:
    """Who else on this machine may read the home, or write to it."""
    mode = stat.S_IMODE(home.stat().st_mode)
    todo = f"chmod 700 {home}"
    if mode & 0o022:
        yield Finding(check="home", state="bad", told=f"{home} can be changed by other users ({mode:03o})", todo=todo)
    elif mode & 0o055:
        yield Finding(check="home", state="look", told=f"{home} can be read by other users ({mode:03o})", todo=todo)
    else:
        yield Finding(check="home", state="good", told=f"{home}, for its owner alone")


def room(home: Path) -> Iterator[Finding]:
    """How much of the disk is free."""
    disk = shutil.disk_usage(home)
    told = f"{disk.free / 2**30:,.1f} GiB of {disk.total / 2**30:,.1f} are free"
    if disk.free < _LITTLE:
        state: State = "bad" if disk.free < _NOTHING else "look"
        todo = "free space: what cannot be recorded is not done, and the gateway refuses what it cannot account for"
        yield Finding(check="disk", state=state, told=told, todo=todo)
    else:
        yield Finding(check="disk", state="good", told=told)


def private_files(home: Path) -> Iterator[Finding]:
    """Keys and secrets: readable by their owner alone; and whether the signing key can be used."""
    places = [*sorted((home / "keys").glob("*")), *sorted((home / "runs").glob("*/secret"))]
    wide = [path for path in places if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    if wide:
        told = f"others can read {', '.join(str(path.relative_to(home)) for path in wide[:_SHOWN])}"
        todo = f"chmod 600 {wide[0]}; if others could have read it, make a new one and revoke this"
        yield Finding(check="private files", state="bad", told=told, todo=todo)
    else:
        yield Finding(check="private files", state="good", told=f"{len(places)}, for their owner alone")
    path = home / "keys" / "signing.pem"
    if not path.exists():
        todo = "none, where nothing was signed yet; else restore it: a new key is unknown to whoever trusts the old one"
        yield Finding(check="signing key", state="look", told="there is none; one is made when first needed", todo=todo)
        return
    try:
        yield Finding(check="signing key", state="good", told=Key.load(path).key_id)
    except UserError as error:
        yield Finding(check="signing key", state="bad", told=error.message, todo=error.hint or "restore it from a backup")


def evidence(database: Database, disk: Disk, home: Path, *, deep: bool) -> Iterator[Finding]:
    """Segments against the digests that the database lists; of the newest runs a few each, or with `deep` all of them."""
    limit = "" if deep else f" LIMIT {_NEWEST}"
    runs = [row["run"] for row in database.rows(f"SELECT run FROM runs ORDER BY rowid DESC{limit}")]
    wrong: list[str] = []
    read = elsewhere = 0
    for run in runs:
        if database.where.startswith("postgresql:") and not (home / "runs" / run).is_dir():
            elsewhere += 1
            continue
        for row in database.rows("SELECT candidate FROM run_candidates WHERE run = ? ORDER BY candidate", (run,)):
            found, count = _log(database, disk, home, run, row["candidate"], deep=deep)
            wrong += found
            read += count
    told = f"{read:,} segments of {len(runs) - elsewhere:,} runs are what was sealed"
    if elsewhere:
        told += f"; {elsewhere:,} runs lie in other homes"
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        todo = "restore these files from a backup; conclusions that rest on them cannot be derived again"
        yield Finding(check="evidence", state="bad", told="; ".join(wrong[:_SHOWN]) + more, todo=todo)
    else:
        yield Finding(check="evidence", state="good", told=told if deep else f"{told} (the newest; --deep reads all)")


def _log(database: Database, disk: Disk, home: Path, run: str, candidate: str, *, deep: bool) -> tuple[list[str], int]:
    """What is wrong with one log, and how many of its segments were read. The chain is always checked whole."""
    infos = DatabaseIndex(database, f"{run}/{candidate}").list()
    before: SegmentInfo | None = None
    wrong = []
    chosen = infos if deep else infos[-_EACH:]
    for info in infos:
        path = home / "runs" / run / "evidence" / candidate / info.name
        try:
            check_link(before, info, str(path))
            if info in chosen:
                check_content(info, disk.read(path), str(path))
        except UserError as error:
            wrong.append(f"{path.relative_to(home)}: {error.message}")
        before = info
    return wrong, len(chosen)


def left_behind(database: Database, disk: Disk, home: Path) -> Iterator[Finding]:
    """Runs that are under way by the database, and by whom; the gateway that serves."""
    rows = database.rows("SELECT run FROM runs WHERE state IN ('asking', 'interrupted') ORDER BY rowid DESC LIMIT 100")
    places = {row["run"]: home / "runs" / row["run"] for row in rows}
    dead = [run for run, place in places.items() if place.is_dir() and not _alive(disk, place / "run.lock")]
    if dead:
        told = f"{len(dead)} runs were cut and not gone on with: {', '.join(dead[:_SHOWN])}"
        yield Finding(check="runs", state="look", told=told, todo="go on with one by its own command: pilotbase run FILE")
    else:
        yield Finding(check="runs", state="good", told=f"{len(rows)} under way, none left behind")
    serving = _alive(disk, home / "gateway" / "serve.lock")
    yield Finding(check="gateway", state="good", told=f"serves, process {serving}" if serving else "is not running")


def _alive(disk: Disk, path: Path) -> int | None:
    """The process that a lock's file names, unless it is known to be gone. The lock itself is not tried: that would take it."""
    try:
        holder: Any = orjson.loads(disk.find(path) or b"{}")
        number = int(holder["pid"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    here = holder.get("host") == socket.gethostname() and Path("/proc/self").exists()
    return None if here and not Path("/proc", str(number)).exists() else number
