"""One contract for SQLite and PostgreSQL: schema, transactions, several writers, values, and errors in words."""

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotbase.errors import UserError
from pilotbase.pilots.records import create_run, earlier_runs, find_criteria, find_run, list_runs, record_criteria
from pilotbase.store.chain import next_info
from pilotbase.store.database import ConflictError, Database, migrations
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.memory import MemoryIndex
from pilotbase.store.segments import SegmentIndex

Place = Path | str
INSERT = "INSERT INTO runs (run, pilot, state, created, updated) VALUES (?, ?, ?, ?, ?)"
ADD = "UPDATE control SET value = value + 1 WHERE name = 'epoch'"


def run_row(run: str) -> tuple[str, str, str, str, str]:
    return (run, "pilot", "running", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")


def runs(database: Database) -> list[str]:
    return [row["run"] for row in database.rows("SELECT run FROM runs ORDER BY run")]


def together(work: Callable[[int], None], count: int) -> list[BaseException]:
    """Run work(0) .. work(count - 1) in threads that begin at the same instant; the errors that they ended with."""
    start = threading.Barrier(count)
    errors: list[BaseException] = []

    def one(number: int) -> None:
        start.wait(timeout=60)
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    with Database(place) as opened:
        yield opened


def test_opening_again_changes_nothing(place: Place) -> None:
    with Database(place) as database:
        database.execute(INSERT, run_row("a"))
        database.execute(ADD)
    with Database(place) as database:
        assert runs(database) == ["a"]
        assert database.row("SELECT value FROM control WHERE name = 'epoch'")["value"] == 1


def test_every_table_of_the_migrations_is_there(database: Database) -> None:
    words = "\n".join(migrations()).split("CREATE TABLE ")[1:]
    tables = {word.split()[0] for word in words}
    assert {"runs", "segments", "trust", "routes", "requests", "leases"} <= tables
    for table in tables:
        assert isinstance(database.rows(f"SELECT * FROM {table}"), list)


def test_a_failed_block_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.execute(INSERT, run_row("a"))
        with database.transaction():
            database.execute(INSERT, run_row("b"))
        raise ZeroDivisionError
    assert database.rows("SELECT * FROM runs") == []
    assert database.execute_many(INSERT, [run_row("c"), run_row("d")]) == 2
    assert database.row("SELECT run FROM runs ORDER BY run")["run"] == "c"
    assert database.row("SELECT run FROM runs WHERE run = 'z'") is None


def test_many_sets_of_values_are_written_all_or_none(database: Database) -> None:
    with pytest.raises(ConflictError):
        database.execute_many(INSERT, [run_row("a"), run_row("b"), run_row("a")])
    assert runs(database) == []
    assert database.execute_many(INSERT, []) <= 0


def test_a_transaction_is_over_at_its_first_error_even_where_that_is_caught(database: Database) -> None:
    with pytest.raises(RuntimeError, match="an error ended this transaction"), database.transaction():
        database.execute(INSERT, run_row("a"))
        with pytest.raises(ConflictError):
            database.execute(INSERT, run_row("a"))
        with pytest.raises(RuntimeError, match="an error ended this transaction"):
            database.rows("SELECT 1 AS one")
    assert runs(database) == []
    database.execute(INSERT, run_row("b"))
    assert runs(database) == ["b"]


def test_an_inner_block_that_failed_takes_the_outer_one_with_it(database: Database) -> None:
    def fail() -> None:
        with database.transaction():
            database.execute(INSERT, run_row("a"))
            raise ZeroDivisionError

    ended = pytest.raises(RuntimeError, match="an error ended this transaction")
    with ended, database.transaction(), pytest.raises(ZeroDivisionError):
        fail()
    assert runs(database) == []


def test_a_key_used_twice_is_a_conflict_in_words(database: Database) -> None:
    database.execute(INSERT, run_row("a"))
    with pytest.raises(ConflictError, match=r"the database refused the change \(.*(?i:unique).*\)") as caught:
        database.execute(INSERT, run_row("a"))
    assert caught.value.where == database.where and caught.value.status == 409
    with pytest.raises(ConflictError, match=r"(?i)foreign key"):
        database.execute("INSERT INTO run_candidates VALUES ('nowhere', 'c', 'f', 's')")
    with pytest.raises(ConflictError, match=r"(?i)not.null"):
        database.execute("INSERT INTO control (name, value) VALUES ('n', ?)", (None,))


def test_rows_that_belong_to_a_removed_row_go_with_it(database: Database) -> None:
    database.execute(INSERT, run_row("a"))
    database.execute("INSERT INTO run_candidates VALUES ('a', 'c', 'f', 's')")
    assert database.execute("DELETE FROM runs WHERE run = ?", ("a",)) == 1
    assert database.rows("SELECT * FROM run_candidates") == []


def test_a_wait_for_another_writer_ends(place: Place) -> None:
    with Database(place) as one, Database(place, timeout=0.1) as other:
        with one.transaction():
            one.execute(INSERT, run_row("a"))
            assert other.rows("SELECT * FROM runs") == []
            with pytest.raises(UserError, match="locked by another process"):
                other.execute(INSERT, run_row("b"))
            with pytest.raises(UserError, match="locked by another process") as caught, other.transaction():
                pytest.fail("two writers at once")
            assert caught.value.status == 503 and "then run the same command again" in str(caught.value)
        other.execute(INSERT, run_row("b"))
        assert runs(one) == ["a", "b"]


def test_a_mistake_in_sql_stays_a_bug(database: Database) -> None:
    with pytest.raises(Exception, match="nowhere") as caught:
        database.rows("SELECT colour FROM nowhere")
    assert not isinstance(caught.value, UserError)
    assert runs(database) == []


def test_connections_that_add_at_once_lose_no_addition(place: Place, size: Callable[[int, int], int]) -> None:
    Database(place).close()
    rounds = size(15, 200)

    def add(number: int) -> None:
        with Database(place) as database:
            for n in range(rounds):
                if (n + number) % 2:
                    database.execute(ADD)
                else:
                    with database.transaction():
                        value = database.row("SELECT value FROM control WHERE name = 'epoch'")["value"]
                        database.execute("UPDATE control SET value = ? WHERE name = 'epoch'", (value + 1,))

    assert together(add, 4) == []
    with Database(place) as database:
        assert database.row("SELECT value FROM control WHERE name = 'epoch'")["value"] == 4 * rounds


def test_threads_take_turns_on_one_connection(database: Database) -> None:
    def work(name: int) -> int:
        for n in range(10):
            with database.transaction():
                database.execute(INSERT, run_row(f"{name}-{n}"))
            assert database.row("SELECT count(*) AS n FROM runs")["n"] > n
        return name

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(4))) == [0, 1, 2, 3]
    assert database.row("SELECT count(*) AS n FROM runs")["n"] == 40


