"""Each test runs on SQLite and on PostgreSQL."""

from tests.fakes.postgres import place, postgres_server, postgres_url

__all__ = ["place", "postgres_server", "postgres_url"]
