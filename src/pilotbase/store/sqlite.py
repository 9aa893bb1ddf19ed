"""SQLite: a file in the home, with write-ahead log and full durability; several processes use it at once."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pilotbase.errors import UserError
from pilotbase.store.disk import Disk
from pilotbase.store.driver import ConflictError, Row, Values, check_text

__all__ = ["Sqlite"]

_RESTORE = "restore the file from a backup, or move it away to begin an empty home"


class Sqlite:
    """One connection to the file at `path`, which is created. Every wait for another process ends after `timeout` seconds.

    With `read` the file must be there, and nothing is changed.
    """

    __slots__ = ("_connection", "where")

    def __init__(self, path: Path, disk: Disk, *, timeout: float, read: bool = False) -> None:
        self.where = str(path)
        if not read:
            disk.make_folder(path.parent)
        name = f"file:{quote(os.fsencode(path))}?mode={'ro' if read else 'rwc'}"
        with self._explained():
            self._connection = sqlite3.connect(name, timeout=timeout, isolation_level=None, check_same_thread=False, uri=True)
        try:
            self._connection.row_factory = sqlite3.Row
            if not read:
                self._prepare(timeout)
        except BaseException:
            self._connection.close()
            raise

    def begin(self) -> None:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with self._explained():
            self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; then there is nothing left to undo.
        if self._connection.in_transaction:
            with self._explained():
                self._connection.execute("ROLLBACK")

    def execute(self, sql: str, values: Values) -> int:
        with self._explained():
            return self._connection.execute(sql, self._checked(values)).rowcount

    def execute_many(self, sql: str, values: Iterable[Values]) -> int:
        with self._explained():
            return self._connection.executemany(sql, map(self._checked, values)).rowcount

    def rows(self, sql: str, values: Values) -> list[Row]:
        with self._explained():
            return self._connection.execute(sql, self._checked(values)).fetchall()

    def row(self, sql: str, values: Values) -> Row | None:
        with self._explained():
            found = self._connection.execute(sql, self._checked(values)).fetchone()
            return found if isinstance(found, sqlite3.Row) else None

    def begin_reading(self) -> None:
        with self._explained():
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # the first read fixes what is seen

    def tables(self) -> list[str]:
        found = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid", ())
        return [row["name"] for row in found if not row["name"].startswith("sqlite_")]

    def columns(self, table: str) -> list[str]:
        return [row["name"] for row in self.rows("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))]

    def pages(self, table: str, size: int) -> Iterator[list[Row]]:
        with self._explained():
            cursor = self._connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid')
            while found := cursor.fetchmany(size):
                yield found

    def faults(self, *, deep: bool) -> list[str]:
        found = self.rows(f"PRAGMA {'integrity_check' if deep else 'quick_check'}(20)", ())
        return [str(row[0]) for row in found if row[0] != "ok"]

    def version(self) -> int:
        found = self.row("PRAGMA user_version", ())
        return int(found[0]) if found else 0

    def migrate(self, scripts: Sequence[str], version: int) -> None:
        with self._explained():
            for script in scripts:
                for statement in _statements(script):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        with self._explained():
            self._connection.close()

    def _checked(self, values: Values) -> Values:
        check_text(values.values() if isinstance(values, Mapping) else values, self.where)
        return values

    def _prepare(self, timeout: float) -> None:
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

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            known = _explain(self.where, error)
            if known is None:
                raise
            raise known from error


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _explain(where: str, error: sqlite3.Error) -> UserError | None:
    """What a user can do about a SQLite error, or None if it is a bug."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return UserError(
            "could not write: no space is left on the disk",
            where=where,
            hint="free space, then run the same command again; what was recorded is kept",
            status=503,
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UserError(
            "locked by another process that did not finish in time",
            where=where,
            hint="wait until that process has finished, or stop it, then run the same command again",
            status=503,
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return UserError(
            f"could not open the database for writing ({error})",
            where=where,
            hint="give this user write access to the folder, or choose another home folder",
            status=503,
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return UserError(f"damaged, or not a database ({error})", where=where, hint=_RESTORE, status=503)
    if primary == sqlite3.SQLITE_IOERR:
        return UserError(
            f"the disk failed under the database ({error})",
            where=where,
            hint="check free space, limits and the disk, then run the same command again; what was recorded is kept",
            status=503,
        )
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ConflictError(f"the database refused the change ({error})", where=where, hint="it was recorded before", status=409)
    return None