WORKER = """
import sys
from pathlib import Path
from pilotbase.store.database import Database
with Database(sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])) as database:
    for n in range(10):
        with database.transaction():
            last = database.row("SELECT coalesce(max(round), 0) AS n FROM rounds")["n"]
            database.execute("INSERT INTO rounds VALUES ('s', 'd', ?, ?, 'now')", (last + 1, f"{sys.argv[2]}-{n}"))
"""


def test_processes_that_open_a_new_home_at_once_all_succeed(place: Place) -> None:
    commands = [[sys.executable, "-c", WORKER, str(place), str(n)] for n in range(4)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, errors
    with Database(place) as database:
        rounds = [row["round"] for row in database.rows("SELECT round FROM rounds ORDER BY round")]
    assert rounds == list(range(1, 41))


def test_migrations_run_once_by_however_many_openers(place: Place) -> None:
    assert together(lambda _: Database(place).close(), 6) == []
    with Database(place) as database:
        assert database.row("SELECT count(*) AS n FROM control")["n"] == 1


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), True],
)
def test_whole_numbers_come_back_exactly(database: Database, value: int) -> None:
    database.execute("INSERT INTO control (name, value) VALUES ('n', ?)", (value,))
    found = database.row("SELECT value, value AS again FROM control WHERE value = ? AND name = 'n'", (value,))
    assert tuple(found) == (value, value) and type(found["value"]) is int


@pytest.mark.parametrize("value", [None, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 3.0, np.float64(0.5)])
def test_real_numbers_come_back_exactly(database: Database, value: float | None) -> None:
    put_request(database, seconds=value)
    found = database.row("SELECT seconds FROM requests")["seconds"]
    assert found == value and type(found) in (float, type(None))


