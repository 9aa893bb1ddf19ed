"""The database of a base: transactions by one writer at a time, numbered migrations; SQLite in the home, or PostgreSQL."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Self

from pilotbase.errors import UserError
from pilotbase.store.address import parse_address
from pilotbase.store.disk import Disk, LocalDisk
from pilotbase.store.driver import ConflictError, Driver, Row, Values
from pilotbase.store.postgres import Postgres
from pilotbase.store.sqlite import Sqlite

__all__ = ["ConflictError", "Database", "Row", "Values", "migrations", "newer"]

_TIMEOUT = 30.0
_PAGE = 1000


class Database:
    """One connection to the SQLite file at a path, or to the PostgreSQL database of an address (`postgresql://...`).

    What is not there yet is created, and brought to the newest schema, when it is opened. Calls from several threads take turns.
    Every wait for another process ends after `timeout` seconds with a UserError. A mistake in SQL is a bug and stays an error
    of the library; everything that can happen to a user becomes a UserError. `where` names the database in messages.

    SQL is what both understand: `?` or `:name` for values, `INSERT ... ON CONFLICT`, `RETURNING`. Whatever changes rows does so
    as the only writer, inside `transaction()` or alone; what is read outside sees only what was committed.

    `schema` stops at so many migrations, for what was kept at that time. With `read` the database must be there, is neither
    changed nor brought up, and may even be newer than this version: ask `schema` before the tables.
    """

    __slots__ = ("_driver", "_failed", "_inside", "_turn", "where")

    def __init__(
        self,
        place: Path | str,
        disk: Disk | None = None,
        *,
        timeout: float = _TIMEOUT,
        schema: int | None = None,
        read: bool = False,
    ) -> None:
        self._turn = threading.RLock()
        self._inside = False
        self._failed = False
        self._driver: Driver
        if isinstance(place, Path):
            self._driver = Sqlite(place, disk or LocalDisk(), timeout=timeout, read=read)
        else:
            self._driver = Postgres(parse_address(place), timeout=timeout, read=read)
        self.where = self._driver.where
        try:
            if not read:
                self.bring_up(schema)
        except BaseException:
            self._driver.close()
            raise

    @property
    def path(self) -> str:
        """The same as `where`."""
        return self.where

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """All of the block happens, or nothing does. The write lock is taken at once; an inner block joins the outer one.

        An error inside it, of a statement or of an inner block, ends it even where it is caught: whatever is asked of the
        database after that, and the end of the block, raise a RuntimeError. Keep blocks short, for every writer waits.
        """
        with self._turn:
            if self._inside:
                with self._doomed_by_errors():
                    yield self
                return
            self._driver.begin()
            self._inside = True
            try:
                yield self
                self._check()
                self._driver.commit()
            except BaseException:
                self._driver.roll_back()
                raise
            finally:
                self._inside = self._failed = False

    def execute(self, sql: str, values: Values = ()) -> int:
        """Run one statement; returns the number of rows it changed. Outside a transaction it is one by itself."""
        with self._turn, self._doomed_by_errors():
            return self._driver.execute(sql, values)

    def execute_many(self, sql: str, values: Iterable[Values]) -> int:
        """Run one statement for each set of values, in one transaction; returns the number of rows changed."""
        with self.transaction(), self._doomed_by_errors():
            return self._driver.execute_many(sql, values)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        with self._turn, self._doomed_by_errors():
            return self._driver.rows(sql, values)

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._turn, self._doomed_by_errors():
            return self._driver.row(sql, values)

    @property
    def schema(self) -> int:
        """How many migrations were applied to it; 0 for an empty one."""
        with self._turn:
            return self._driver.version()

    @contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Everything read in the block is of one moment, its beginning, while others go on writing. Write nothing in it."""
        with self._turn:
            if self._inside:
                raise RuntimeError("a snapshot inside a transaction")
            self._driver.begin_reading()
            self._inside = True
            try:
                yield self
            finally:
                self._inside = self._failed = False
                self._driver.roll_back()

    def tables(self) -> list[str]:
        """Our tables in the order in which they were made."""
        with self._turn, self._doomed_by_errors():
            return self._driver.tables()

    def columns(self, table: str) -> list[str]:
        """The columns of a table in their order."""
        with self._turn, self._doomed_by_errors():
            return self._driver.columns(table)

    def pages(self, table: str, size: int = _PAGE) -> Iterator[list[Row]]:
        """All rows of a table, at most `size` at a time, inside a snapshot or a transaction."""
        if not self._inside:
            raise RuntimeError("a table is read inside a snapshot")
        with self._turn, self._doomed_by_errors():
            yield from self._driver.pages(table, size)

    def faults(self, *, deep: bool = False) -> list[str]:
        """What the library finds wrong with the database's own files; none for PostgreSQL, which its administrator checks."""
        with self._turn, self._doomed_by_errors():
            return self._driver.faults(deep=deep)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._turn:
            self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _doomed_by_errors(self) -> Iterator[None]:
        # PostgreSQL gives a transaction up at its first error, and SQLite would go on: one rule for both, the stricter one.
        self._check()
        try:
            yield
        except BaseException:
            self._failed = self._inside
            raise

    def _check(self) -> None:
        if self._failed:
            raise RuntimeError("an error ended this transaction before; let it leave the block, and begin another one")

    def bring_up(self, schema: int | None = None) -> None:
        """Apply the migrations that are missing up to number `schema` (None: all), in one transaction, or in the caller's.

        UserError where the database is newer than this version.
        """
        steps = migrations()
        wanted = len(steps) if schema is None else schema
        if self._driver.version() == wanted:
            return
        with self.transaction():
            # Asked again under the write lock: another process may have been first.
            version = self._driver.version()
            if version > len(steps):
                raise newer(version, len(steps), self.where)
            if version < wanted:
                self._driver.migrate(steps[version:wanted], wanted)


def newer(found: int, known: int, where: str) -> UserError:
    """The error for a schema that this version does not know yet."""
    return UserError(
        f"written by a newer version: its schema is {found}, this one knows {known}",
        where=where,
        hint="upgrade pilotbase, or choose another home folder or database",
    )


def migrations() -> list[str]:
    """The texts of the migrations in order: files `0001_*.sql`, `0002_*.sql` and so on, without a gap."""
    folder = resources.files("pilotbase.store").joinpath("migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [entry.read_text(encoding="utf-8") for entry in files]
