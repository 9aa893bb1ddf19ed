"""What every story works with: the home's stores, the clock, and the keeper of secrets."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pilotbase.domain.alert import Channel
from pilotbase.domain.bounds import Bounds
from pilotbase.domain.embedding import EmbeddingModel
from pilotbase.ports import Clock, Secrets
from pilotbase.store.database import Database
from pilotbase.store.disk import Disk

__all__ = ["Context", "SystemClock", "open_context"]


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One home, opened. `mail` is how letters to members go out (None: they do not), without its addresses; `public_url` is
    where the links in them lead; `embeddings` is a model that turns texts into vectors, where the operator named one.
    `bounds` are those of uploaded pilots; `bounded` says that this context works on one.
    """

    home: Path
    database: Database
    disk: Disk
    clock: Clock
    secrets: Secrets
    mail: Channel | None = None
    public_url: str | None = None
    embeddings: EmbeddingModel | None = None
    bounds: Bounds = field(default_factory=Bounds)
    bounded: bool = False

    def within_bounds(self) -> "Context":
        """The same home for work on an uploaded pilot: of the secrets it knows those alone that the operator listed."""
        secrets, allowed = self.secrets, self.bounds.names
        return replace(self, bounded=True, secrets=lambda name: secrets(name) if name in allowed else None)

    def run_folder(self, run: str) -> Path:
        """Where a run keeps its evidence."""
        return self.home / "runs" / run

    def scratch(self) -> Path:
        """A folder for this process's passing files; those of processes that are gone are removed."""
        root = self.home / "scratch"
        self.disk.make_folder(root)
        for left in root.iterdir():
            if left.name.isdigit() and not Path("/proc", left.name).exists() and Path("/proc/self").exists():
                shutil.rmtree(left, ignore_errors=True)
        own = root / str(os.getpid())
        self.disk.make_folder(own)
        return own

    def stamp(self) -> str:
        """The present moment in ISO 8601, UTC, to the millisecond."""
        return self.clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def open_context(
    home: Path,
    *,
    disk: Disk,
    clock: Clock,
    secrets: Secrets,
    database: str | None = None,
    mail: Channel | None = None,
    public_url: str | None = None,
    embeddings: EmbeddingModel | None = None,
    bounds: Bounds | None = None,
) -> Iterator[Context]:
    """Open a home, making it where it is not there yet. UserError where it cannot be written.

    `embeddings`: the model by which texts are compared too, where there is one.
    `database`: the address of a PostgreSQL database instead of the file in the home. UserError where it cannot be reached.
    """
    disk.make_folder(home)
    found = Database(database or home / "pilotbase.db", disk)
    try:
        yield Context(
            home=home,
            database=found,
            disk=disk,
            clock=clock,
            secrets=secrets,
            mail=mail,
            public_url=public_url,
            embeddings=embeddings,
            bounds=bounds or Bounds(),
        )
    finally:
        found.close()
        shutil.rmtree(home / "scratch" / str(os.getpid()), ignore_errors=True)
