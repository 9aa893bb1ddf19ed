"""What SQLite alone must do: durability, its file, and a disk that is full."""

import sqlite3
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.store.database import Database, migrations

INSERT = "INSERT INTO runs (run, pilot, state, created, updated) VALUES (?, 'p', 's', 'now', 'now')"


def test_a_new_home_is_made_with_its_folders(tmp_path: Path) -> None:
    with Database(tmp_path / "deep" / "base.db") as database:
        assert database.rows("PRAGMA user_version")[0][0] == len(migrations())
        assert database.where == str(tmp_path / "deep" / "base.db")


def test_durability_and_foreign_keys_are_on(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        found = [database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert found == ["wal", 2, 1]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match=rf"base\.db: .*its schema is 99, this one knows {len(migrations())}") as caught:
        Database(tmp_path / "base.db")
    assert "upgrade" in str(caught.value)
    with sqlite3.connect(tmp_path / "base.db") as plain:
        assert plain.execute("PRAGMA user_version").fetchone()[0] == 99


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.db").write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(UserError, match=r"base\.db: damaged, or not a database"):
        Database(tmp_path / "base.db")


def test_a_full_database_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        database.execute(INSERT, ("a",))
        pages = database.rows("PRAGMA page_count")[0][0]
        database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match="no space is left"), database.transaction():
            database.execute("INSERT INTO criteria VALUES ('d', 'now', ?, NULL)", ("x" * 100_000,))
        assert [row["run"] for row in database.rows("SELECT run FROM runs")] == ["a"]
        assert database.row("SELECT * FROM criteria") is None
