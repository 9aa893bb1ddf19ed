"""Entries of the catalogue in the database. A change says which version it was made from; who comes second is refused."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from secrets import token_hex
from typing import Any, Final, TypeVar

import orjson

from pilotbase.domain.entry import Acceptance, Certificate, Entry, EntryState, Need
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = [
    "Event",
    "all_published",
    "change",
    "count_areas",
    "create",
    "events",
    "find",
    "kind_of",
    "list_entries",
    "note",
    "set_state",
    "versions",
]

E = TypeVar("E", bound=Entry)
_COLUMNS: Final = "id, kind, organisation, state, document, created, published, version"
_OWN: Final = ("id", "organisation", "state", "created", "published", "version")
_WAYS: Final[Mapping[EntryState, tuple[EntryState, ...]]] = {
    "draft": ("published",),
    "published": ("withdrawn",),
    "withdrawn": ("draft", "published"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an entry."""

    at: datetime
    kind: str
    detail: Mapping[str, Any]


def kind_of(entry: Entry | type[Entry]) -> str:
    """`need` or `capability`."""
    return (entry if isinstance(entry, type) else type(entry)).__name__.lower()


def create(database: Database, entry: E, *, who: str, now: datetime) -> E:
    """Keep a new entry as a draft; its id is given here. InvalidInput for what it may not say."""
    made = replace(entry, id=f"{kind_of(entry)}_{token_hex(8)}", state="draft", created=now, published=None, version=1)
    _check(made)
    with database.transaction():
        database.execute(
            f"INSERT INTO entries ({_COLUMNS}, area, title) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (made.id, kind_of(made), made.organisation, made.state, _packed(made), stamp(now), None, 1, _area(made), made.title),
        )
        _log(database, made, "create", {}, who, now)
    return made


def change(database: Database, entry: E, *, who: str, now: datetime) -> E:
    """Keep an entry as it is now, made from the version that it names. What is published stays so, and must stay fit for it.

    UserError (409) where somebody else changed it meanwhile, InvalidInput for what it may not say.
    """
    with database.transaction():
        found = _present(database, type(entry), entry.id, entry.version)
        after = replace(
            entry, organisation=found.organisation, state=found.state, created=found.created, published=found.published,
            version=found.version + 1,
        )  # fmt: skip
        _check(after)
        _put(database, after)
        changed = sorted(k for k, v in asdict(after).items() if k not in _OWN and v != asdict(found)[k])
        _log(database, after, "change", {"changed": changed}, who, now)
    return after


def set_state(database: Database, kind: type[E], entry: str, state: EntryState, *, version: int, who: str, now: datetime) -> E:
    """Publish, withdraw, or take up again. UserError (409) for a way that there is not, or where another change came first."""
    with database.transaction():
        found = _present(database, kind, entry, version)
        if state not in _WAYS[found.state]:
            hint = f"it can become {' or '.join(_WAYS[found.state])}"
            raise UserError(f"a {kind_of(kind)} that is {found.state} cannot become {state}", hint=hint, status=409)
        first = now if state == "published" and found.published is None else found.published
        after = replace(found, state=state, published=first, version=found.version + 1)
        _check(after)
        _put(database, after)
        _log(database, after, state, {"before": found.state}, who, now)
    return after


def find(database: Database, kind: type[E], entry: str) -> E | None:
    """An entry of that kind by id, in whatever state."""
    row = database.row(f"SELECT {_COLUMNS} FROM entries WHERE id = ? AND kind = ?", (entry, kind_of(kind)))
    return _read(kind, row) if row is not None else None


