"""What a database library must do for `Database`: the drivers' contract, their rows, and the error that both raise."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pilotbase.errors import UserError

__all__ = ["ConflictError", "Driver", "Row", "Values", "check_text"]

Values = Sequence[Any] | Mapping[str, Any]
"""Values for `?` in order, or for `:name` by name. Each is None, a bool, an int of 64 bits, a float or a str."""


class ConflictError(UserError):
    """A row with this key is already there, or a row that it refers to is not."""


class Row(Protocol):
    """One row of an answer: by place, by name, and as `dict(row)`."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Sequence[str]: ...


class Driver(Protocol):
    """One connection. Its caller lets one thread in at a time, and never asks on after an error inside a transaction.

    Whatever can happen to a user is raised as a UserError; a mistake in SQL stays the library's own error. `where` names the
    database in messages, without a password. Whole numbers come back as int, also where a sum or a comparison made them.
    """

    where: str

    def begin(self) -> None:
        """Begin a transaction as the only writer; waits for the one before."""

    def commit(self) -> None:
        """Return once the transaction is durable."""

    def roll_back(self) -> None:
        """Undo the transaction; does nothing where there is none any more."""

    def execute(self, sql: str, values: Values) -> int:
        """Run one statement, as the only writer outside a transaction too; how many rows it changed."""

    def execute_many(self, sql: str, values: Iterable[Values]) -> int:
        """Run one statement for each set of values, inside a transaction; how many rows they changed."""

    def rows(self, sql: str, values: Values) -> list[Row]:
        """All rows of a query, or of a change with RETURNING."""

    def row(self, sql: str, values: Values) -> Row | None:
        """The first of them."""

    def begin_reading(self) -> None:
        """Begin a transaction that only reads, and sees what was committed by now however long it takes. Writers go on."""

    def tables(self) -> list[str]:
        """The names of our tables in the order in which they were made, so that each follows those that it refers to."""

    def columns(self, table: str) -> list[str]:
        """The columns of a table in their order, without a hidden one."""

    def pages(self, table: str, size: int) -> Iterator[list[Row]]:
        """All rows of a table in the order of insertion where our SQL asks for that order, at most `size` at a time.

        Inside a transaction."""

    def faults(self, *, deep: bool) -> list[str]:
        """What the library finds wrong with the database's own files, in its words; with `deep` the indices are compared too."""

    def version(self) -> int:
        """How many migrations were applied."""

    def migrate(self, scripts: Sequence[str], version: int) -> None:
        """Apply migrations and note the new version, inside a transaction."""

    def close(self) -> None:
        """Close the connection; a second call does nothing."""


def check_text(values: Iterable[Any], where: str) -> None:
    """UserError where a text holds the character NUL, which PostgreSQL cannot keep: no database takes it, then."""
    for value in values:
        if isinstance(value, str) and "\0" in value:
            raise UserError(
                "a text holds the character NUL, which a database cannot keep", where=where, hint="remove it from the text"
            )