def test_no_number_is_kept_as_null(database: Database) -> None:
    put_request(database, seconds=math.nan)
    assert database.row("SELECT seconds FROM requests")["seconds"] is None


class Tone(StrEnum):
    KIND = "kind"


class Level(IntEnum):
    LOW = 3


@pytest.mark.parametrize(
    "value", ["", "答案 🙂", "it's ? :name \\ \" $1 %s", "line\r\n\ttab", "x" * 1_000_000, Tone.KIND, "NULL"]
)
def test_texts_come_back_exactly(database: Database, value: str) -> None:
    database.execute("INSERT INTO criteria (digest, recorded, document) VALUES (?, ?, ?)", ("d", "now", value))
    assert database.row("SELECT document FROM criteria WHERE document = ?", (value,))["document"] == value


def test_an_enumeration_is_its_value(database: Database) -> None:
    database.execute("INSERT INTO control (name, value) VALUES (?, ?)", (Tone.KIND, Level.LOW))
    assert database.row("SELECT value FROM control WHERE name = 'kind'")["value"] == 3


@pytest.mark.parametrize(
    ("value", "error"), [("a\0b", UserError), ("\ud800", UnicodeEncodeError), (2**63, OverflowError), ([], Exception)]
)
def test_a_value_that_cannot_be_kept_is_refused_and_harms_nothing(database: Database, value: Any, error: type[Exception]) -> None:
    for sql in ("INSERT INTO control (name, value) VALUES (?, 1)", "SELECT value FROM control WHERE name = ?"):
        with pytest.raises(error):
            database.rows(sql, (value,))
    assert [tuple(row) for row in database.rows("SELECT name, value FROM control")] == [("epoch", 0)]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=WORDS,
    count=st.integers(-(2**63), 2**63 - 1),
    seconds=st.none() | st.floats(allow_nan=False),
    status=st.none() | st.integers(0, 999),
)
def test_any_values_come_back_as_they_were(
    database: Database, name: str, count: int, seconds: float | None, status: int | None
) -> None:
    database.execute("DELETE FROM requests")
    put_request(database, id=name, reserved=count, seconds=seconds, status=status)
    found = database.row("SELECT * FROM requests WHERE id = ? AND reserved = ?", (name, count))
    assert (found["id"], found["reserved"], found["seconds"], found["status"]) == (name, count, seconds, status)


def put_request(database: Database, **values: Any) -> None:
    row = {
        "id": "r", "worker": "w", "access_key": "k", "route": "m", "endpoint": "chat", "day": "2026-01-01", "started": 0,
        "state": "open", "currency": "CNY", "reserved": 0,
    } | values  # fmt: skip
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    database.execute(f"INSERT INTO requests ({names}) VALUES ({marks})", row)


def test_a_row_is_read_by_name_by_place_and_as_a_dictionary(database: Database) -> None:
    row = database.row("SELECT name, value, 1 AS One FROM control")
    assert (row["name"], row[1], row[-1], row["VALUE"], row["one"], len(row)) == ("epoch", 0, 1, 0, 1, 3)
    assert [name.lower() for name in dict(row)] == ["name", "value", "one"] and len(row.keys()) == 3
    assert list(row) == ["epoch", 0, 1]
    with pytest.raises(IndexError):
        row["colour"]
    with pytest.raises(IndexError):
        row[3]


def test_sums_means_and_comparisons_are_plain_numbers(database: Database) -> None:
    for n in (1, 2, 2**40):
        put_request(database, id=str(n), reserved=n, seconds=n / 2)
    found = database.row(
        "SELECT sum(reserved) AS total, avg(reserved) AS mean, sum(seconds) AS time, count(*) AS n, max(status) AS top,"
        " 1 < 2 AS true, coalesce(sum(reserved), 0) AS filled FROM requests"
    )
    assert dict(found) == {
        "total": 2**40 + 3,
        "mean": (2**40 + 3) / 3,
        "time": 2**39 + 1.5,
        "n": 3,
        "top": None,
        "true": 1,
        "filled": 2**40 + 3,
    }
    assert type(found["total"]) is int and type(found["mean"]) is float


