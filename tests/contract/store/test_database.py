"""The database of a home: schema, transactions, several processes, and errors in words."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.store.chain import next_info
from pilotbase.store.database import ConflictError, Database, migrations
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.memory import MemoryIndex
from pilotbase.store.segments import SegmentIndex


def run_row(run: str) -> tuple[str, str, str, str, str]:
    return (run, "pilot", "running", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")


INSERT = "INSERT INTO runs (run, pilot, state, created, updated) VALUES (?, ?, ?, ?, ?)"


def test_a_new_home_has_every_table(tmp_path: Path) -> None:
    with Database(tmp_path / "deep" / "base.db") as database:
        names = {row["name"] for row in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == {"runs", "segments", "criteria", "run_candidates", "rounds", "trust"}
        assert database.rows("PRAGMA user_version")[0][0] == len(migrations()) == 1


def test_durability_and_foreign_keys_are_on(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        found = [database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert found == ["wal", 2, 1]


def test_a_failed_block_leaves_nothing_behind(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        with pytest.raises(ZeroDivisionError), database.transaction():
            database.execute(INSERT, run_row("a"))
            with database.transaction():
                database.execute(INSERT, run_row("b"))
            raise ZeroDivisionError
        assert database.rows("SELECT * FROM runs") == []
        assert database.execute_many(INSERT, [run_row("c"), run_row("d")]) == 2
        assert database.row("SELECT run FROM runs ORDER BY run")["run"] == "c"
        assert database.row("SELECT run FROM runs WHERE run = 'z'") is None


def test_a_key_used_twice_is_a_conflict_in_words(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        database.execute(INSERT, run_row("a"))
        with pytest.raises(ConflictError, match=r"the database refused the change \(UNIQUE constraint failed: runs\.run\)"):
            database.execute(INSERT, run_row("a"))
        with pytest.raises(ConflictError, match="FOREIGN KEY"):
            database.execute("INSERT INTO run_candidates VALUES ('nowhere', 'c', 'f', 's')")


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="its schema is 99, this one knows 1") as caught:
        Database(tmp_path / "base.db")
    assert "upgrade" in str(caught.value)
    with sqlite3.connect(tmp_path / "base.db") as plain:
        assert plain.execute("PRAGMA user_version").fetchone()[0] == 99


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.db").write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(UserError, match=r"base\.db: damaged, or not a database"):
        Database(tmp_path / "base.db")


def test_a_wait_for_another_writer_ends(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as one, Database(tmp_path / "base.db", timeout=0.05) as other:
        with one.transaction():
            one.execute(INSERT, run_row("a"))
            assert other.rows("SELECT * FROM runs") == []
            with pytest.raises(UserError, match="locked by another process"):
                other.execute(INSERT, run_row("b"))
        other.execute(INSERT, run_row("b"))
        assert len(one.rows("SELECT * FROM runs")) == 2


def test_a_full_database_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:
        database.execute(INSERT, run_row("a"))
        pages = database.rows("PRAGMA page_count")[0][0]
        database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match="no space is left"), database.transaction():
            database.execute("INSERT INTO criteria VALUES ('d', 'now', ?, NULL)", ("x" * 100_000,))
        assert [row["run"] for row in database.rows("SELECT run FROM runs")] == ["a"]
        assert database.row("SELECT * FROM criteria") is None


def test_a_mistake_in_sql_stays_a_bug(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database, pytest.raises(sqlite3.OperationalError):
        database.rows("SELECT nothing FROM nowhere")


def test_threads_take_turns(tmp_path: Path) -> None:
    with Database(tmp_path / "base.db") as database:

        def work(name: int) -> None:
            for n in range(10):
                with database.transaction():
                    database.execute(INSERT, run_row(f"{name}-{n}"))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.row("SELECT count(*) AS n FROM runs")["n"] == 40


WORKER = """
import sys
from pathlib import Path
from pilotbase.store.database import Database
with Database(Path(sys.argv[1])) as database:
    for n in range(10):
        with database.transaction():
            last = database.row("SELECT coalesce(max(round), 0) AS n FROM rounds")["n"]
            database.execute("INSERT INTO rounds VALUES ('s', 'd', ?, ?, 'now')", (last + 1, f"{sys.argv[2]}-{n}"))
"""


def test_processes_that_open_a_new_home_at_once_all_succeed(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", WORKER, str(tmp_path / "base.db"), str(n)] for n in range(4)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, errors
    with Database(tmp_path / "base.db") as database:
        rounds = [row["round"] for row in database.rows("SELECT round FROM rounds ORDER BY round")]
    assert rounds == list(range(1, 41))


def test_connections_that_open_a_new_file_at_the_same_instant_all_succeed(tmp_path: Path) -> None:
    errors: list[UserError] = []

    def work(path: Path, start: threading.Barrier) -> None:
        start.wait(timeout=60)
        try:
            Database(path).close()
        except UserError as error:
            errors.append(error)

    for attempt in range(10):
        start = threading.Barrier(6)
        threads = [threading.Thread(target=work, args=(tmp_path / f"{attempt}.db", start)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


@pytest.mark.parametrize("kind", ["database", "memory"])
def test_an_index_lists_what_was_added_in_order_and_refuses_a_taken_place(tmp_path: Path, kind: str) -> None:
    database = Database(tmp_path / "base.db")
    index: SegmentIndex = DatabaseIndex(database, "log") if kind == "database" else MemoryIndex()
    first = next_info(None, b"one", 3)
    second = next_info(first, b"two", 4)
    assert list(index.list()) == []
    index.add(first)
    index.add(second)
    assert list(index.list()) == [first, second]
    with pytest.raises(UserError):
        index.add(next_info(first, b"other", 1))
    assert list(index.list()) == [first, second]
    assert list(DatabaseIndex(database, "another").list()) == []
    database.close()
