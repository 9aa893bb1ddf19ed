"""Traffic that a person has stopped: one route, one key, or all. Stopping twice and resuming twice change nothing more."""

from datetime import datetime

from pilotbase.domain.access import Stop, StopKind
from pilotbase.gateway import audit
from pilotbase.store.database import Database

__all__ = ["list_stops", "resume", "stop"]


def stop(database: Database, kind: StopKind, name: str, *, why: str, who: str, now: datetime) -> bool:
    """Stop a route or a key by its name or id, or all (`name` is then ""). Whether it was not stopped before."""
    with database.transaction():
        if database.row("SELECT 1 FROM stops WHERE kind = ? AND name = ?", (kind, name)) is not None:
            return False
        with audit.changing(database, who=who, action="stop", subject=_subject(kind, name), detail={"why": why}, now=now):
            database.execute(
                "INSERT INTO stops (kind, name, why, who, since) VALUES (?, ?, ?, ?, ?)",
                (kind, name, why, who, audit.stamp(now)),
            )
        return True


def resume(database: Database, kind: StopKind, name: str, *, why: str, who: str, now: datetime) -> bool:
    """Take a stop back. Whether there was one."""
    with database.transaction():
        if database.row("SELECT 1 FROM stops WHERE kind = ? AND name = ?", (kind, name)) is None:
            return False
        with audit.changing(database, who=who, action="resume", subject=_subject(kind, name), detail={"why": why}, now=now):
            database.execute("DELETE FROM stops WHERE kind = ? AND name = ?", (kind, name))
        return True


def list_stops(database: Database) -> list[Stop]:
    """What is stopped now, oldest first."""
    rows = database.rows("SELECT kind, name, why, who, since FROM stops ORDER BY since, kind, name")
    return [
        Stop(kind=row["kind"], name=row["name"], why=row["why"], who=row["who"], since=datetime.fromisoformat(row["since"]))
        for row in rows
    ]


def _subject(kind: StopKind, name: str) -> str:
    return "all" if kind == "all" else f"{kind} {name}"
