"""An examination of a base that changes nothing: each check is a function that tells what it found and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilotbase.domain.health import Finding
from pilotbase.errors import UserError
from pilotbase.flows import doctor_files, doctor_machine, doctor_records
from pilotbase.ports import Clock
from pilotbase.store.database import Database, migrations
from pilotbase.store.disk import Disk

__all__ = ["Patient", "doctor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined. `address`: of a PostgreSQL database; None for the file in the home. `pepper`: whether one is given from
    outside. `deep` reads every segment of evidence, and compares the database's indices with its rows."""

    home: Path
    disk: Disk
    clock: Clock
    address: str | None = None
    pepper: bool = False
    deep: bool = False


def doctor(patient: Patient) -> Iterator[Finding]:
    """What each check found, as it finds it. Nothing is created, changed or brought up to this version."""
    now = patient.clock.now()
    yield from doctor_machine.programs(postgres=patient.address is not None)
    yield from doctor_machine.confinement()
    if not patient.home.is_dir():
        yield Finding(
            check="home",
            state="bad",
            told=f"there is no home at {patient.home}",
            todo="set PILOTBASE_HOME to the folder of the base, or begin one: pilotbase init",
        )
        return
    yield from doctor_files.permissions(patient.home)
    yield from doctor_files.room(patient.home)
    yield from doctor_files.private_files(patient.home)
    place = patient.address or patient.home / "pilotbase.db"
    if isinstance(place, Path) and not place.is_file():
        todo = "none is needed before the first command that keeps something; else restore it: pilotbase admin restore"
        yield Finding(check="database", state="look", told=f"there is none yet: {place}", todo=todo)
        return
    try:
        database = Database(place, patient.disk, read=True)
    except UserError as error:
        yield _broken("database", error)
        return
    with database:
        yield from _database(patient, database, now)


def _database(patient: Patient, database: Database, now: datetime) -> Iterator[Finding]:
    first = [
        *_told("database", lambda: doctor_records.integrity(database, deep=patient.deep)),
        *_told("schema", lambda: doctor_records.schema(database)),
    ]
    yield from first
    if any(one.state == "bad" for one in first) or database.schema != len(migrations()):
        return
    disk, home = patient.disk, patient.home
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("audit log", lambda: doctor_records.audit_log(database, disk, home)),
        ("ledger", lambda: doctor_records.ledger(database, disk, home)),
        ("evidence", lambda: doctor_files.evidence(database, disk, home, deep=patient.deep)),
        ("pepper", lambda: doctor_records.pepper(database, home, given=patient.pepper)),
        ("clock", lambda: doctor_records.clock(database, now)),
        ("runs", lambda: doctor_files.left_behind(database, disk, home)),
        ("backups", lambda: doctor_records.backups(database, now)),
    )
    for name, check in checks:
        yield from _told(name, check)


def _told(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check that cannot be finished is a finding too, and the next one follows."""
    try:
        yield from check()
    except UserError as error:
        yield _broken(name, error)


def _broken(name: str, error: UserError) -> Finding:
    told = f"{error.where}: {error.message}" if error.where else error.message
    return Finding(check=name, state="bad", told=told, todo=error.hint or "restore it from a backup")
