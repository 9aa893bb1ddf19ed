"""The audit log: who changed what, kept as a chain in which each entry's digest covers the one before it.

A digest is SHA-256 over the canonical JSON of [digest before, seq, id, at, who, action, subject, detail], with the texts as they
are stored. Link 0 is made when the first entry is written; it covers what was logged before there was a chain. A changed,
removed, inserted or reordered entry breaks the chain. Who can write the database can also make it anew from some entry on:
that is found where the newest link was noted elsewhere, see `verify_home`.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Self

import orjson

from pilotbase.errors import UserError
from pilotbase.store.database import Database, Row
from pilotbase.store.disk import Disk

__all__ = ["NOTE", "Entry", "Link", "Report", "entries", "kept_note", "newest", "stamp", "verify", "verify_home", "write"]

NOTE: Final = "audit-newest"
"""The file in a home that holds the newest link that was verified there."""

_COLUMNS: Final = "id, at, who, action, subject, detail"
_PAGE: Final = 1000
_BEFORE: Final = "before:"  # the entry of link 0: how many entries are older than the chain
_FIRST: Final = "pilotbase audit 1"
_LINK: Final = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change. `at` is ISO 8601 in UTC, `detail` never holds a key, a password, or the hash of one.

    `who` is `user:NAME` of the operating system, `member:LOGIN`, `key:ID` of an admin key, `address:ADDRESS`, or a part of us.
    """

    id: str
    at: str
    who: str
    action: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain, and the digest that covers everything up to it. As text `SEQ:DIGEST`."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. UserError for any other one."""
        seq, _, digest = text.strip().partition(":")
        if not (
            seq.isascii() and seq.isdigit() and len(seq) < 19 and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        ):
            hint = "copy it whole, as `audit verify` printed it: NUMBER:64 hexadecimal digits"
            raise UserError(f"`{text.strip()[:40]}` is no link of the audit log", hint=hint)
        return cls(int(seq), digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What verification found. `broken` is the first wrong link, or None; `why` says what is wrong with it.

    Link 0 stands for what is older than the chain, which are `before` entries. `newest` is the last link that was read, None
    where there is no chain.
    """

    entries: int
    before: int = 0
    broken: int | None = None
    why: str = ""
    newest: Link | None = None


def stamp(moment: datetime) -> str:
    """A moment as these tables keep it: ISO 8601 in UTC to the microsecond, so that texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def write(
    database: Database, *, who: str, action: str, subject: str, detail: Mapping[str, Any], at: datetime, once: str | None = None
) -> str:
    """Put one entry on record, in the caller's transaction; its id. `once`: an id of the caller's, written one time only."""
    moment = stamp(at)
    name = once or f"{moment[:26]}-{token_hex(6)}"
    values = (name, moment, who, action, subject, orjson.dumps(dict(detail), option=orjson.OPT_SORT_KEYS).decode())
    with database.transaction():
        # The transaction is the only writer, so nobody else takes the next place meanwhile.
        if once is not None and database.row("SELECT id FROM audit WHERE id = ?", (once,)) is not None:
            return once
        last = newest(database) or _begin(database)
        database.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values)
        database.execute(
            "INSERT INTO audit_chain (seq, entry, digest) VALUES (?, ?, ?)",
            (last.seq + 1, name, _digest(last.digest, last.seq + 1, values)),
        )
    return name


def entries(
    database: Database, *, limit: int = 100, before: str | None = None, who: str = "", action: str = "", subject: str = ""
) -> list[Entry]:
    """The newest entries first, at most `limit`; with `before`, those older than the entry of that id (status 404 for none).

    `who`, `action` and `subject` are what these must begin with.
    """
    wheres: list[str] = []
    values: list[Any] = []
    for column, start in (("who", who), ("action", action), ("subject", subject)):
        if start:
            wheres.append(f"substr({column}, 1, {len(start)}) = ?")
            values.append(start)
    if before is not None:
        row = database.row("SELECT at FROM audit WHERE id = ?", (before,))
        if row is None:
            raise UserError(f"there is no audit entry `{before[:80]}`", hint="take the id of the last one listed", status=404)
        wheres.append("(at, id) < (?, ?)")
        values += [row["at"], before]
    where = f"WHERE {' AND '.join(wheres)} " if wheres else ""
    rows = database.rows(f"SELECT {_COLUMNS} FROM audit {where}ORDER BY at DESC, id DESC LIMIT ?", (*values, limit))
    return [
        Entry(id=r["id"], at=r["at"], who=r["who"], action=r["action"], subject=r["subject"], detail=orjson.loads(r["detail"]))
        for r in rows
    ]


def newest(database: Database) -> Link | None:
    """The last link of the chain; None where nothing was written since there are chains."""
    row = database.row("SELECT seq, digest FROM audit_chain ORDER BY seq DESC LIMIT 1")
    return Link(row["seq"], row["digest"]) if row is not None else None


