"""Sampled requests and users' words in the database: the same on each kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.ledger_records import put_log, reserve, settle

from pilotbase.gateway.applying import Applier
from pilotbase.gateway.samples import keep, keep_feedback
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as opened:
        yield opened


def sample(name: str, **values: Any) -> dict[str, Any]:
    plain = {"request": name, "release": "r1", "arm": "stable", "at": 1_000, "endpoint": "chat", "streamed": False}
    return {**plain, "asked": "问\0", "answered": "答", **values}


def test_a_sample_is_kept_once_as_it_came_first_and_without_the_character_that_no_database_keeps(database: Database) -> None:
    keep(database, [sample("a")])
    keep(database, [sample("a", answered="another")])
    keep(database, [sample("b", asked=None, answered=None, streamed=True, arm="shadow")])
    rows = [tuple(row) for row in database.rows("SELECT request, arm, streamed, asked, answered FROM samples ORDER BY request")]
    assert rows == [("a", "stable", 0, "问", "答"), ("b", "shadow", 1, None, None)]


def test_the_last_word_of_the_key_that_asked_counts(database: Database, tmp_path: Path) -> None:
    put_log(tmp_path / "wal", "w", [reserve("a"), settle("a")])
    Applier(database, tmp_path / "wal", LocalDisk()).apply()
    assert keep_feedback(database, "a", "key-1", True, "", at=1)
    assert keep_feedback(database, "a", "key-1", False, "第二句是错的", at=2)
    assert not keep_feedback(database, "a", "key-2", True, "mine", at=3)
    assert not keep_feedback(database, "b", "key-1", True, "", at=4)
    (row,) = database.rows("SELECT request, access_key, at, good, comment FROM feedback")
    assert tuple(row) == ("a", "key-1", 2, 0, "第二句是错的")
