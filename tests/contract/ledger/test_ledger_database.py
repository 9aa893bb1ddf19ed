"""What the ledger asks of a database: the same rows and sums on each kind, whoever works beside it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.ledger_records import FARE, STARTED, everything, log_bytes, progress, put_log, release, reserve, rows, settle

from pilotbase.domain.metering import Tokens
from pilotbase.errors import UserError
from pilotbase.gateway.applying import Applier
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.recovery import Recovered, recover
from pilotbase.gateway.wal import Record
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DISK = LocalDisk()
COST = FARE.cost(Tokens(90, 500))
STORY: list[Record] = [
    *(reserve("a"), settle("a", detail={"response_id": "resp_1", "why": "说明 \0"})),
    *(reserve("b", key="key-2"), release("b")),
    *(reserve("c"), progress("c", 90, 40, 5)),
    *(reserve("d", route="other"), settle("d", 2_000, 3_000, status=None, ttft=None)),
    settle("lost"),
]


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as opened:
        yield opened


def drain(database: Database, folder: Path, limit: int = 2000) -> int:
    applier = Applier(database, folder, DISK)
    total = 0
    while done := applier.apply(limit):
        total += done
    return total


def test_rows_sums_leases_and_responses_follow_from_the_records(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000)")
    put_log(tmp_path / "wal", "w", STORY)
    assert drain(database, tmp_path / "wal") == len(STORY)
    found = everything(database)
    assert [(row["id"], row["state"]) for row in rows(database).values()] == [
        ("a", "settled"),
        ("b", "released"),
        ("c", "open"),
        ("d", "settled"),
    ]
    over = FARE.cost(Tokens(2_000, 3_000)) - 7_200
    assert found["balances"] == [
        ("key-1", "chat", "CNY", 2, 14_400, COST, 7_200 - COST, 0, 0, 180, 540),
        ("key-1", "other", "CNY", 1, 7_200, 7_200, 0, 0, over, 2_000, 3_000),
        ("key-2", "chat", "CNY", 1, 7_200, 0, 7_200, 0, 0, 0, 0),
    ]
    assert found["leases"] == [("w", "key-1", 50_000, 0, COST + 7_200 + over)]
    assert found["responses"] == [("resp_1", "key-1", "chat", "main", STARTED // 1_000_000)]
    report = reconcile(database, tmp_path / "wal", DISK)
    assert report.problems == ("1 settlements have no reservation and are charged to nobody (lost)",)
    assert all(line.balanced for line in report.lines)


def test_a_replay_changes_nothing_and_recovery_ends_what_is_open(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path / "wal", "w", STORY[:-1])
    drain(database, tmp_path / "wal", limit=3)
    before = everything(database)
    for count in range(len(STORY)):
        database.execute("UPDATE wal_marks SET applied = ?, records = ?", (len(log_bytes(STORY[:count])), count))
        drain(database, tmp_path / "wal", limit=2)
        assert everything(database) == before
    found = recover(database, tmp_path / "wal", DISK, "w", NOW)
    assert (found.settled_in_doubt, found.nanos) == (1, (("CNY", FARE.cost(Tokens(90, 40))),))
    assert recover(database, tmp_path / "wal", DISK, "w", NOW) == Recovered(worker="w")
    report = reconcile(database, tmp_path / "wal", DISK)
    assert report.balanced and not report.waiting
    assert report.lines[0].in_doubt == FARE.cost(Tokens(90, 40))


def test_a_batch_of_many_rows_is_one_transaction(database: Database, tmp_path: Path) -> None:
    story = [record for i in range(1_000) for record in (reserve(f"r{i:04}"), settle(f"r{i:04}"))]
    put_log(tmp_path / "wal", "w", story)
    assert Applier(database, tmp_path / "wal", DISK).apply() == 2_000
    (row,) = database.rows("SELECT requests, settled FROM balances")
    assert tuple(row) == (1_000, 1_000 * COST)


def test_appliers_at_work_beside_each_other_count_every_request_once(
    database: Database, place: Path | str, tmp_path: Path
) -> None:
    folder = tmp_path / "wal"
    for worker in ("v", "w"):
        story = [record for i in range(150) for record in (reserve(f"{worker}{i:03}"), settle(f"{worker}{i:03}"))]
        put_log(folder, worker, story)
    errors: list[BaseException] = []

    def apply() -> None:
        try:
            with Database(place) as own:
                while sum(row["records"] for row in own.rows("SELECT records FROM wal_marks")) < 600:
                    Applier(own, folder, DISK).apply(7)
        except UserError as error:
            errors.append(error)

    threads = [threading.Thread(target=apply) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    (row,) = database.rows("SELECT requests, settled FROM balances")
    assert tuple(row) == (300, 300 * COST)
    assert reconcile(database, folder, DISK).balanced


def test_rows_keep_the_arm_the_release_the_person_and_the_original_through_a_settlement_and_a_crash(
    database: Database, tmp_path: Path
) -> None:
    under = {"release": "r1", "person": "0123456789abcdef"}
    story: list[Record] = [
        *(reserve("a", arm="stable", **under), settle("a")),
        *(reserve("b", arm="candidate", **under), settle("b")),
        *(reserve("c", arm="shadow", copy_of="a", key="purse", **under), progress("c", 90, 40)),
        *(reserve("d"), settle("d")),
    ]
    put_log(tmp_path / "wal", "w", story)
    drain(database, tmp_path / "wal")
    recover(database, tmp_path / "wal", DISK, "w", NOW)
    found = rows(database)
    columns = ("arm", "release_id", "person", "copy_of", "state")
    person = under["person"]
    assert [tuple(found[one][name] for name in columns) for one in "abcd"] == [
        ("stable", "r1", person, "", "settled"),
        ("candidate", "r1", person, "", "settled"),
        ("shadow", "r1", person, "a", "in-doubt"),
        ("", "", "", "", "settled"),
    ]
    assert reconcile(database, tmp_path / "wal", DISK).balanced


def test_a_stored_response_remembers_its_release_and_one_that_a_shadow_got_is_nobodys(database: Database, tmp_path: Path) -> None:
    story: list[Record] = []
    for name, arm in (("a", "stable"), ("b", "candidate"), ("c", "shadow")):
        story += [reserve(name, arm=arm, release="r1"), settle(name, detail={"response_id": f"resp_{name}"})]
    put_log(tmp_path / "wal", "w", story)
    drain(database, tmp_path / "wal")
    kept = [tuple(row) for row in database.rows("SELECT id, upstream FROM responses ORDER BY id")]
    assert kept == [("resp_a", "main"), ("resp_b", "r1~main")]