def verify(database: Database, noted: Sequence[Link] = ()) -> Report:
    """Read the whole chain, and compare it with the entries. `noted` are links that were written down before."""
    last: Link | None = None
    start: Row | None = None
    wanted = set(noted)
    for row in _links(database):
        seq = last.seq + 1 if last else 0
        why = _wrong(row, seq, last)
        wanted.discard(Link(seq, row["digest"]))
        if not why and any(link.seq == seq for link in wanted):
            why = f"link {seq} is another than the one that was noted: the log was written anew"
        if why:
            return Report(entries=max(seq - 1, 0), broken=seq, why=why, newest=last)
        start = start or row
        last = Link(seq, row["digest"])
    if wanted:
        seq = last.seq + 1 if last else 0
        why = f"link {min(link.seq for link in wanted)} was noted and is not there: the log was cut after link {seq - 1}"
        return Report(entries=max(seq - 1, 0), broken=seq, why=why, newest=last)
    count, digest = _outside(database)
    if start is None or last is None:
        return Report(entries=count, before=count)
    if start["link"] != f"{_BEFORE}{count}" or start["digest"] != digest:
        were = str(start["link"]).removeprefix(_BEFORE)
        why = f"{count} entries stand outside the chain; {were} stood before it began: some were changed, removed or put in"
        return Report(entries=last.seq + count, before=count, broken=0, why=why, newest=last)
    return Report(entries=last.seq + count, before=count, newest=last)


def verify_home(database: Database, disk: Disk, home: Path, noted: Sequence[Link] = ()) -> Report:
    """The same, against the link too that this home noted last, in its file `audit-newest`; where all is well that moves on.

    So what was once verified here can be neither cut off nor written anew by who reaches the database alone.
    """
    report = verify(database, [*noted, *kept_note(disk, home)])
    if report.broken is None and report.newest is not None:
        disk.write_whole(home / NOTE, f"{report.newest}\n".encode(), 0o600)
    return report


def kept_note(disk: Disk, home: Path) -> list[Link]:
    """The link that this home noted last; none where it noted none. UserError where the note is damaged."""
    kept = disk.find(home / NOTE)
    if kept is None:
        return []
    try:
        return [Link.parse(kept.decode("ascii", "replace"))]
    except UserError as error:
        hint = "restore it from a backup; without one, find out who changed it before you remove it"
        raise UserError("the note of the newest link is damaged", where=str(home / NOTE), hint=hint, code=1) from error


def _digest(before: str, seq: int, values: Sequence[str]) -> str:
    return hashlib.sha256(orjson.dumps([before, seq, *values])).hexdigest()


def _begin(database: Database) -> Link:
    """Link 0, over what is older than the chain."""
    count, digest = _outside(database)
    database.execute("INSERT INTO audit_chain (seq, entry, digest) VALUES (0, ?, ?)", (f"{_BEFORE}{count}", digest))
    return Link(0, digest)


def _outside(database: Database) -> tuple[int, str]:
    """How many entries no link names, and a digest of them in the order of their ids."""
    count, digest, after = 0, hashlib.sha256(_FIRST.encode()).hexdigest(), ""
    while rows := database.rows(
        f"SELECT {_COLUMNS} FROM audit WHERE id > ? AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE entry = audit.id) "
        "ORDER BY id LIMIT ?",
        (after, _PAGE),
    ):
        for row in rows:
            digest = _digest(digest, 0, list(row))
        count, after = count + len(rows), rows[-1]["id"]
    return count, digest


def _links(database: Database) -> Iterator[Row]:
    """All links in order, each with its entry where that is there."""
    after = -1
    while rows := database.rows(
        "SELECT c.seq, c.entry AS link, c.digest, a.id, a.at, a.who, a.action, a.subject, a.detail "
        "FROM audit_chain c LEFT JOIN audit a ON a.id = c.entry WHERE c.seq > ? ORDER BY c.seq LIMIT ?",
        (after, _PAGE),
    ):
        yield from rows
        after = rows[-1]["seq"]


def _wrong(row: Row, seq: int, last: Link | None) -> str:
    """What is wrong with a link that is read as number `seq`; empty where nothing is."""
    if row["seq"] != seq:
        return f"link {seq} is missing"
    if last is None:
        return "" if str(row["link"]).startswith(_BEFORE) else "link 0, with which the chain begins, is another"
    if row["id"] is None:
        return f"the entry of link {seq}, `{row['link']}`, was removed"
    if row["digest"] != _digest(last.digest, seq, [row[name] for name in _COLUMNS.split(", ")]):
        return f"the entry of link {seq}, `{row['link']}`, or its place was changed"
    return ""
