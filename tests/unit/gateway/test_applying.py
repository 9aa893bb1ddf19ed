"""Applying logs: every record once, however often and in whatever pieces it is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.ledger_records import (
    FARE,
    STARTED,
    everything,
    log_bytes,
    progress,
    put_log,
    release,
    reserve,
    rows,
    settle,
)

from pilotbase.domain.metering import Tokens
from pilotbase.gateway.applying import Applier, read_mark
from pilotbase.gateway.wal import Record
from pilotbase.gateway.wal_files import segment_path
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

STORY: list[Record] = [
    reserve("a"),
    reserve("b", key="key-2"),
    progress("a", 100, 7),
    settle("a"),
    reserve("c"),
    progress("c", 90, 40, 5),
    release("b"),
    reserve("d", route="other"),
    settle("d", 2_000, 3_000, detail={"response_id": "resp_1"}),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        yield opened


def drain(database: Database, folder: Path, limit: int = 2000) -> Applier:
    applier = Applier(database, folder, LocalDisk())
    while applier.apply(limit):
        pass
    return applier


def balance(database: Database, key: str, route: str = "chat") -> dict[str, Any]:
    (row,) = database.rows("SELECT * FROM balances WHERE access_key = ? AND route = ?", (key, route))
    return dict(row)


def test_a_settled_request_is_one_row_with_its_parts(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path / "wal", "w", STORY)
    drain(database, tmp_path / "wal")
    found = rows(database)
    assert sorted(found) == ["a", "b", "c", "d"]
    cost = FARE.cost(Tokens(90, 500))
    row = found["a"]
    assert (row["state"], row["settled"], row["released"], row["overrun"]) == ("settled", cost, 7_200 - cost, 0)
    assert (row["tokens_in"], row["tokens_out"], row["source"], row["status"]) == (90, 500, "upstream", 200)
    assert (row["worker"], row["day"], row["started"], row["seconds"], row["ttft"]) == ("w", "2026-09-21", STARTED, 0.5, 0.1)
    assert orjson.loads(row["detail"]) == {"fare": [1_000, 2_000_000, 6_000_000]}


def test_what_was_used_beyond_the_reservation_is_recorded(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", STORY)
    drain(database, tmp_path)
    row = rows(database)["d"]
    cost = FARE.cost(Tokens(2_000, 3_000))
    assert (row["settled"], row["released"], row["overrun"]) == (7_200, 0, cost - 7_200)
    assert balance(database, "key-1", "other")["overrun"] == cost - 7_200


def test_a_release_gives_everything_back(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", STORY)
    drain(database, tmp_path)
    row = rows(database)["b"]
    assert (row["state"], row["settled"], row["released"], row["status"]) == ("released", 0, 7_200, 502)


def test_progress_shows_in_an_open_row(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", [*STORY, progress("c", 90, 30)])
    drain(database, tmp_path)
    row = rows(database)["c"]
    assert (row["state"], row["tokens_in"], row["tokens_out"], row["tokens_cached"]) == ("open", 90, 40, 5)


def test_a_stored_response_is_found_under_its_id(database: Database, tmp_path: Path) -> None:
    odd = [reserve("e"), settle("e", detail={"response_id": "x" * 1000}), reserve("f"), settle("f", detail={"response_id": 5})]
    put_log(tmp_path, "w", [*STORY, *odd])
    drain(database, tmp_path)
    (row,) = database.rows("SELECT * FROM responses")
    assert tuple(row) == ("resp_1", "key-1", "other", "main", STARTED // 1_000_000)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_batches_of_any_size_give_the_same(database: Database, tmp_path: Path, limit: int) -> None:
    put_log(tmp_path / "one", "w", STORY)
    drain(database, tmp_path / "one", limit)
    with Database(tmp_path / "other.db") as other:
        put_log(tmp_path / "two", "w", STORY)
        drain(other, tmp_path / "two")
        assert everything(database) == everything(other)


def test_a_replay_from_any_earlier_mark_changes_nothing(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", STORY)
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000)")
    drain(database, tmp_path)
    before = everything(database)
    for count in range(len(STORY) + 1):
        place = len(log_bytes(STORY[:count]))
        database.execute("UPDATE wal_marks SET applied = ?, records = ?", (place, count))
        drain(database, tmp_path, limit=2)
        assert everything(database) == before
        mark = read_mark(database, "w")
        assert (mark.applied, mark.records) == (len(log_bytes(STORY)), len(STORY))


def test_leases_are_charged_with_the_whole_cost_and_only_where_there_is_one(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000), ('other', 'key-1', 7)")
    put_log(tmp_path, "w", STORY)
    drain(database, tmp_path)
    cost = FARE.cost(Tokens(90, 500)) + FARE.cost(Tokens(2_000, 3_000))
    found = database.rows("SELECT worker, access_key, charged FROM leases ORDER BY worker")
    assert [tuple(row) for row in found] == [("other", "key-1", 0), ("w", "key-1", cost)]


def test_money_of_another_currency_is_no_part_of_a_lease(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000)")
    database.execute(
        "INSERT INTO access_keys (id, name, digest, created, currency, changed) VALUES ('key-1', 'n', 'd', 'c', 'USD', 1)"
    )
    put_log(tmp_path, "w", STORY)
    drain(database, tmp_path)
    assert [row["charged"] for row in database.rows("SELECT charged FROM leases")] == [0]
    assert balance(database, "key-1")["settled"] > 0


def test_a_log_that_grows_while_it_is_read_is_read_on(database: Database, tmp_path: Path) -> None:
    data = log_bytes(STORY)
    path = segment_path(tmp_path, "w", 0)
    path.write_bytes(b"")
    applier = Applier(database, tmp_path, LocalDisk())
    done = 0
    for cut in range(0, len(data) + 50, 50):
        path.write_bytes(data[:cut])
        done += applier.apply()
        assert not applier.stopped
    assert done == len(STORY)


def test_files_that_are_applied_and_have_a_successor_are_removed(database: Database, tmp_path: Path) -> None:
    first, second = log_bytes(STORY[:4]), log_bytes(STORY[4:], 4)
    one, two = segment_path(tmp_path, "w", 0), segment_path(tmp_path, "w", len(first))
    one.write_bytes(first)
    applier = Applier(database, tmp_path, LocalDisk())
    assert applier.apply() == 4
    assert one.exists()
    two.write_bytes(second)
    assert applier.apply(2) == 2
    assert not one.exists() and two.exists()
    assert applier.apply() == len(STORY) - 6
    assert two.exists() and read_mark(database, "w").applied == len(first + second)


def test_several_workers_are_applied_side_by_side(database: Database, tmp_path: Path) -> None:
    for worker in ("w-1", "w-2", "w-3"):
        put_log(tmp_path, worker, [reserve(f"{worker}-a"), settle(f"{worker}-a")])
    assert Applier(database, tmp_path, LocalDisk()).apply() == 6
    assert balance(database, "key-1")["requests"] == 3


def test_a_settlement_without_a_reservation_is_put_on_record(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", [settle("lost"), *STORY])
    drain(database, tmp_path)
    (row,) = database.rows("SELECT * FROM audit WHERE action = 'ledger.stray'")
    assert row["subject"] == "lost" and orjson.loads(row["detail"])["tokens"] == [90, 500]
    assert sorted(rows(database)) == ["a", "b", "c", "d"]


def test_another_workers_request_is_never_settled(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w-1", [reserve("a")])
    drain(database, tmp_path)
    put_log(tmp_path, "w-2", [reserve("a", key="thief"), settle("a")])
    drain(database, tmp_path)
    row = rows(database)["a"]
    assert (row["worker"], row["state"], row["access_key"]) == ("w-1", "open", "key-1")


def test_damage_stops_the_log_of_that_worker_alone_and_is_told(database: Database, tmp_path: Path) -> None:
    path = put_log(tmp_path, "w-1", STORY)
    data = bytearray(path.read_bytes())
    data[len(log_bytes(STORY[:3])) + 30] ^= 1
    path.write_bytes(data)
    put_log(tmp_path, "w-2", [reserve("z"), settle("z")])
    applier = drain(database, tmp_path)
    assert applier.stopped == {"w-1": "good records follow a bad one"}
    assert sorted(rows(database)) == ["a", "b", "z"]


def test_a_mark_that_another_applier_moved_is_left_alone(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", STORY)
    other = Applier(database, tmp_path, LocalDisk())

    class Between:
        """A database in which another applier works just before the first transaction."""

        done = False

        def __getattr__(self, name: str) -> Any:
            if name == "transaction" and not self.done:
                self.done = True
                other.apply(3)
            return getattr(database, name)

    assert Applier(Between(), tmp_path, LocalDisk()).apply() == 0  # type: ignore[arg-type]
    assert read_mark(database, "w").records == 3
    assert other.apply() == len(STORY) - 3
    assert balance(database, "key-1")["requests"] == 2


def test_a_long_backlog_is_applied_across_chunks_of_the_file(database: Database, tmp_path: Path) -> None:
    filler = {"note": "x" * 100_000}
    story = [record for i in range(60) for record in (reserve(f"r{i:02}"), settle(f"r{i:02}", detail=filler))]
    put_log(tmp_path, "w", story)
    drain(database, tmp_path)
    assert [row["state"] for row in rows(database).values()] == ["settled"] * 60
