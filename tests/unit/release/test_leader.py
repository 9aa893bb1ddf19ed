"""One leader of several controllers, whatever their clocks say."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.release.leader import PATIENCE, Leader
from pilotbase.store.database import Database


@dataclass
class Clock:
    """Monotonic seconds of one machine, from anywhere."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        found.rows("PRAGMA synchronous = OFF")
        yield found


def test_the_first_one_leads_and_the_second_waits(database: Database) -> None:
    first, second = Leader("a", Clock()), Leader("b", Clock())
    assert first.campaign(database) and first.holds(database)
    assert not second.campaign(database) and not second.holds(database)
    assert first.campaign(database) and first.term == 1


def test_a_leader_that_shows_its_work_is_never_replaced(database: Database) -> None:
    clock = Clock()
    first, second = Leader("a", Clock()), Leader("b", clock)
    for _ in range(20):
        assert first.campaign(database)
        first.beat(database)
        assert not second.campaign(database) and second.alive
        clock.now += PATIENCE - 0.1


def test_one_that_shows_no_work_for_the_patience_of_another_is_replaced_and_knows_it(database: Database) -> None:
    clock = Clock(5_000.0)
    first, second = Leader("a", Clock()), Leader("b", clock)
    assert first.campaign(database)
    first.beat(database)
    assert not second.campaign(database)
    clock.now += PATIENCE - 0.01
    assert not second.campaign(database)
    clock.now += 0.02
    assert not second.alive  # nobody has shown that releases are watched
    assert second.campaign(database) and second.term == 2
    with database.transaction():
        assert not first.holds(database) and second.holds(database)
    assert not first.campaign(database) and not first.holds(database)


def test_one_that_only_campaigns_and_does_not_do_its_work_is_replaced_too(database: Database) -> None:
    clock = Clock()
    stuck, other = Leader("a", Clock()), Leader("b", clock)
    for _ in range(4):
        stuck.campaign(database)
        led = other.campaign(database)
        clock.now += PATIENCE / 2
    assert led


def test_beats_of_one_that_was_replaced_count_for_nothing(database: Database) -> None:
    clock = Clock()
    first, second = Leader("a", Clock()), Leader("b", clock)
    first.campaign(database)
    second.campaign(database)
    clock.now += PATIENCE
    assert second.campaign(database)
    before = database.row("SELECT beat FROM leaders")
    first.beat(database)
    assert database.row("SELECT beat FROM leaders") == before


def test_one_that_resigns_makes_way_at_once(database: Database) -> None:
    first, second = Leader("a", Clock()), Leader("b", Clock())
    first.campaign(database)
    second.resign(database)  # it is not its to give
    assert first.holds(database)
    first.resign(database)
    assert not first.holds(database)
    assert second.campaign(database) and second.term == 2
    assert not first.campaign(database)


def test_a_replaced_leader_that_leads_again_has_a_new_term_in_which_its_old_decisions_hold_no_more(database: Database) -> None:
    clock, own = Clock(), Clock()
    first, second = Leader("a", own), Leader("b", clock)
    first.campaign(database)
    term = first.term
    second.campaign(database)
    clock.now += PATIENCE
    assert second.campaign(database)
    assert not first.campaign(database)
    own.now += PATIENCE
    assert first.campaign(database) and first.term == term + 2


def test_offices_are_held_apart(database: Database) -> None:
    assert Leader("a", Clock(), office="release").campaign(database)
    assert Leader("b", Clock(), office="other").campaign(database)


def test_no_two_ever_lead_at_once_and_terms_only_grow(database: Database) -> None:
    """Three of them on one database, each with a clock of its own that passes as it likes."""

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 2 * PATIENCE), st.booleans()), max_size=25))
    def check(turns: list[tuple[int, float, bool]]) -> None:
        database.execute("DELETE FROM leaders")
        clocks = [Clock(1_000.0 * i) for i in range(3)]
        leaders = [Leader(f"l{i}", clock) for i, clock in enumerate(clocks)]
        last = 0
        for number, passes, works in turns:
            clocks[number].now += passes
            leads = leaders[number].campaign(database)
            if leads and works:
                leaders[number].beat(database)
            holding = [one for one in leaders if one.term and one.holds(database)]
            assert len(holding) == 1 and leads == (holding[0] is leaders[number])
            assert holding[0].term >= last
            last = holding[0].term

    check()
