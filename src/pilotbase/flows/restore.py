"""A base from a backup: into an empty home and an empty database, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pilotbase.domain.backup import Manifest, Member
from pilotbase.errors import UserError
from pilotbase.ports import Clock
from pilotbase.store import audit
from pilotbase.store.archive import ArchiveReader
from pilotbase.store.database import Database, migrations, newer
from pilotbase.store.disk import Disk, explained
from pilotbase.store.neutral import fill

__all__ = ["ACTION", "Restored", "restore"]

ACTION = "base.restore"
"""Under what the audit log has it: the first entry after those of the backup."""
_SPARE = 64 << 20  # bytes that stay free


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put in place. `log` is what verifying the audit log of the backup found, `link` the newest link now."""

    home: Path
    manifest: Manifest
    rows: int
    files: int
    log: audit.Report
    link: audit.Link | None


def restore(source: Path, home: Path, *, disk: Disk, clock: Clock, who: str, database: str | None = None) -> Restored:
    """Check all of a backup, then fill the database, bring it up to this version, compare, and put the home in place.

    `database`: the address of an empty PostgreSQL database in place of the file in the home. UserError, and nothing changed,
    where the home or the database holds something, or the backup is damaged, of a newer version, or too large.
    """
    with ArchiveReader(source) as archive:
        manifest = archive.manifest
        if manifest.schema > len(migrations()):
            raise newer(manifest.schema, len(migrations()), str(source))
        _check_home(home)
        with _staging(home, disk) as staged:
            _check_room(manifest, staged)
            for member in manifest.members:
                if member.table is None:
                    _unpack(archive, member, staged, disk)
                else:
                    archive.check(member)
            log, link = _database(archive, staged, home, database, disk, clock, who)
            if database is None:
                _put(staged, home, disk)
    return Restored(home=home, manifest=manifest, rows=sum(manifest.rows.values()), files=len(manifest.files), log=log, link=link)


def _database(
    archive: ArchiveReader, staged: Path, home: Path, address: str | None, disk: Disk, clock: Clock, who: str
) -> tuple[audit.Report, audit.Link | None]:
    """Fill it in one transaction. A server's ends with the home in place: filled without its home it could not be tried again."""
    with Database(address or staged / "pilotbase.db", disk, schema=0) as found:
        if found.schema or found.tables():
            hint = "restore into a new one: CREATE DATABASE name ENCODING 'UTF8', and name it in PILOTBASE_DATABASE"
            raise UserError("the database is not empty", where=found.where, hint=hint)
        placed = False
        try:
            with found.transaction():
                log = _fill(archive, found, staged, disk)
                link = _note(found, archive, who, clock)
                if address is not None:
                    _put(staged, home, disk)
                    placed = True
        except BaseException:
            if placed:
                with suppress(OSError):
                    os.rename(home, staged)
            raise
        return log, link


def _check_home(home: Path) -> None:
    with explained("look at", home):
        if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
            raise UserError(
                "the home is not empty",
                where=str(home),
                hint="name another one with --into, or move this one away: a restore never mixes two bases",
            )


@contextmanager
def _staging(home: Path, disk: Disk) -> Iterator[Path]:
    """A folder beside the home, on the same disk, which is removed unless it has become the home."""
    disk.make_folder(home.parent)
    with explained("create", home.parent):
        staged = Path(tempfile.mkdtemp(prefix=f".{home.name}.restoring-", dir=home.parent))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _check_room(manifest: Manifest, staged: Path) -> None:
    needed = sum(one.size + (one.unpacked or 0) * 2 for one in manifest.members) + _SPARE
    free = shutil.disk_usage(staged).free
    if needed > free:
        raise UserError(
            f"the backup needs about {needed >> 20:,} MiB, and {free >> 20:,} MiB are free",
            where=str(staged.parent),
            hint="free space, or name a home on another disk with --into",
        )


def _unpack(archive: ArchiveReader, member: Member, staged: Path, disk: Disk) -> None:
    path = staged / member.path
    if member.path.split("/")[0].startswith("pilotbase.db"):
        raise UserError("a file of this backup would be taken for the database", where=member.name, hint="take another backup")
    with explained("create", path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if member.private else 0o755)
        handle = disk.create(path, 0o600 if member.private else 0o644)
    try:
        archive.copy(member, handle)
        handle.sync()
    finally:
        handle.close()


def _fill(archive: ArchiveReader, database: Database, staged: Path, disk: Disk) -> audit.Report:
    """The rows, at the schema of their time, counted; then the migrations since. What the audit log says of itself then."""
    manifest = archive.manifest
    database.bring_up(manifest.schema)
    for member in manifest.members:
        if member.table is not None:
            if member.table not in database.tables():
                raise UserError(f"schema {manifest.schema} has no table `{member.table}`", hint="take another backup")
            fill(database, member.table, archive.lines(member))
    for table, rows in manifest.rows.items():
        found = database.row(f'SELECT count(*) AS n FROM "{table}"')
        if found is None or found["n"] != rows:
            raise UserError(f"`{table}` should have {rows} rows and has {found and found['n']}", hint="take another backup")
    database.bring_up()
    newest = audit.newest(database)
    if (str(newest) if newest is not None else None) != manifest.link:
        raise UserError("the newest link of the audit log is another than the manifest says", hint="take another backup")
    return audit.verify_home(database, disk, staged)


def _note(database: Database, archive: ArchiveReader, who: str, clock: Clock) -> audit.Link | None:
    made = archive.manifest
    detail = {"created": made.created, "program": made.program, "schema": made.schema, "keys": made.keys, "link": made.link}
    audit.write(database, who=who, action=ACTION, subject=archive.path.name, detail=detail, at=clock.now())
    return audit.newest(database)


def _put(staged: Path, home: Path, disk: Disk) -> None:
    for folder, _, _ in os.walk(staged):
        disk.sync_folder(Path(folder))
    with explained("put in place", home):
        with suppress(FileNotFoundError):
            home.rmdir()  # it was found empty; anything that came since keeps it
        os.rename(staged, home)
    disk.sync_folder(home.parent)
