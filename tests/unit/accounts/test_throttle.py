"""Waits after failed sign-ins: a rule of numbers, and what the database keeps for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotbase.accounts.throttle import ADDRESS, LOGIN, Rule, ThrottledError, clear, count, forget, sweep, wait
from pilotbase.store.database import Database

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
RULE = Rule(free=3, first=10, longest=60, window=600)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        yield found


def test_waits_grow_by_doubling_up_to_the_longest() -> None:
    assert [wait(n, 100, 100, RULE) for n in range(8)] == [0, 0, 0, 10, 20, 40, 60, 60]
    assert wait(10**9, 100, 100, RULE) == 60


def test_a_wait_runs_from_the_last_failure_and_ends() -> None:
    assert [wait(4, 100, now, RULE) for now in (100, 110, 119, 120, 500)] == [20, 10, 1, 0, 0]


def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_the_rule_says() -> None:
    assert wait(4, 10_000, 100, RULE) == 20


def tries(database: Database, login: str, address: str, now: datetime = NOW) -> int:
    """How many tries are let through at one moment."""
    for number in range(200):
        try:
            count(database, login, address, now)
        except ThrottledError:
            return number
    return 200


def test_a_login_is_throttled_from_whatever_address_it_is_tried(database: Database) -> None:
    for number in range(LOGIN.free):
        count(database, "li", f"10.0.0.{number}", NOW)
    with pytest.raises(ThrottledError) as caught:
        count(database, "li", "10.0.9.9", NOW)
    assert caught.value.status == 429 and caught.value.seconds == LOGIN.first
    count(database, "wang", "10.0.9.9", NOW)
    count(database, "li", "10.0.9.9", NOW + timedelta(seconds=LOGIN.first))


def test_an_address_is_throttled_whatever_login_it_tries(database: Database) -> None:
    for number in range(ADDRESS.free):
        count(database, f"user{number}", "10.0.0.1", NOW)
    assert tries(database, "another", "10.0.0.1") == 0
    assert tries(database, "another", "10.0.0.2") > 0


def test_ipv6_is_throttled_by_network_and_a_mapped_address_as_ipv4(database: Database) -> None:
    for number in range(ADDRESS.free):
        count(database, f"user{number}", f"2001:db8::{number:x}", NOW)
    assert tries(database, "a", "2001:db8::ffff") == 0 and tries(database, "b", "2001:db8:0:1::1") > 0
    for number in range(ADDRESS.free):
        count(database, f"other{number}", "::ffff:10.0.0.7", NOW)
    assert tries(database, "c", "10.0.0.7") == 0 and tries(database, "d", "::1") > 0


def test_a_try_that_is_refused_is_not_counted_and_makes_the_wait_no_longer(database: Database) -> None:
    assert tries(database, "li", "10.0.0.1") == LOGIN.free
    for _ in range(20):
        with pytest.raises(ThrottledError):
            count(database, "li", "10.0.0.1", NOW)
    count(database, "li", "10.0.0.1", NOW + timedelta(seconds=LOGIN.first))


def test_a_right_try_frees_its_login_and_not_the_address(database: Database) -> None:
    for number in range(ADDRESS.free - 2):
        count(database, f"user{number}", "10.0.0.1", NOW)
    for _ in range(3):
        forget(database, count(database, "mine", "10.0.0.1", NOW))
    count(database, "x", "10.0.0.1", NOW)
    count(database, "y", "10.0.0.1", NOW)
    assert tries(database, "z", "10.0.0.1") == 0


def test_a_new_password_frees_the_login(database: Database) -> None:
    assert tries(database, "li", "10.0.0.1") == LOGIN.free
    clear(database, "li")
    count(database, "li", "10.0.0.1", NOW)


def test_nothing_typed_is_kept_and_old_failures_are_swept(database: Database) -> None:
    count(database, "my-secret-password", "<script>", NOW)
    kept = str([tuple(row) for row in database.rows("SELECT * FROM login_failures")])
    assert "my-secret-password" not in kept and "<script>" not in kept
    assert sweep(database, NOW + timedelta(seconds=LOGIN.window - 1)) == 0
    assert sweep(database, NOW + timedelta(seconds=LOGIN.window)) == 2
