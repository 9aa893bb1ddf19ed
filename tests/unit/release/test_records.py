"""Releases on record: changed by compare-and-set, one under way a route, what happened in order, what was seen last."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.domain.release import TERMINAL, State
from pilotbase.errors import UserError
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.store.database import Database

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
STATES: tuple[State, ...] = get_args(State)


def release(name: str = "r1", **words: Any) -> Release:
    plain: dict[str, Any] = {
        "id": name, "route": "m", "state": "climbing", "rung": 0, "version": 1, "started": NOW, "changed": NOW,
        "document": {"plan": {"bearer": "李雷"}, "rung_since": 1},
    }  # fmt: skip
    return Release(**{**plain, **words})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        found.rows("PRAGMA synchronous = OFF")
        yield found


def test_what_was_put_on_record_is_read_back_as_it_was(database: Database) -> None:
    records.create(database, release(), who="user:li")
    assert records.find(database, "r1") == release() == records.under_way(database, "m")
    (event,) = records.events(database, "r1")
    assert (event.who, event.action, event.at) == ("user:li", "start", "2026-11-22T08:00:00.000000+00:00")
    assert records.find(database, "r2") is None and records.under_way(database, "n") is None


@pytest.mark.parametrize("state", [state for state in STATES if state not in TERMINAL])
def test_a_route_has_one_release_under_way(database: Database, state: State) -> None:
    records.create(database, release(state=state), who="x")
    with pytest.raises(UserError, match="under release already: r1") as caught:
        records.create(database, release("r2"), who="x")
    assert caught.value.status == 409 and "pilotbase release rollback m" in str(caught.value)
    assert records.find(database, "r2") is None and records.events(database, "r2") == []
    records.create(database, release("r3", route="n"), who="x")


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_release_that_is_over_makes_way_for_the_next(database: Database, state: State) -> None:
    records.create(database, release(), who="x")
    found = records.rewrite(database, release(), state=state, rung=0, document={}, now=NOW)
    assert found is not None and found.over
    assert records.under_way(database, "m") is None
    records.create(database, release("r2"), who="x")
    assert [one.id for one in records.list_releases(database, open_only=True)] == ["r2"]


def test_the_schema_itself_refuses_a_second_release_under_way(database: Database) -> None:
    records.create(database, release(), who="x")
    with pytest.raises(UserError):
        database.execute(
            "INSERT INTO releases (id, route, state, rung, version, started, changed, document)"
            " VALUES ('r2', 'm', 'paused', 0, 1, 'a', 'a', '{}')"
        )


def test_a_change_names_the_version_that_it_found_and_only_the_first_of_two_happens(database: Database) -> None:
    records.create(database, release(), who="x")
    found = records.find(database, "r1")
    assert found is not None
    later = NOW + timedelta(seconds=5)
    first = records.rewrite(database, found, state="paused", rung=0, document={"a": 1}, now=later)
    assert first is not None and (first.state, first.version, first.changed, first.document) == ("paused", 2, later, {"a": 1})
    assert first.started == NOW
    assert records.rewrite(database, found, state="full", rung=4, document={"b": 2}, now=later) is None
    assert records.find(database, "r1") == first
    assert records.rewrite(database, replace(first, id="nowhere"), state="full", rung=4, document={}, now=later) is None


def test_what_the_caller_undoes_is_undone_here_too(database: Database) -> None:
    records.create(database, release(), who="x")

    class Undone(Exception):
        pass

    with pytest.raises(Undone), database.transaction():
        records.rewrite(database, release(), state="rolled-back", rung=0, document={}, now=NOW)
        records.note(database, "r1", who="x", action="back", detail={}, now=NOW)
        records.write_sight(database, "r1", {"n": 1}, NOW)
        raise Undone
    assert records.find(database, "r1") == release() and len(records.events(database, "r1")) == 1
    assert records.read_sight(database, "r1") is None


def test_of_any_changes_from_any_readings_exactly_those_of_the_newest_reading_happen(database: Database) -> None:
    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STATES)), max_size=20))
    def check(turns: list[tuple[int, State]]) -> None:
        database.execute("DELETE FROM releases")
        records.create(database, release(), who="x")
        readings = [release()] * 4
        newest = release()
        for number, state in turns:
            done = records.rewrite(database, readings[number], state=state, rung=0, document={}, now=NOW)
            assert (done is not None) == (readings[number].version == newest.version)
            newest = done or newest
            readings[number] = newest
        assert records.find(database, "r1") == newest

    check()


def test_events_are_told_in_their_order_with_their_figures(database: Database) -> None:
    for i, action in enumerate(["start", "climb", "back"]):
        records.note(database, "r1", who="w", action=action, detail={"i": i}, now=NOW + timedelta(microseconds=i))
    records.note(database, "r2", who="w", action="start", detail={}, now=NOW)
    assert [(event.action, event.detail) for event in records.events(database, "r1")] == [
        ("start", {"i": 0}), ("climb", {"i": 1}), ("back", {"i": 2}),
    ]  # fmt: skip


def test_two_things_at_one_moment_are_both_kept(database: Database) -> None:
    for _ in range(20):
        records.note(database, "r1", who="w", action="a", detail={}, now=NOW)
    assert len(records.events(database, "r1")) == 20


def test_the_last_sight_replaces_the_one_before(database: Database) -> None:
    assert records.read_sight(database, "r1") is None
    records.write_sight(database, "r1", {"requests": 1}, NOW)
    east = NOW.astimezone(timezone(timedelta(hours=8))) + timedelta(seconds=1)
    records.write_sight(database, "r1", {"requests": 2}, east)
    assert records.read_sight(database, "r1") == (east, {"requests": 2})


def test_a_reference_is_kept_once_and_replaced(database: Database) -> None:
    assert records.read_reference(database, "r1") is None
    records.write_reference(database, "r1", {"columns": [1]})
    records.write_reference(database, "r1", {"columns": [2]})
    assert records.read_reference(database, "r1") == {"columns": [2]}


def test_releases_are_listed_newest_first_of_a_route_and_up_to_a_number(database: Database) -> None:
    for i in range(5):
        moment = NOW + timedelta(minutes=i)
        records.create(database, release(f"r{i}", route=f"route-{i % 2}-{i}", started=moment), who="x")
    assert [one.id for one in records.list_releases(database)] == ["r4", "r3", "r2", "r1", "r0"]
    assert [one.id for one in records.list_releases(database, limit=2)] == ["r4", "r3"]
    assert [one.id for one in records.list_releases(database, route="route-1-3")] == ["r3"]
