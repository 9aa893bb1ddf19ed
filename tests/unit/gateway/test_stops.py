"""The kill switch's records."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotbase.domain.access import StopKind
from pilotbase.gateway import audit, stops
from pilotbase.gateway.changes import changes_since
from pilotbase.store.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "pilotbase.db") as opened:
        yield opened


def stop(database: Database, kind: StopKind = "route", name: str = "chat") -> bool:
    return stops.stop(database, kind, name, why="incident", who="user:ann", now=NOW)


def resume(database: Database, kind: StopKind = "route", name: str = "chat") -> bool:
    return stops.resume(database, kind, name, why="mended", who="user:bob", now=NOW + timedelta(1))


def test_a_stop_reaches_the_workers_with_the_next_epoch(database: Database) -> None:
    before = changes_since(database, -1).epoch
    assert stop(database) and stop(database, "all", "")
    told = changes_since(database, before)
    assert told.epoch == before + 2
    assert told.document()["stops"] == [["all", ""], ["route", "chat"]]
    assert (told.stops[1].why, told.stops[1].who, told.stops[1].since) == ("incident", "user:ann", NOW)


def test_stopping_and_resuming_twice_change_nothing_more(database: Database) -> None:
    assert [stop(database), stop(database)] == [True, False]
    assert audit.stored_epoch(database) == 1
    assert [resume(database), resume(database)] == [True, False]
    assert audit.stored_epoch(database) == 2
    assert stops.list_stops(database) == []
    assert [(e.action, e.who, e.subject, e.detail["why"]) for e in audit.entries(database)] == [
        ("resume", "user:bob", "route chat", "mended"),
        ("stop", "user:ann", "route chat", "incident"),
    ]


def test_resuming_one_thing_leaves_the_other_stops(database: Database) -> None:
    stop(database)
    stop(database, "key", "chat")
    stop(database, "all", "")
    resume(database, "key", "chat")
    assert {(s.kind, s.name) for s in stops.list_stops(database)} == {("route", "chat"), ("all", "")}
