"""What the tests of a base's own care share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.store.disk import Disk, LocalDisk

__all__ = ["opened", "place", "postgres_server", "postgres_url"]

Opened = Callable[..., AbstractContextManager[Context]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a home below the test's folder, with a database of its own or that of an address."""

    @contextmanager
    def work(name: str = "home", database: str | None = None, disk: Disk | None = None) -> Iterator[Context]:
        with open_context(
            tmp_path / name, disk=disk or LocalDisk(), clock=SystemClock(), secrets=lambda _: None, database=database
        ) as context:
            yield context

    return work
