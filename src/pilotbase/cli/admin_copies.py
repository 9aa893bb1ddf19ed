"""`pilotbase admin backup` and `pilotbase admin restore`."""

import argparse
from pathlib import Path
from typing import Any

from pilotbase.context import Context, SystemClock
from pilotbase.domain.backup import Manifest
from pilotbase.flows.backup import backup
from pilotbase.flows.operator import operator
from pilotbase.flows.restore import restore
from pilotbase.settings import Settings
from pilotbase.store.disk import LocalDisk

__all__ = ["back_up", "backup_arguments", "put_back", "restore_arguments"]

_KEYS = (
    "  IT HOLDS PRIVATE KEYS: whoever reads this file can sign in this base's name and check its access keys.\n"
    "  Encrypt it before it leaves this machine, and keep it as you keep the keys themselves."
)
_NO_KEYS = (
    "  without private keys: a base restored from it signs with a new key, refuses every access key that it gave out (unless\n"
    "  PILOTBASE_PEPPER is the same), and cannot disclose cases of dossiers made before. --with-keys encloses them."
)


def backup_arguments(words: Any) -> None:
    parser = words.add_parser("backup", help="all of this base in one file, while it runs")
    parser.add_argument("file", type=Path, metavar="FILE", help="what to write; outside the home, better on another disk")
    parser.add_argument(
        "--with-keys", action="store_true", help="enclose the signing key, the pepper and the secrets of runs: mind the file then"
    )
    parser.add_argument("--replace", action="store_true", help="write over a file that is there, once the new one is whole")


def restore_arguments(words: Any) -> None:
    parser = words.add_parser("restore", help="a base from a backup, into an empty home and database")
    parser.add_argument("file", type=Path, metavar="FILE", help="what `admin backup` wrote")
    parser.add_argument("--into", type=Path, metavar="HOME", help="the new home (default: $PILOTBASE_HOME)")


def back_up(context: Context, given: argparse.Namespace) -> int:
    """Exit 1 where something was found damaged or missing; the backup is there all the same."""
    done = backup(context, given.file.absolute(), who=operator(), keys=given.with_keys, replacing=given.replace)
    print(f"{done.path}: {done.size:,} bytes, {_told(done.manifest)}")
    print(f"  sha256 {done.sha256}")
    print(_KEYS if done.manifest.keys else _NO_KEYS)
    return _troubles(done.manifest)


def put_back(settings: Settings, given: argparse.Namespace) -> int:
    """Exit 1 where the audit log does not hold, or the backup was made of a base with damage."""
    home = (given.into or settings.home).absolute()
    done = restore(given.file, home, disk=LocalDisk(), clock=SystemClock(), who=operator(), database=settings.database)
    made = done.manifest
    print(f"{done.home}: the base as of {made.created}, {_told(made)}")
    if done.log.broken is not None:
        print(f"  THE AUDIT LOG IS BROKEN at link {done.log.broken}, as it was when the backup was made: {done.log.why}")
    else:
        print(f"  audit log: {done.log.entries:,} entries, whole; this restore is the newest, link {done.link}")
    print(f"  what was changed after {made.created} is not in it; a link of the audit log noted after that is unknown here")
    print("  everybody signs in anew" + ("" if made.keys else "; private keys were not in the backup, see `admin doctor`"))
    return _troubles(made) or int(done.log.broken is not None)


def _told(manifest: Manifest) -> str:
    rows, tables = sum(manifest.rows.values()), len(manifest.rows)
    return f"{len(manifest.files):,} files and {rows:,} rows of {tables} tables (schema {manifest.schema}, {manifest.program})"


def _troubles(manifest: Manifest) -> int:
    for line in manifest.troubles:
        print(f"  LOOK: {line}")
    return int(any(": left out: " not in line for line in manifest.troubles))
