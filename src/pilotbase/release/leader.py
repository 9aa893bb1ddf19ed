"""One leader of several controllers on one database, without comparing their clocks.

The holder moves a beat. Another takes the place when it has seen the same beat for `patience` seconds of its own monotonic clock;
each change of holder raises the term. A decision is written in one transaction with a look at the term (`holds`): a leader that
was replaced while it was thinking can write nothing.
"""

from collections.abc import Callable

from pilotbase.store.database import Database

__all__ = ["Leader"]

PATIENCE = 5.0


class Leader:
    """One controller's claim to decide. `clock` is monotonic seconds, `name` its own, unlike any other's."""

    def __init__(self, name: str, clock: Callable[[], float], *, office: str = "release", patience: float = PATIENCE) -> None:
        self.name = name
        self.term = 0
        self._office = office
        self._clock = clock
        self._patience = patience
        self._seen: tuple[str, int, int] | None = None
        self._since = 0.0

    def campaign(self, database: Database) -> bool:
        """Take the place where it is free. Whether this one leads now; `beat` when it has done what a leader does."""
        with database.transaction():
            row = database.row("SELECT holder, term, beat FROM leaders WHERE name = ?", (self._office,))
            if row is None:
                self.term = 1
                database.execute(
                    "INSERT INTO leaders (name, holder, term, beat) VALUES (?, ?, ?, ?)", (self._office, self.name, 1, 1)
                )
                return True
            holder, term, beat = row["holder"], int(row["term"]), int(row["beat"])
            if holder != self.name and not self._stale(holder, term, beat):
                return False
            if holder == self.name:
                self.term = term
                return True
            self.term = term + 1
            database.execute(
                "UPDATE leaders SET holder = ?, term = ?, beat = ? WHERE name = ?", (self.name, self.term, beat + 1, self._office)
            )
            return True

    def beat(self, database: Database) -> None:
        """Show that this one leads and does its work; nothing where it was replaced."""
        database.execute(
            "UPDATE leaders SET beat = beat + 1 WHERE name = ? AND holder = ? AND term = ?", (self._office, self.name, self.term)
        )

    @property
    def alive(self) -> bool:
        """Whether another one that leads has shown, as far as this one saw, that it does its work."""
        return self._seen is not None and bool(self._seen[0]) and self._clock() - self._since < self._patience

    def holds(self, database: Database) -> bool:
        """Whether this one still leads. Ask in the transaction that writes what was decided."""
        row = database.row("SELECT holder, term FROM leaders WHERE name = ?", (self._office,))
        return row is not None and row["holder"] == self.name and int(row["term"]) == self.term

    def resign(self, database: Database) -> None:
        """Let another one lead at once."""
        with database.transaction():
            if self.holds(database):
                database.execute("UPDATE leaders SET holder = '', beat = beat + 1 WHERE name = ?", (self._office,))

    def _stale(self, holder: str, term: int, beat: int) -> bool:
        if not holder:
            return True
        now = self._clock()
        if self._seen != (holder, term, beat):
            self._seen, self._since = (holder, term, beat), now
            return False
        return now - self._since >= self._patience
