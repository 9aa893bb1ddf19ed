"""`pilotbase usage` and `usage reconcile` over rows as the ledger keeps them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.flows.stories import pilotbase

from pilotbase.store.database import Database

DAYS = ("2026-11-19", "2026-11-20", "2026-11-21")
NANO = 1_000_000_000


def row(database: Database, number: int, **more: Any) -> None:
    day = DAYS[number % 3]
    found = {
        "id": f"r{number}",
        "worker": "w",
        "access_key": "keyA" if number % 2 else "keyB",
        "route": "chat",
        "endpoint": "chat",
        "day": day,
        "started": int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1e6) + number,
        "state": "settled",
        "currency": "CNY",
        "reserved": 10,
        "settled": 4,
        "released": 6,
        "tokens_in": 100,
        "tokens_out": 7,
        "source": "upstream",
        **more,
    }
    words = ", ".join(found)
    database.execute(f"INSERT INTO requests ({words}) VALUES ({', '.join('?' * len(found))})", tuple(found.values()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    with Database(found / "pilotbase.db") as database:
        for number in range(6):
            row(database, number)
        row(database, 6, settled=10, released=0, overrun=2 * NANO, source="estimate")
        row(database, 7, state="open", settled=0, released=0, reserved=3 * NANO, tokens_in=0, tokens_out=0, source="none")
        row(database, 8, state="in-doubt", source="policy")
    return found


def rows(home: Path, *flags: str) -> list[dict[str, Any]]:
    found = pilotbase(home, "usage", "--json", *flags).json["rows"]
    assert isinstance(found, list)
    return found


def test_amounts_are_exact_and_overruns_are_part_of_what_was_spent(home: Path) -> None:
    one, two = rows(home)
    assert (one["key"], one["requests"], one["tokens_in"], one["spent"]) == ("keyA", 4, 300, "0.000000012 CNY")
    assert (one["held"], one["under_way"]) == ("3 CNY", 1)
    assert (two["key"], two["spent"], two["estimated"], two["in_doubt"]) == ("keyB", "2.000000026 CNY", 1, 1)


@pytest.mark.parametrize("by", ["key", "route", "day"])
def test_every_way_to_sum_counts_every_request_once(home: Path, by: str) -> None:
    found = rows(home, "--by", by)
    assert sum(one["requests"] for one in found) == 9
    assert sum(one["tokens_out"] for one in found) == 8 * 7
    shown = pilotbase(home, "usage", "--by", by)
    assert shown.code == 0 and all(str(one[by]) in shown.out for one in found)


def test_a_time_counts_from_its_first_moment_up_to_its_last(home: Path) -> None:
    found = rows(home, "--by", "day", "--since", "2026-11-20", "--until", "2026-11-21")
    assert [(one["day"], one["requests"]) for one in found] == [("2026-11-20", 3)]
    assert "no requests in this time" in pilotbase(home, "usage", "--until", "2020-01-01").out
    assert "neither a moment nor a duration" in pilotbase(home, "usage", "--since", "yesterday").err


def test_a_request_without_a_price_is_counted_and_costs_nothing(home: Path) -> None:
    with Database(home / "pilotbase.db") as database:
        row(database, 9, currency="", reserved=0, settled=0, released=0)
    assert {(one["key"], one["spent"]) for one in rows(home) if one["requests"] == 1} == {("keyA", None)}
    assert pilotbase(home, "usage").code == 0


def test_reconcile_says_with_its_exit_code_whether_the_ledger_adds_up(home: Path) -> None:
    said = pilotbase(home, "usage", "reconcile")
    assert said.code == 1
    assert "WRONG: " in said.out and said.out.endswith("not balanced\n")
    told = pilotbase(home, "usage", "reconcile", "--json")
    assert told.code == 1 and told.json["balanced"] is False and told.json["problems"]
    empty = pilotbase(home.parent / "empty", "usage", "reconcile")
    assert empty.code == 0 and empty.out.startswith("balanced")
    assert pilotbase(home.parent / "empty", "usage", "reconcile", "--json").json["balanced"] is True
