"""When a worker is gone: every request that it admitted gets its end, by the rule in its reservation."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.fakes.ledger_records import FARE, everything, log_bytes, progress, put_log, reserve, rows, settle

from pilotbase.domain.metering import Tokens
from pilotbase.errors import UserError
from pilotbase.gateway.applying import Applier, read_mark
from pilotbase.gateway.ledger import Ledger
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.recovery import Recovered, recover, unclosed
from pilotbase.gateway.wal import encode
from pilotbase.gateway.wal_files import segment_path
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DISK = LocalDisk()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        yield opened


def balanced(database: Database, folder: Path) -> bool:
    report = reconcile(database, folder, DISK)
    return report.balanced and not report.waiting


@pytest.mark.parametrize(
    ("rule", "used", "cost", "tokens"),
    [
        ("progress", [], FARE.cost(Tokens(100, 0)), (100, 0)),
        ("progress", [progress("a", 0, 40)], FARE.cost(Tokens(100, 40)), (100, 40)),
        ("progress", [progress("a", 90, 40), progress("a", 90, 70)], FARE.cost(Tokens(90, 70)), (90, 70)),
        ("progress", [progress("a", 90, 9_000)], FARE.cost(Tokens(90, 9_000)), (90, 9_000)),
        ("reserved", [], 7_200, (0, 0)),
        ("reserved", [progress("a", 90, 40)], 7_200, (90, 40)),
        ("release", [progress("a", 90, 40)], 0, (0, 0)),
    ],
)
def test_a_request_without_an_end_is_settled_by_the_rule_of_its_route(
    database: Database, tmp_path: Path, rule: str, used: list[object], cost: int, tokens: tuple[int, int]
) -> None:
    put_log(tmp_path, "w", [reserve("a", in_doubt=rule), *used])  # type: ignore[list-item]
    found = recover(database, tmp_path, DISK, "w", NOW)
    assert (found.settled_in_doubt, found.nanos) == (1, (("CNY", cost),))
    row = rows(database)["a"]
    assert (row["state"], row["source"], row["outcome"]) == ("in-doubt", "policy", "in-doubt")
    assert row["settled"] + row["overrun"] == cost and row["settled"] + row["released"] == 7_200
    assert (row["tokens_in"], row["tokens_out"]) == tokens
    assert orjson.loads(row["detail"])["rule"] == rule
    (kept,) = database.rows("SELECT * FROM balances")
    assert (kept["settled"], kept["in_doubt"], kept["overrun"]) == (0, row["settled"], row["overrun"])
    assert balanced(database, tmp_path)


def test_what_was_settled_stays_settled_and_the_torn_tail_goes(database: Database, tmp_path: Path) -> None:
    torn = encode(settle("b"), 3)[:-5]
    put_log(tmp_path, "w", [reserve("a"), settle("a"), reserve("b")], tail=torn)
    found = recover(database, tmp_path, DISK, "w", NOW)
    assert found == Recovered(
        worker="w", records=3, settled_in_doubt=1, nanos=(("CNY", FARE.cost(Tokens(100, 0))),), torn_bytes=len(torn)
    )
    assert [row["state"] for row in rows(database).values()] == ["settled", "in-doubt"]
    assert not list(tmp_path.glob("*.wal*"))
    assert balanced(database, tmp_path)


def test_leases_are_taken_back_and_the_mark_is_closed(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000), ('v', 'key-1', 7)")
    put_log(tmp_path, "w", [reserve("a"), settle("a")])
    assert unclosed(database, tmp_path, DISK) == ["v", "w"]
    recover(database, tmp_path, DISK, "w", NOW)
    assert [row["worker"] for row in database.rows("SELECT worker FROM leases")] == ["v"]
    assert read_mark(database, "w").closed == "2026-11-21T12:00:00+00:00"
    assert unclosed(database, tmp_path, DISK) == ["v"]


def test_a_worker_that_never_wrote_gives_its_leases_back(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES ('w', 'key-1', 50000)")
    assert recover(database, tmp_path, DISK, "w", NOW) == Recovered(worker="w")
    assert unclosed(database, tmp_path, DISK) == []


def test_a_second_call_changes_nothing(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", [reserve("a"), reserve("b"), settle("b")])
    recover(database, tmp_path, DISK, "w", NOW)
    before = everything(database)
    assert recover(database, tmp_path, DISK, "w", NOW.replace(year=2027)) == Recovered(worker="w")
    assert everything(database) == before
    assert read_mark(database, "w").closed == "2026-11-21T12:00:00+00:00"


def test_a_log_shorter_than_what_was_applied_of_it_loses_nothing(database: Database, tmp_path: Path) -> None:
    path = put_log(tmp_path, "w", [reserve("a"), settle("a"), reserve("b")])
    Applier(database, tmp_path, DISK).apply()
    path.write_bytes(path.read_bytes()[:10])  # a power cut took what was never synced
    found = recover(database, tmp_path, DISK, "w", NOW)
    assert (found.settled_in_doubt, found.damaged) == (1, ())
    assert [row["state"] for row in rows(database).values()] == ["settled", "in-doubt"]
    assert balanced(database, tmp_path)


def test_damage_in_the_middle_is_told_and_the_file_is_kept(database: Database, tmp_path: Path) -> None:
    first = log_bytes([reserve("a"), settle("a")])
    second = bytearray(log_bytes([reserve("b"), settle("b"), reserve("c")], 2))
    second[len(log_bytes([reserve("b")])) + 30] ^= 1
    third = log_bytes([settle("c")], 5)
    segment_path(tmp_path, "w", 0).write_bytes(first)
    segment_path(tmp_path, "w", len(first)).write_bytes(second)
    segment_path(tmp_path, "w", len(first + second)).write_bytes(third)
    found = recover(database, tmp_path, DISK, "w", NOW)
    kept = [f"w-{start:016x}.wal.damaged" for start in (len(first), len(first + second))]
    assert found.damaged == tuple(kept) and found.why == "good records follow a bad one"
    assert found.lost_bytes == len(second + third) - len(log_bytes([reserve("b")]))
    assert (tmp_path / kept[0]).read_bytes() == second and (tmp_path / kept[1]).read_bytes() == third
    assert {name: row["state"] for name, row in rows(database).items()} == {"a": "settled", "b": "in-doubt"}
    report = reconcile(database, tmp_path, DISK)
    assert not report.balanced and all("set aside" in problem for problem in report.problems)
    assert recover(database, tmp_path, DISK, "w", NOW) == Recovered(worker="w")


def test_a_hole_between_two_files_is_damage(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path, "w", [reserve("a")])
    far = segment_path(tmp_path, "w", 5_000)
    far.write_bytes(log_bytes([settle("a")], 1))
    found = recover(database, tmp_path, DISK, "w", NOW)
    assert found.why == "the next file begins elsewhere than this one ends"
    assert f"{far.name}.damaged" in found.damaged
    assert rows(database)["a"]["state"] == "in-doubt"


def test_a_worker_that_still_writes_is_left_alone(database: Database, tmp_path: Path) -> None:
    async def run() -> None:
        ledger = Ledger(tmp_path, "w", DISK, segment=300)
        for name in "abc":
            await ledger.reserve(reserve(name))
        with pytest.raises(UserError, match="worker w still writes its ledger"):
            recover(database, tmp_path, DISK, "w", NOW)
        assert not rows(database)
        await ledger.aclose()

    asyncio.run(run())
    assert recover(database, tmp_path, DISK, "w", NOW).settled_in_doubt == 3
