"""Releases in the database: their state, what happened to them, and what their leader saw last.

A change names the version that it found; where another came first it changes nothing, and says so. Everything here may stand in
a caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

import orjson

from pilotbase.domain.release import TERMINAL, State
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database

__all__ = [
    "Event",
    "Release",
    "create",
    "events",
    "find",
    "list_releases",
    "note",
    "read_reference",
    "read_sight",
    "rewrite",
    "under_way",
    "write_reference",
    "write_sight",
]

_COLUMNS = "id, route, state, rung, version, started, changed, document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of a route. `document` holds what it rests on and how far it is; `rung` counts from 0."""

    id: str
    route: str
    state: State
    rung: int
    version: int
    started: datetime
    changed: datetime
    document: Mapping[str, Any]

    @property
    def over(self) -> bool:
        """Whether nothing moves it any more."""
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a release, and by whom."""

    at: str
    who: str
    action: str
    detail: Mapping[str, Any]


def create(database: Database, release: Release, *, who: str) -> None:
    """Put a release on record. UserError (status 409) where its route has one under way."""
    with database.transaction():
        other = under_way(database, release.route)
        if other is not None:
            raise UserError(
                f"the route `{release.route}` is under release already: {other.id}, {other.state}",
                hint=f"end that one first: pilotbase release rollback {release.route} --why ...",
                status=409,
            )
        database.execute(
            f"INSERT INTO releases ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                release.id,
                release.route,
                release.state,
                release.rung,
                release.version,
                stamp(release.started),
                stamp(release.changed),
                orjson.dumps(dict(release.document)).decode(),
            ),
        )
        note(database, release.id, who=who, action="start", detail={}, now=release.started)


def rewrite(
    database: Database, found: Release, *, state: State, rung: int, document: Mapping[str, Any], now: datetime
) -> Release | None:
    """Bring a release to a new state. None, and nothing changed, where it is no longer as it was found."""
    changed = database.execute(
        "UPDATE releases SET state = ?, rung = ?, version = ?, changed = ?, document = ? WHERE id = ? AND version = ?",
        (state, rung, found.version + 1, stamp(now), orjson.dumps(dict(document)).decode(), found.id, found.version),
    )
    return find(database, found.id) if changed else None


def find(database: Database, name: str) -> Release | None:
    """A release by its id."""
    row = database.row(f"SELECT {_COLUMNS} FROM releases WHERE id = ?", (name,))
    return _read(row) if row is not None else None


def under_way(database: Database, route: str) -> Release | None:
    """The release of a route that is not over."""
    row = database.row(f"SELECT {_COLUMNS} FROM releases WHERE route = ? AND state NOT IN ('rolled-back', 'ended')", (route,))
    return _read(row) if row is not None else None


def list_releases(
    database: Database, *, route: str | None = None, open_only: bool = False, before: str = "", limit: int = 100
) -> list[Release]:
    """Releases, newest first; with `before`, those behind the release of that id. UserError (404) where there is none."""
    where, values = ["1 = 1"], []
    if before:
        last = find(database, before)
        if last is None:
            raise UserError(f"there is no release `{before[:80]}` to go on from", hint="begin with the newest ones", status=404)
        where.append("(started < ? OR (started = ? AND id > ?))")
        values += [stamp(last.started), stamp(last.started), before]
    if route is not None:
        where.append("route = ?")
        values.append(route)
    if open_only:
        where.append("state NOT IN ('rolled-back', 'ended')")
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM releases WHERE {' AND '.join(where)} ORDER BY started DESC, id LIMIT ?", (*values, limit)
    )
    return [_read(row) for row in rows]


def note(database: Database, release: str, *, who: str, action: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Write down what happened."""
    at = stamp(now)
    database.execute(
        "INSERT INTO release_events (id, release_id, at, who, action, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (f"{at}-{token_hex(6)}", release, at, who, action, orjson.dumps(dict(detail)).decode()),
    )


def events(database: Database, release: str, *, action: str | None = None) -> Sequence[Event]:
    """What happened to a release, oldest first; of one kind only where `action` names it."""
    where, values = ("", ()) if action is None else (" AND action = ?", (action,))
    rows = database.rows(
        f"SELECT at, who, action, detail FROM release_events WHERE release_id = ?{where} ORDER BY at, id", (release, *values)
    )
    return [Event(at=r["at"], who=r["who"], action=r["action"], detail=orjson.loads(r["detail"])) for r in rows]


def write_sight(database: Database, release: str, document: Mapping[str, Any], now: datetime) -> None:
    """Keep what the leader sees now, in place of what it saw before."""
    database.execute(
        "INSERT INTO release_sights (release_id, at, document) VALUES (?, ?, ?)"
        " ON CONFLICT (release_id) DO UPDATE SET at = excluded.at, document = excluded.document",
        (release, stamp(now), orjson.dumps(dict(document)).decode()),
    )


def read_sight(database: Database, release: str) -> tuple[datetime, Mapping[str, Any]] | None:
    """What the leader saw last, and when."""
    row = database.row("SELECT at, document FROM release_sights WHERE release_id = ?", (release,))
    return None if row is None else (datetime.fromisoformat(row["at"]), orjson.loads(row["document"]))


def write_reference(database: Database, release: str, document: Mapping[str, Any]) -> None:
    """Keep what inputs and outputs looked like in the pilot."""
    database.execute(
        "INSERT INTO release_references (release_id, document) VALUES (?, ?)"
        " ON CONFLICT (release_id) DO UPDATE SET document = excluded.document",
        (release, orjson.dumps(dict(document)).decode()),
    )


def read_reference(database: Database, release: str) -> Mapping[str, Any] | None:
    """What was kept by `write_reference`."""
    row = database.row("SELECT document FROM release_references WHERE release_id = ?", (release,))
    return None if row is None else orjson.loads(row["document"])


def _read(row: Any) -> Release:
    return Release(
        id=row["id"],
        route=row["route"],
        state=row["state"],
        rung=row["rung"],
        version=row["version"],
        started=datetime.fromisoformat(row["started"]),
        changed=datetime.fromisoformat(row["changed"]),
        document=orjson.loads(row["document"]),
    )
