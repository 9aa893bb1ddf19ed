"""Sessions: their two limits, what the database keeps of them, and whom they let in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotbase.accounts import sessions
from pilotbase.accounts.rows import COLUMNS
from pilotbase.store.audit import entries
from pilotbase.store.database import Database

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        for name in ("li", "wang"):
            row = (f"mem_{name}", name, name, "org", '["engineer"]', "", "", NOW.isoformat(), None, 1)
            found.execute(f"INSERT INTO members ({COLUMNS}, password) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')", row)
        yield found


def test_a_session_that_is_used_lives_on_and_ends_after_seven_days_whatever_happens(database: Database) -> None:
    token, _ = sessions.begin(database, "mem_li", NOW)
    now = NOW
    while now < NOW + sessions.WHOLE:
        assert sessions.find(database, token, now) is not None
        now += timedelta(hours=11)
    assert sessions.find(database, token, NOW + sessions.WHOLE - timedelta(seconds=1)) is not None
    assert sessions.find(database, token, NOW + sessions.WHOLE) is None


def test_a_session_ends_twelve_hours_after_its_last_use(database: Database) -> None:
    token, _ = sessions.begin(database, "mem_li", NOW)
    assert sessions.find(database, token, NOW + sessions.IDLE - timedelta(seconds=1)) is not None
    token, _ = sessions.begin(database, "mem_li", NOW)
    assert sessions.find(database, token, NOW + sessions.IDLE) is None


def test_its_use_is_written_once_a_minute(database: Database) -> None:
    token, _ = sessions.begin(database, "mem_li", NOW)

    def seen() -> int:
        return int(database.rows("SELECT seen FROM sessions")[0]["seen"]) - int(NOW.timestamp())

    told = []
    for seconds in (1, 59, 60, 61, 119, 120):
        sessions.find(database, token, NOW + timedelta(seconds=seconds))
        told.append(seen())
    assert told == [0, 0, 60, 60, 60, 120]


def test_tokens_are_long_and_new_and_the_database_keeps_none(database: Database) -> None:
    made = [sessions.begin(database, "mem_li", NOW) for _ in range(3)]
    assert len({text for pair in made for text in pair}) == 6 and all(len(token) >= 43 for token, _ in made)
    kept = str([tuple(row) for row in database.rows("SELECT * FROM sessions")])
    assert all(token not in kept for token, _ in made)


@pytest.mark.parametrize("token", ["", "x", "mem_li", "' OR 1=1", "\0", "\ud800", "x" * 10_000])
def test_any_other_text_is_nobody(database: Database, token: str) -> None:
    sessions.begin(database, "mem_li", NOW)
    assert sessions.find(database, token, NOW) is None
    sessions.end(database, token)
    assert len(sessions.list_sessions(database, "mem_li", NOW)) == 1


def test_a_disabled_or_missing_member_is_not_let_in(database: Database) -> None:
    token, _ = sessions.begin(database, "mem_li", NOW)
    nobody, _ = sessions.begin(database, "mem_none", NOW)
    assert sessions.find(database, nobody, NOW) is None
    database.execute("UPDATE members SET disabled = ? WHERE id = 'mem_li'", (NOW.isoformat(),))
    assert sessions.find(database, token, NOW) is None


def test_members_see_and_end_their_own_sessions_alone(database: Database) -> None:
    mine, _ = sessions.begin(database, "mem_li", NOW)
    other, _ = sessions.begin(database, "mem_wang", NOW)
    (listed,) = sessions.list_sessions(database, "mem_wang", NOW)
    found = sessions.find(database, other, NOW)
    assert found is not None and found.session == listed.id and listed.expires == NOW + sessions.IDLE
    assert not sessions.end_one(database, "mem_li", listed.id, who="member:li", now=NOW)
    assert sessions.end_one(database, "mem_wang", listed.id, who="member:wang", now=NOW)
    assert [e.action for e in entries(database)] == ["session.end"]
    assert sessions.end_all(database, "mem_wang") == 0
    sessions.end(database, mine)
    assert sessions.find(database, mine, NOW) is None


def test_ended_sessions_are_not_listed_and_are_swept(database: Database) -> None:
    sessions.begin(database, "mem_li", NOW)
    later = NOW + timedelta(hours=13)
    kept, _ = sessions.begin(database, "mem_li", later)
    assert len(sessions.list_sessions(database, "mem_li", later)) == 1
    assert sessions.sweep(database, later) == 1 and sessions.find(database, kept, later) is not None