def list_entries(
    database: Database,
    kind: type[E],
    *,
    state: EntryState | None = None,
    organisation: str | None = None,
    area: str = "",
    reach: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[E]:
    """Entries, the newest first; those older than the entry `before`. UserError (404) where that is not known.

    `reach` narrows them to what members of that organisation may see: what is published, and its own.
    """
    wheres, values = ["kind = ?"], [kind_of(kind)]
    for column, wanted in (("state", state), ("organisation", organisation), ("area", area)):
        if wanted:
            wheres.append(f"{column} = ?")
            values.append(wanted)
    if reach is not None:
        wheres.append("(state = 'published' OR organisation = ?)")
        values.append(reach)
    if before is not None:
        row = database.row("SELECT created FROM entries WHERE id = ? AND kind = ?", (before, kind_of(kind)))
        if row is None:
            raise UserError(f"there is no {kind_of(kind)} `{before[:80]}`", hint="take the id of the last one listed", status=404)
        wheres.append("(created < ? OR (created = ? AND id < ?))")
        values += [row["created"], row["created"], before]
    sql = f"SELECT {_COLUMNS} FROM entries WHERE {' AND '.join(wheres)} ORDER BY created DESC, id DESC LIMIT ?"
    return [_read(kind, row) for row in database.rows(sql, (*values, limit))]


def versions(database: Database, kind: type[E], state: EntryState) -> dict[str, int]:
    """The version of each entry of a kind in a state, by id: what tells whether an index of them is still right."""
    rows = database.rows("SELECT id, version FROM entries WHERE kind = ? AND state = ?", (kind_of(kind), state))
    return {row["id"]: row["version"] for row in rows}


def count_areas(database: Database) -> Mapping[str, int]:
    """How many needs are published in each area that has any."""
    rows = database.rows("SELECT area, count(*) AS n FROM entries WHERE kind = 'need' AND state = 'published' GROUP BY area")
    return {row["area"]: int(row["n"]) for row in rows}


def all_published(database: Database, kind: type[E]) -> list[E]:
    """Every published entry of a kind: what an index is first made of."""
    sql = f"SELECT {_COLUMNS} FROM entries WHERE kind = ? AND state = ?"
    return [_read(kind, row) for row in database.rows(sql, (kind_of(kind), "published"))]


def note(database: Database, entry: str, kind: str, detail: Mapping[str, Any], *, now: datetime) -> None:
    """Record that something happened to an entry, in the caller's transaction where there is one."""
    with database.transaction():
        row = database.row("SELECT max(seq) AS last FROM entry_events WHERE entry = ?", (entry,))
        seq = (row["last"] or 0) + 1 if row is not None else 1
        values = (entry, seq, stamp(now), kind, orjson.dumps(detail).decode())
        database.execute("INSERT INTO entry_events (entry, seq, at, kind, detail) VALUES (?, ?, ?, ?, ?)", values)


def events(database: Database, entry: str) -> list[Event]:
    """All that happened to an entry, the oldest first."""
    rows = database.rows("SELECT at, kind, detail FROM entry_events WHERE entry = ? ORDER BY seq", (entry,))
    return [Event(at=datetime.fromisoformat(r["at"]), kind=r["kind"], detail=orjson.loads(r["detail"])) for r in rows]


def _check(entry: Entry) -> None:
    lines = [f"{'.'.join(str(part) for part in one.path)}: {one.message} ({one.hint})" for one in entry.problems()]
    if lines:
        raise InvalidInput(f"this {kind_of(entry)} cannot be kept", lines, hint="mend what is listed, and send it again")


def _present(database: Database, kind: type[E], entry: str, version: int) -> E:
    found = find(database, kind, entry)
    if found is None:
        raise UserError(f"there is no such {kind_of(kind)}", hint="look at the list", status=404)
    if found.version != version:
        hint = "look at it as it is now, and make the change again"
        raise UserError(f"somebody else changed this {kind_of(kind)} meanwhile", hint=hint, status=409)
    return found


def _put(database: Database, entry: Entry) -> None:
    database.execute(
        "UPDATE entries SET state = ?, area = ?, title = ?, document = ?, published = ?, version = ? WHERE id = ?",
        (
            entry.state,
            _area(entry),
            entry.title,
            _packed(entry),
            stamp(entry.published) if entry.published else None,
            entry.version,
            entry.id,
        ),
    )


def _log(database: Database, entry: Entry, word: str, detail: Mapping[str, Any], who: str, now: datetime) -> None:
    kind = kind_of(entry)
    write(database, who=who, action=f"{kind}.{word}", subject=entry.id, detail={"title": entry.title, **detail}, at=now)
    note(database, entry.id, word, detail, now=now)


def _area(entry: Entry) -> str:
    return entry.area if isinstance(entry, Need) else ""


def _packed(entry: Entry) -> str:
    return orjson.dumps({k: v for k, v in asdict(entry).items() if k not in _OWN}).decode()


def _read(kind: type[E], row: Row) -> E:
    told = orjson.loads(row["document"])
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    if "acceptance" in given:
        given["acceptance"] = tuple(Acceptance(**one) for one in told["acceptance"])
    if "certificates" in given:
        papers = ({**one, "until": date.fromisoformat(one["until"]) if one["until"] else None} for one in told["certificates"])
        given["certificates"] = tuple(Certificate(**one) for one in papers)
    return kind(
        **given,
        id=row["id"],
        organisation=row["organisation"],
        state=row["state"],
        created=datetime.fromisoformat(row["created"]),
        published=datetime.fromisoformat(row["published"]) if row["published"] else None,
        version=row["version"],
    )
