"""Reconciling: the sums computed again from the rows, and every way in which they can be wrong is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.ledger_records import FARE, progress, put_log, release, reserve, settle

from pilotbase.domain.metering import Tokens
from pilotbase.gateway.applying import Applier
from pilotbase.gateway.reconcile import Line, Report, reconcile
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

DISK = LocalDisk()
STORY = [
    *(reserve("a"), settle("a")),
    *(reserve("b"), release("b")),
    *(reserve("c"), progress("c", 90, 5)),
    *(reserve("d", key="key-2", route="other"), settle("d", 2_000, 3_000)),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        put_log(tmp_path, "w", STORY)
        Applier(opened, tmp_path, DISK).apply()
        yield opened


def problems(database: Database, folder: Path) -> str:
    return "\n".join(reconcile(database, folder, DISK).problems)


def test_an_empty_base_is_balanced(tmp_path: Path) -> None:
    with Database(tmp_path / "empty.db") as empty:
        report = reconcile(empty, tmp_path / "none", DISK)
    assert report == Report(lines=(), problems=()) and report.balanced


def test_every_line_says_what_became_of_what_was_reserved(database: Database, tmp_path: Path) -> None:
    report = reconcile(database, tmp_path, DISK)
    cost = FARE.cost(Tokens(90, 500))
    assert report.balanced and not report.waiting
    assert report.lines[0] == Line(
        key="key-1",
        route="chat",
        currency="CNY",
        requests=3,
        reserved=3 * 7_200,
        settled=cost,
        released=7_200 - cost + 7_200,
        in_doubt=0,
        open=7_200,
        overrun=0,
        tokens_in=180,
        tokens_out=505,
        balanced=True,
    )
    assert (report.lines[1].key, report.lines[1].overrun) == ("key-2", FARE.cost(Tokens(2_000, 3_000)) - 7_200)


@pytest.mark.parametrize("column", ["requests", "reserved", "settled", "released", "in_doubt", "overrun", "tokens_in"])
def test_a_sum_that_is_off_by_one_is_told(database: Database, tmp_path: Path, column: str) -> None:
    database.execute(f"UPDATE balances SET {column} = {column} + 1 WHERE access_key = 'key-2'")
    report = reconcile(database, tmp_path, DISK)
    assert [line.balanced for line in report.lines] == [True, False]
    assert len(report.problems) == 1 and f"key key-2, route other: {column} is " in report.problems[0]


def test_a_row_or_a_line_that_is_missing_is_told(database: Database, tmp_path: Path) -> None:
    database.execute("DELETE FROM balances WHERE access_key = 'key-2'")
    assert "requests is 0 in the sums and 1 by the rows" in problems(database, tmp_path)
    database.execute("DELETE FROM requests WHERE access_key = 'key-1'")
    assert "key key-1, route chat: requests is 3 in the sums and 0 by the rows" in problems(database, tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("settled = settled + 1 WHERE id = 'a'", "1 requests: their settled and released parts are not what was reserved (a)"),
        ("overrun = -1 WHERE id = 'a'", "1 requests: an amount is negative (a)"),
        ("settled = 1 WHERE id = 'c'", "1 requests: they are open and have a cost (c)"),
        ("settled = 1, released = 7199 WHERE id = 'b'", "1 requests: they were released and have a cost (b)"),
        ("overrun = 1 WHERE id = 'a'", "1 requests: they cost more than was reserved, and not all that was reserved (a)"),
        ("state = 'odd'", "4 requests: their state is unknown (a, b, c, d)"),
    ],
)
def test_a_row_that_contradicts_itself_is_named(database: Database, tmp_path: Path, change: str, sentence: str) -> None:
    database.execute(f"UPDATE requests SET {change}")
    assert sentence in problems(database, tmp_path)


def test_an_open_request_of_a_worker_that_is_gone_is_named(database: Database, tmp_path: Path) -> None:
    database.execute("UPDATE wal_marks SET closed = 'then'")
    assert "1 requests: they are open and their worker is gone (c)" in problems(database, tmp_path)


def test_a_lease_may_be_overdrawn_by_debt_alone(database: Database, tmp_path: Path) -> None:
    debt = FARE.cost(Tokens(2_000, 3_000)) - 7_200
    database.execute("INSERT INTO leases (worker, access_key, granted, charged) VALUES ('w', 'key-2', 7200, ?)", (7_200 + debt,))
    assert problems(database, tmp_path) == ""
    database.execute("UPDATE leases SET granted = granted - 1")
    assert problems(database, tmp_path) == (
        f"worker w, key key-2: its lease is overdrawn by {debt + 1}, and its requests went {debt} beyond"
    )


def test_a_settlement_that_is_charged_to_nobody_is_named(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "v", [settle("lost")])
    Applier(database, tmp_path, DISK).apply()
    assert problems(database, tmp_path) == "1 settlements have no reservation and are charged to nobody (lost)"


def test_what_is_on_its_way_is_no_fault(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "v", [reserve("e")])
    report = reconcile(database, tmp_path, DISK)
    assert report.balanced
    assert report.waiting == ("worker v: its log has bytes after 0 that are not applied yet",)


def test_a_damaged_log_is_a_fault(database: Database, tmp_path: Path) -> None:
    path = put_log(tmp_path, "v", [reserve("e"), settle("e")])
    data = path.read_bytes()
    path.write_bytes(data[:30] + b"?" + data[31:])
    assert problems(database, tmp_path) == "worker v: its log is damaged at byte 0: good records follow a bad one"
    path.rename(path.with_name(path.name + ".damaged"))
    assert "a damaged log was set aside; requests in it are not counted" in problems(database, tmp_path)
