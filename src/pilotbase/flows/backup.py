"""A backup of a base while it runs: the database as of one moment, row by row, and what its home holds besides."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pilotbase import __version__
from pilotbase.context import Context
from pilotbase.domain.backup import UNKEPT, Manifest, Member
from pilotbase.errors import UserError
from pilotbase.flows.held_files import Held, Indexed, hold, indexed, let_go_of_applied
from pilotbase.flows.home_files import Opened, opened_files
from pilotbase.store import audit
from pilotbase.store.archive import ArchiveWriter, pack_lines
from pilotbase.store.database import Database
from pilotbase.store.disk import explained
from pilotbase.store.neutral import lines

__all__ = ["ACTION", "Backup", "backup"]

ACTION = "base.backup"
"""Under what the audit log has it."""
_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What was written: `size` bytes with this SHA-256 (hexadecimal)."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest


def backup(context: Context, target: Path, *, who: str, keys: bool = False, replacing: bool = False) -> Backup:
    """Write everything into one file, readable by its owner alone: whole, or not at all.

    `keys` encloses the private files too (`domain.backup.PRIVATE`). UserError where the file is there already, unless it is to
    be replaced; where it would lie in the home itself; and where the disk does not take it.
    """
    _check_target(context, target, replacing)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    handle = context.disk.create(draft, 0o600)
    try:
        writer = ArchiveWriter(handle)
        manifest = _fill(context, writer, target.parent, keys)
        writer.finish(manifest)
        handle.sync()
        handle.close()
        _put(context, draft, target, replacing)
    except BaseException:
        with suppress(UserError):
            handle.close()
        with suppress(UserError):
            context.disk.remove(draft)
        raise
    detail = {"sha256": writer.sha256, "bytes": writer.size, "keys": keys, "link": manifest.link}
    audit.write(context.database, who=who, action=ACTION, subject=target.name, detail=detail, at=context.clock.now())
    return Backup(path=target, size=writer.size, sha256=writer.sha256, manifest=manifest)


def _check_target(context: Context, target: Path, replacing: bool) -> None:
    if not target.parent.is_dir():
        raise UserError("there is no such folder", where=str(target.parent), hint="create it, or name another file")
    if target.resolve().is_relative_to(context.home.resolve()):
        hint = "name a file outside the home, better on another disk: what takes the home away would take the backup too"
        raise UserError("a backup cannot lie in the home that it is of", where=str(target), hint=hint)
    if os.path.lexists(target) and not replacing:
        raise UserError("there is such a file already", where=str(target), hint="name another one, or add --replace")
    if os.path.lexists(target) and (target.is_symlink() or not target.is_file()):
        raise UserError("it is no plain file and is not replaced", where=str(target), hint="name another one")


def _fill(context: Context, writer: ArchiveWriter, folder: Path, keys: bool) -> Manifest:
    created, troubles = context.stamp(), list[str]()
    members: list[Member] = []
    with ExitStack() as stack:
        held: Held = {}
        with ExitStack() as moment:  # over before files are copied: writers' own logs grow as long as it lasts
            note, database, known = _moment(context, stack, moment, held)
            schema, newest = database.schema, audit.newest(database)
            members += _tables(database, writer, folder)
        members += _files(writer, opened_files(context.home, held, known, keys=keys, troubles=troubles), troubles)
    if note is not None:
        sha256 = writer.add(f"home/{audit.NOTE}", io.BytesIO(note), len(note))
        members.append(Member(name=f"home/{audit.NOTE}", size=len(note), sha256=sha256))
    return Manifest(
        program=__version__,
        schema=schema,
        created=created,
        database="postgresql" if database.where.startswith("postgresql:") else "sqlite",
        keys=keys,
        link=str(newest) if newest is not None else None,
        members=tuple(members),
        troubles=tuple(troubles),
    )


def _moment(context: Context, stack: ExitStack, moment: ExitStack, held: Held) -> tuple[bytes | None, Database, Indexed]:
    """The audit log's note, the database as of one moment, and what it said of the files; those that grow are held then."""
    for _ in range(_TRIES):
        hold(context.home, stack, held)
        note = context.disk.find(context.home / audit.NOTE)  # before the database too: what it notes is then in there
        database = moment.enter_context(context.database.snapshot())
        known = indexed(database)
        hold(context.home, stack, held)
        if let_go_of_applied(held, known):
            return note, database, known
        moment.close()
    raise UserError(
        "a gateway's write-ahead log moved on faster than it could be opened",
        where=str(context.home / "gateway" / "ledger"),
        hint="run the same command again",
        status=503,
    )


def _tables(database: Database, writer: ArchiveWriter, folder: Path) -> Iterator[Member]:
    for table in database.tables():
        if table in UNKEPT:
            continue
        # Beside the backup, where there is room for it: the size must be known before a member begins.
        with explained("write", folder), tempfile.TemporaryFile(dir=folder, prefix=".backup-") as packed:
            count = _Counted(lines(database, table))
            unpacked = pack_lines(count, packed)
            size = packed.tell()
            packed.seek(0)
            name = f"tables/{table}.jsonl.gz"
            sha256 = writer.add(name, packed, size)
        yield Member(name=name, size=size, sha256=sha256, rows=count.lines - 1, unpacked=unpacked)


def _files(writer: ArchiveWriter, found: Iterable[Opened], troubles: list[str]) -> Iterator[Member]:
    for one in found:
        with explained("read", Path(one.name)):
            sha256 = writer.add(f"home/{one.name}", one.source, one.size)
        if one.sha256 not in (None, sha256):
            troubles.append(f"{one.name}: changed after it was sealed; the backup holds it as it is")
        yield Member(name=f"home/{one.name}", size=one.size, sha256=sha256, private=one.private)


def _put(context: Context, draft: Path, target: Path, replacing: bool) -> None:
    if replacing:
        context.disk.replace(draft, target)
        return
    # A link, unlike a rename, does not take the place of a file that came first.
    try:
        os.link(draft, target)
    except FileExistsError:
        raise UserError("somebody put a file there meanwhile", where=str(target), hint="name another one") from None
    except OSError:
        # A file system without links, such as FAT.
        context.disk.replace(draft, target)
        return
    context.disk.remove(draft)
    context.disk.sync_folder(target.parent)


class _Counted:
    """Lines as they pass, and how many they were."""

    __slots__ = ("_source", "lines")

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        for some in self._source:
            self.lines += some.count(b"\n")
            yield some
