"""Releases and their leader on SQLite and on PostgreSQL alike, with several connections at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.errors import UserError
from pilotbase.release import records
from pilotbase.release.leader import PATIENCE, Leader
from pilotbase.release.records import Release
from pilotbase.store.database import Database

__all__ = ["place", "postgres_server", "postgres_url"]

NOW = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)


def release(name: str = "r1", route: str = "m") -> Release:
    return Release(
        id=name, route=route, state="climbing", rung=0, version=1, started=NOW, changed=NOW, document={"bearer": "李雷 \u00df"}
    )


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as found:
        yield found


@pytest.fixture
def connections(place: Path | str, database: Database) -> Iterator[list[Database]]:
    """Four connections of their own."""
    with ExitStack() as stack:
        yield [stack.enter_context(Database(place)) for _ in range(4)]


def together(work: Callable[[Database], object], connections: list[Database]) -> list[object]:
    """What each of the threads that began at one instant, one a connection, returned or raised."""
    start = threading.Barrier(len(connections))
    found: list[object] = []

    def one(database: Database) -> None:
        start.wait(timeout=60)
        try:
            found.append(work(database))
        except UserError as error:
            found.append(error)

    threads = [threading.Thread(target=one, args=(database,)) for database in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_release_comes_back_as_it_was_put(database: Database) -> None:
    records.create(database, release(), who="user:li")
    found = records.find(database, "r1")
    assert found == release() and found.started.microsecond == 123456
    assert records.under_way(database, "m") == found
    assert [event.action for event in records.events(database, "r1")] == ["start"]


def test_a_second_release_of_a_route_is_refused_and_leaves_nothing(database: Database) -> None:
    records.create(database, release(), who="x")
    with pytest.raises(UserError, match="under release already"):
        records.create(database, release("r2"), who="x")
    assert records.find(database, "r2") is None and records.events(database, "r2") == []
    done = records.rewrite(database, release(), state="ended", rung=1, document={}, now=NOW)
    assert done is not None and done.version == 2
    records.create(database, release("r2"), who="x")
    assert [one.id for one in records.list_releases(database, open_only=True)] == ["r2"]


def test_of_several_who_start_at_once_one_does(connections: list[Database]) -> None:
    names = iter(["a", "b", "c", "d"])
    found = together(lambda database: records.create(database, release(next(names)), who="x"), connections)
    assert found.count(None) == 1 and sum(isinstance(one, UserError) for one in found) == 3
    assert len(records.list_releases(connections[0])) == 1


def test_of_several_changes_from_one_reading_one_happens(connections: list[Database]) -> None:
    records.create(connections[0], release(), who="x")

    def change(database: Database) -> Release | None:
        with database.transaction():
            done = records.rewrite(database, release(), state="rolled-back", rung=0, document={}, now=NOW)
            if done is not None:
                records.note(database, "r1", who="x", action="back", detail={}, now=NOW)
            return done

    found = together(change, connections)
    assert sum(one is not None for one in found) == 1 and not any(isinstance(one, UserError) for one in found)
    stored = records.find(connections[1], "r1")
    assert stored is not None and stored.version == 2
    assert sorted(event.action for event in records.events(connections[2], "r1")) == ["back", "start"]


def test_a_change_that_its_caller_undoes_was_never_there(database: Database) -> None:
    records.create(database, release(), who="x")
    with pytest.raises(ZeroDivisionError), database.transaction():
        records.rewrite(database, release(), state="held", rung=0, document={}, now=NOW)
        records.note(database, "r1", who="x", action="hold", detail={}, now=NOW)
        raise ZeroDivisionError
    assert records.find(database, "r1") == release() and len(records.events(database, "r1")) == 1


def test_sights_and_references_are_replaced_and_events_kept_in_order(database: Database) -> None:
    for i in range(3):
        moment = NOW + timedelta(seconds=i)
        records.write_sight(database, "r1", {"n": i}, moment)
        records.write_reference(database, "r1", {"n": i})
        records.note(database, "r1", who="x", action=f"a{i}", detail={"n": i}, now=moment)
    assert records.read_sight(database, "r1") == (NOW + timedelta(seconds=2), {"n": 2})
    assert records.read_reference(database, "r1") == {"n": 2}
    assert [event.action for event in records.events(database, "r1")] == ["a0", "a1", "a2"]


def test_of_several_who_campaign_at_once_one_leads(connections: list[Database]) -> None:
    leaders = {id(database): Leader(f"l{i}", lambda: 0.0) for i, database in enumerate(connections)}
    found = together(lambda database: leaders[id(database)].campaign(database), connections)
    assert sorted(map(str, found)) == ["False", "False", "False", "True"]
    assert sum(leaders[id(database)].holds(database) for database in connections) == 1


def test_of_several_who_lost_patience_at_once_one_takes_the_place_and_the_old_one_knows(connections: list[Database]) -> None:
    clock = [0.0]
    old, *heirs = connections
    first = Leader("old", lambda: 0.0)
    leaders = {id(database): Leader(f"l{i}", lambda: clock[0]) for i, database in enumerate(heirs)}
    assert first.campaign(old)
    first.beat(old)
    assert not any(leaders[id(database)].campaign(database) for database in heirs)
    clock[0] += PATIENCE
    found = together(lambda database: leaders[id(database)].campaign(database), heirs)
    assert found.count(True) == 1
    with old.transaction():
        assert not first.holds(old)
    assert not first.campaign(old)


def test_a_leader_replaced_before_its_transaction_sees_so_inside_it(connections: list[Database]) -> None:
    clock = [0.0]
    one, other, *_ = connections
    first, second = Leader("first", lambda: 0.0), Leader("second", lambda: clock[0])
    assert first.campaign(one) and not second.campaign(other)
    clock[0] += PATIENCE
    assert second.campaign(other)
    with one.transaction():
        assert not first.holds(one)
    with other.transaction():
        assert second.holds(other)
    second.resign(other)
    assert first.campaign(one) and first.term == 3
