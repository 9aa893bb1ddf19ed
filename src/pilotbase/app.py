"""The composition root: settings in, an opened context out."""

from collections.abc import Iterator
from contextlib import contextmanager

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.settings import Settings, read_settings
from pilotbase.store.disk import LocalDisk

__all__ = ["opened"]


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Context]:
    """The context of the home, and of the database, that the settings name."""
    found = settings or read_settings()
    with open_context(
        found.home,
        disk=LocalDisk(),
        clock=SystemClock(),
        secrets=found.secret,
        database=found.database,
        bounds=found.bounds,
        mail=found.mail,
        public_url=found.public_url,
    ) as context:
        yield context
