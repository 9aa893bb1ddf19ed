"""A database of its own for each test on the private PostgreSQL server that `scripts/test` starts, and the fixtures for it.

A folder that wants them imports `postgres_server`, `postgres_url` and, for what holds for both databases, `place` into its
conftest.
"""

import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pg8000.native
import pytest

SERVER = "PILOTBASE_TEST_POSTGRESQL"
WHY = f"the tests of PostgreSQL are left out: {SERVER} names no server; scripts/test starts one"


def ask(url: str, sql: str) -> list[list[object]]:
    """Run one statement as nobody's client, without a transaction."""
    parts = urlsplit(url)
    connection = pg8000.native.Connection(
        parts.username, parts.hostname, parts.path[1:], parts.port, parts.password, ssl_context=False, timeout=60
    )
    try:
        return connection.run(sql) or []
    finally:
        connection.close()


def query(url: str, **parameters: str) -> str:
    """The address with other parameters after the question mark."""
    text = "&".join(f"{name}={value}" for name, value in parameters.items())
    return urlunsplit(urlsplit(url)._replace(query=text))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The address of the server, as its superuser; without one every test that asks for it is left out, with a warning."""
    found = os.environ.get(SERVER)
    if not found:
        warnings.warn(pytest.PytestWarning(f"LEFT OUT: {WHY}"), stacklevel=1)
        pytest.skip(WHY)
    return found


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of a new, empty database, which is removed after the test."""
    name = f"test_{uuid.uuid4().hex}"
    ask(postgres_server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    ask(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new database is, for each kind: what `Database` takes."""
    return tmp_path / "base.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