def test_values_are_given_by_name_or_in_order_and_never_read_as_sql(database: Database) -> None:
    database.execute(
        "INSERT INTO control (name, value) VALUES (:a, :b), ('x' || :a, :b + :b) -- what of it?",
        {"a": "'; DROP TABLE runs; --", "b": 2**40, "unused": 1},
    )
    found = database.rows("SELECT value FROM control WHERE name LIKE ? AND name <> 'a?:b' ORDER BY value", ("%DROP%",))
    assert [row["value"] for row in found] == [2**40, 2**41]


def test_what_a_change_returns_is_read_and_the_change_is_kept(place: Place) -> None:
    with Database(place) as database, Database(place) as other:
        row = database.row("UPDATE control SET value = value + ? WHERE value < ? RETURNING name, value", (5, 10))
        assert (row["name"], row["value"]) == ("epoch", 5)
        found = database.rows("INSERT INTO control (name, value) VALUES ('b', 1), ('c', 2) RETURNING value")
        assert sorted(row["value"] for row in found) == [1, 2]
        assert database.row("UPDATE control SET value = 0 WHERE name = 'nobody' RETURNING value") is None
        with other.transaction():
            assert [row["value"] for row in other.rows("SELECT value FROM control ORDER BY value")] == [1, 2, 5]


def test_a_row_that_is_there_already_can_be_left_or_added_to(database: Database) -> None:
    left = "INSERT INTO control (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
    assert database.execute(left, ("epoch", 9)) == 0
    added = (
        "INSERT INTO control (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = control.value + excluded.value"
    )
    assert database.execute(added, ("epoch", 9)) == 1 and database.execute(added, ("epoch", 2**40)) == 1
    assert database.row("SELECT value FROM control")["value"] == 2**40 + 9


def test_a_statement_takes_ten_thousand_values(database: Database) -> None:
    marks = ", ".join(["(?, ?, ?, ?)"] * 2500)
    insert = f"INSERT INTO windows (access_key, second, requests, tokens) VALUES {marks}"
    insert += " ON CONFLICT (access_key, second) DO UPDATE SET requests = windows.requests + excluded.requests"
    values = [value for n in range(2500) for value in (f"k{n}", n, 1, 2)]
    assert database.execute(insert, values) == 2500 and database.execute(insert, values) == 2500
    found = database.row("SELECT count(*) AS n, sum(requests) AS r, sum(tokens) AS t FROM windows")
    assert tuple(found) == (2500, 5000, 5000)


def test_more_statements_than_are_kept_ready_all_answer(database: Database) -> None:
    for n in range(250):
        assert database.row(f"SELECT value + {n} AS n FROM control WHERE name = ?", ("epoch",))["n"] == n


def test_texts_are_ordered_by_code_point(database: Database) -> None:
    names = ["Zoe", "adam", "äther", "Ábc", "_", "1", "答", "-a", "a b", "ab"]
    database.execute_many(INSERT, [run_row(name) for name in names])
    assert runs(database) == sorted(names)


def test_runs_are_listed_in_the_order_of_their_making(database: Database) -> None:
    made = [
        create_run(
            database, pilot="p", spec_digest="s", criteria_digest="c", data_digest="d", scenario="x",
            options={"candidates": [{"id": "c", "fingerprint": "f"}]}, now="now",
        )
        for _ in range(3)
    ]  # fmt: skip
    assert [run.run for run in list_runs(database)] == ["p-3", "p-2", "p-1"]
    assert find_run(database, "last") == made[2] and [run.round for run in made] == [1, 2, 3]
    assert list(earlier_runs(database, made[2])) == made[:2]
    with pytest.raises(UserError, match="the newest: p-3, p-2, p-1"):
        find_run(database, "q")
    assert record_criteria(database, "d", b"{}", "first") == record_criteria(database, "d", b"[]", "later") == "first"
    assert find_criteria(database, "d") == {}


def test_a_closed_database_is_asked_nothing(place: Place) -> None:
    database = Database(place)
    database.close()
    database.close()
    with pytest.raises(Exception, match="closed"):
        database.rows("SELECT 1 AS one")


@pytest.mark.parametrize("kind", ["database", "memory"])
def test_an_index_lists_what_was_added_in_order_and_refuses_a_taken_place(database: Database, kind: str) -> None:
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
