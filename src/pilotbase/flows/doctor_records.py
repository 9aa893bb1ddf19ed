"""What the database says: its integrity and schema, the audit log, the ledger, keys without their pepper, the clock, backups."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pilotbase.domain.health import Finding
from pilotbase.flows.backup import ACTION
from pilotbase.gateway.reconcile import reconcile
from pilotbase.store import audit
from pilotbase.store.database import Database, migrations
from pilotbase.store.disk import Disk

__all__ = ["audit_log", "backups", "clock", "integrity", "ledger", "pepper", "schema"]

_RESTORE: Final = "restore the base from a backup into an empty home: pilotbase admin restore FILE --into HOME"
_OLD: Final = timedelta(days=7)
_AHEAD: Final = timedelta(minutes=5)
_SHOWN: Final = 3


def integrity(database: Database, *, deep: bool) -> Iterator[Finding]:
    """What the database finds wrong with itself."""
    faults = database.faults(deep=deep)
    if faults:
        yield Finding(check="database", state="bad", told=f"{database.where}: {'; '.join(faults[:_SHOWN])}", todo=_RESTORE)
    else:
        yield Finding(check="database", state="good", told=f"{database.where} can be read and is whole")


def schema(database: Database) -> Iterator[Finding]:
    """Whether it is of this version."""
    found, known = database.schema, len(migrations())
    told = f"schema {found}, this version has {known}"
    if found == known:
        yield Finding(check="schema", state="good", told=f"schema {found}, that of this version")
    elif found < known:
        todo = "make a backup with the old version; the next command of this one brings it up. The checks after this are left out"
        yield Finding(check="schema", state="look", told=told, todo=todo)
    else:
        yield Finding(check="schema", state="bad", told=told, todo="upgrade pilotbase. The checks after this are left out")


def audit_log(database: Database, disk: Disk, home: Path) -> Iterator[Finding]:
    """The chain, against the link that this home noted last; that note is not moved on."""
    report = audit.verify(database, audit.kept_note(disk, home))
    if report.broken is None:
        told = f"{report.entries:,} entries, whole" + (f", newest link {report.newest}" if report.newest else "")
        yield Finding(check="audit log", state="good", told=told)
    else:
        todo = "find out who changed the database, and compare with a backup: docs/accounts.md"
        yield Finding(check="audit log", state="bad", told=f"link {report.broken}: {report.why}", todo=todo)


def ledger(database: Database, disk: Disk, home: Path) -> Iterator[Finding]:
    """Every sum computed again."""
    report = reconcile(database, home / "gateway" / "ledger", disk)
    if not report.balanced:
        todo = "see all of it: pilotbase usage reconcile; keep the files in gateway/ledger"
        yield Finding(check="ledger", state="bad", told="; ".join(report.problems[:_SHOWN]), todo=todo)
    elif report.waiting:
        todo = "nothing while the gateway runs; else start it once: pilotbase serve applies them"
        yield Finding(check="ledger", state="look", told="; ".join(report.waiting[:_SHOWN]), todo=todo)
    else:
        yield Finding(check="ledger", state="good", told=f"{len(report.lines):,} accounts balance")


def pepper(database: Database, home: Path, *, given: bool) -> Iterator[Finding]:
    """Access keys that nobody can check, for the secret under which they were hashed is gone."""
    row = database.row("SELECT count(*) AS n FROM access_keys WHERE revoked IS NULL")
    count = int(row["n"]) if row is not None else 0
    if count and not given and not (home / "keys" / "pepper").is_file():
        todo = "restore keys/pepper, or set PILOTBASE_PEPPER as it was; else give every customer a new key: pilotbase key create"
        yield Finding(check="pepper", state="bad", told=f"{count} access keys cannot be checked: their pepper is gone", todo=todo)
    else:
        yield Finding(check="pepper", state="good", told=f"{count} access keys")


def clock(database: Database, now: datetime) -> Iterator[Finding]:
    """Whether something was recorded in what this clock calls the future."""
    row = database.row("SELECT at FROM audit ORDER BY at DESC LIMIT 1")
    newest = datetime.fromisoformat(row["at"]) if row is not None else None
    told = f"{now:%Y-%m-%d %H:%M:%S %Z}"
    if newest is not None and newest > now + _AHEAD:
        told += f", and the newest entry of the audit log is of {newest:%Y-%m-%d %H:%M:%S}"
        todo = "set the machine's clock, by NTP; keys expire and limits count by it"
        yield Finding(check="clock", state="bad", told=told, todo=todo)
    else:
        yield Finding(check="clock", state="good", told=told)


def backups(database: Database, now: datetime) -> Iterator[Finding]:
    """How old the newest is, by the audit log; whether its file is still there nobody knows."""
    found = audit.entries(database, action=ACTION, limit=1)
    todo = "pilotbase admin backup FILE, by a timer; keep the file on another machine, and try a restore"
    if not found:
        yield Finding(check="backups", state="look", told="none was made of this base", todo=todo)
        return
    age = now - datetime.fromisoformat(found[0].at)
    told = f"the newest is {found[0].subject}, {age.days} days and {age.seconds // 3600} hours old"
    yield (
        Finding(check="backups", state="look", told=told, todo=todo)
        if age > _OLD
        else Finding(check="backups", state="good", told=told)
    )
