"""The SQLite database of a home: write-ahead log, full durability, numbered migrations; several processes use it at once."""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pilotbase.errors import UserError
from pilotbase.store.disk import Disk, LocalDisk

_TIMEOUT = 30.0
_RESTORE = "restore the file from a backup, or move it away to begin an empty home"

Values = Sequence[Any] | Mapping[str, Any]


class ConflictError(UserError):
    """A row with this key is already there, or a row that it refers to is not."""


class Database:
    """One connection to the database file at `path`, created and brought to the newest schema when opened.

    Calls from several threads take turns. Every wait for another process ends after `timeout` seconds with a UserError.
    A mistake in SQL is a bug and stays a sqlite3 error; everything that can happen to a user becomes a UserError.
    """

    __slots__ = ("_connection", "_depth", "_turn", "path")

    def __init__(self, path: Path, disk: Disk | None = None, *, timeout: float = _TIMEOUT) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._depth = 0
        (disk or LocalDisk()).make_folder(path.parent)
        with self._explained():
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(timeout)
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """All of the block happens, or nothing does. The write lock is taken at once; an inner block joins the outer one."""
        with self._turn:
            if self._depth:
                yield self
                return
            with self._explained():
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield self
                with self._explained():
                    self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._depth = 0

    def execute(self, sql: str, values: Values = ()) -> int:
        """Run one statement; returns the number of rows it changed. Outside a transaction it is one by itself."""
        with self._turn, self._explained():
            return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, values: Iterable[Values]) -> int:
        """Run one statement for each set of values, in one transaction; returns the number of rows changed."""
        with self.transaction(), self._explained():
            return self._connection.executemany(sql, values).rowcount

    def rows(self, sql: str, values: Values = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._turn, self._explained():
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Values = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self._turn, self._explained():
            found = self._connection.execute(sql, values).fetchone()
            return found if isinstance(found, sqlite3.Row) else None

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._turn, self._explained():
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, timeout: float) -> None:
        self._connection.row_factory = sqlite3.Row
        deadline = time.monotonic() + timeout
        with self._explained():
            while not self._in_wal_mode() and time.monotonic() < deadline:
                time.sleep(0.005)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")

    def _in_wal_mode(self) -> bool:
        # Processes that open a new file at once all switch its mode, and SQLite answers "busy" to that without waiting.
        try:
            return bool(self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False

    def _migrate(self) -> None:
        steps = migrations()
        if self._version() == len(steps):
            return
        with self.transaction():
            # Asked again under the write lock: another process may have been first.
            version = self._version()
            if version > len(steps):
                raise UserError(
                    f"written by a newer version: its schema is {version}, this one knows {len(steps)}",
                    where=str(self.path),
                    hint="upgrade pilotbase, or choose another home folder",
                )
            for script in steps[version:]:
                for statement in _statements(script):
                    self.execute(statement)
            self.execute(f"PRAGMA user_version = {len(steps)}")

    def _version(self) -> int:
        found = self.row("PRAGMA user_version")
        return int(found[0]) if found else 0

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; then there is nothing left to undo.
        if self._connection.in_transaction:
            with self._explained():
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            known = _explain(self.path, error)
            if known is None:
                raise
            raise known from error


def migrations() -> list[str]:
    """The texts of the migrations in order: files `0001_*.sql`, `0002_*.sql` and so on, without a gap."""
    folder = resources.files("pilotbase.store").joinpath("migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [entry.read_text(encoding="utf-8") for entry in files]


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _explain(path: Path, error: sqlite3.Error) -> UserError | None:
    """What a user can do about a SQLite error, or None if it is a bug."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    where = str(path)
    if primary == sqlite3.SQLITE_FULL:
        return UserError(
            "could not write: no space is left on the disk",
            where=where,
            hint="free space, then run the same command again; what was recorded is kept",
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UserError(
            "locked by another process that did not finish in time",
            where=where,
            hint="wait until that process has finished, or stop it, then run the same command again",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return UserError(
            f"could not open the database for writing ({error})",
            where=where,
            hint="give this user write access to the folder, or choose another home folder",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return UserError(f"damaged, or not a database ({error})", where=where, hint=_RESTORE)
    if primary == sqlite3.SQLITE_IOERR:
        return UserError(
            f"the disk failed under the database ({error})",
            where=where,
            hint="check free space, limits and the disk, then run the same command again; what was recorded is kept",
        )
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ConflictError(f"the database refused the change ({error})", where=where, hint="it was recorded before")
    return None
