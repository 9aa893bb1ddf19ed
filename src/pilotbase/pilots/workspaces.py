"""Pilots that members keep on the base: a row each, with immutable versions, whose files lie in the home under their digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row
from pilotbase.store.disk import Disk
from pilotbase.store.sent_files import keep

__all__ = [
    "Keeper",
    "Version",
    "Workspace",
    "add_version",
    "create",
    "folder_of",
    "get",
    "get_version",
    "read_files",
    "versions",
    "workspaces_page",
]

_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A pilot on the base. `name` is what its spec said when it came; `version` is the newest."""

    id: str
    name: str
    organisation: str
    who: str
    version: int
    created: datetime
    changed: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable state of its files; `home` names the home in which they lie."""

    workspace: str
    version: int
    digest: str
    who: str
    at: datetime
    files: int
    bytes: int
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Who keeps a version, when, and where: `home` is the folder, `of` its name in the database."""

    disk: Disk
    home: Path
    of: str
    who: str
    now: datetime


def folder_of(home: Path, digest: str) -> Path:
    """Where the files of a digest lie."""
    return home / "workspaces" / digest.removeprefix("sha256:")


def create(database: Database, by: Keeper, files: Mapping[str, bytes], *, name: str, organisation: str) -> Workspace:
    """A new workspace with its first version. UserError where the files cannot be kept."""
    name, key = _named(name), f"pilot_{token_hex(6)}"
    made = Workspace(id=key, name=name, organisation=organisation, who=by.who, version=1, created=by.now, changed=by.now)
    digest = keep(files, by.home / "workspaces", by.disk)
    with database.transaction():
        database.execute(
            "INSERT INTO workspaces (id, name, organisation, who, version, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (made.id, made.name, organisation, by.who, 1, stamp(by.now), stamp(by.now)),
        )
        _add(database, by, made.id, 1, digest, files)
    return made


def add_version(database: Database, by: Keeper, workspace: str, files: Mapping[str, bytes], *, base: int, name: str) -> Workspace:
    """The next version, made from the version `base`. Nothing changes where the files are the same.

    UserError (409) where somebody else changed it meanwhile, 404 where there is no such workspace.
    """
    digest = keep(files, by.home / "workspaces", by.disk)
    with database.transaction():
        found = get(database, workspace)
        if found.version != base:
            hint = "look at it as it is now, and make the change again"
            raise UserError("somebody else changed this pilot meanwhile", hint=hint, status=409)
        if get_version(database, workspace, base).digest == digest:
            return found
        database.execute(
            "UPDATE workspaces SET version = ?, name = ?, changed = ? WHERE id = ?",
            (base + 1, _named(name), stamp(by.now), workspace),
        )
        _add(database, by, workspace, base + 1, digest, files)
        return get(database, workspace)


def get(database: Database, workspace: str) -> Workspace:
    """A workspace; UserError (404) where there is none."""
    row = database.row("SELECT * FROM workspaces WHERE id = ?", (workspace,))
    if row is None:
        raise UserError(f"there is no pilot `{workspace[:80]}` on this base", hint="look at the list of pilots", status=404)
    return _read(row)


def get_version(database: Database, workspace: str, version: int) -> Version:
    """One version; UserError (404) where there is none."""
    row = database.row("SELECT * FROM workspace_versions WHERE workspace = ? AND version = ?", (workspace, version))
    if row is None:
        raise UserError(f"this pilot has no version {version}", hint="look at the list of its versions", status=404)
    return _read_version(row)


def versions(database: Database, workspace: str) -> list[Version]:
    """The newest 100 versions, the newest first."""
    rows = database.rows(
        "SELECT * FROM workspace_versions WHERE workspace = ? ORDER BY version DESC LIMIT ?", (workspace, _SHOWN)
    )
    return [_read_version(row) for row in rows]


def workspaces_page(database: Database, *, before: str = "", limit: int = 50) -> tuple[list[Workspace], str | None]:
    """Workspaces, the newest first, older than `before`; and the cursor of those that are older still."""
    where, values = "", ()
    if before:
        last = get(database, before)
        where, values = "WHERE created < ? OR (created = ? AND id < ?) ", (stamp(last.created), stamp(last.created), last.id)  # type: ignore[assignment]
    rows = database.rows(f"SELECT * FROM workspaces {where}ORDER BY created DESC, id DESC LIMIT ?", (*values, limit + 1))
    found = [_read(row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else None


def read_files(home: Path, digest: str) -> dict[str, bytes]:
    """The files of a version by name. UserError where they are not in this home."""
    folder = folder_of(home, digest)
    if not folder.is_dir():
        raise UserError(
            "the files of this pilot are not in this home",
            hint="they lie in the home of the gateway to which they were sent",
            status=409,
        )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _add(database: Database, by: Keeper, workspace: str, version: int, digest: str, files: Mapping[str, bytes]) -> None:
    size = sum(map(len, files.values()))
    database.execute(
        "INSERT INTO workspace_versions (workspace, version, digest, who, at, files, bytes, home)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (workspace, version, digest, by.who, stamp(by.now), len(files), size, by.of),
    )
    detail = {"version": version, "digest": digest, "files": len(files), "bytes": size}
    write(database, who=by.who, action="pilot.keep", subject=workspace, detail=detail, at=by.now)


def _named(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable()).strip()[:120] or "pilot"


def _read(row: Row) -> Workspace:
    return Workspace(
        id=row["id"], name=row["name"], organisation=row["organisation"], who=row["who"], version=int(row["version"]),
        created=datetime.fromisoformat(row["created"]), changed=datetime.fromisoformat(row["changed"]),
    )  # fmt: skip


def _read_version(row: Row) -> Version:
    return Version(
        workspace=row["workspace"], version=int(row["version"]), digest=row["digest"], who=row["who"],
        at=datetime.fromisoformat(row["at"]), files=int(row["files"]), bytes=int(row["bytes"]), home=row["home"],
    )  # fmt: skip
