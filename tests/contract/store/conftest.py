"""Every contract of the database is held to SQLite and to PostgreSQL."""

from tests.fakes.postgres import place, postgres_server, postgres_url

__all__ = ["place", "postgres_server", "postgres_url"]
