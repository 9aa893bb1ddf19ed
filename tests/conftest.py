"""Options that every test shares: `--full` runs long simulations and fault series at their full size."""

import gc
from collections.abc import Callable

import pytest
from hypothesis import settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="simulations and fault series at full size")


def pytest_configure(config: pytest.Config) -> None:
    # The same examples in every reduced run, so that a red one is the change's fault; new ones are looked for with --full.
    settings.register_profile("steady", deadline=None, derandomize=True)
    settings.register_profile("searching", deadline=None)
    settings.load_profile("searching" if config.getoption("--full") else "steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files are dealt out in this order (--no-loadscope-reorder): short ones last, so that no process ends long after the others.
    items.sort(key=lambda item: "unit" in item.path.parts)


def pytest_collection_finish() -> None:
    # All that the tests import stays to the end. Some code collects garbage whole, and then need not look through it each time.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long series were asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def size(full: bool) -> Callable[[int, int], int]:
    """`size(reduced, whole)`: how many repetitions a series runs with."""
    return lambda reduced, whole: whole if full else reduced
