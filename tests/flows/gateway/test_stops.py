"""`pilotbase stop` and `resume`: what a name means, and that it is said."""

from pathlib import Path

import pytest
from tests.flows.stories import pilotbase

from pilotbase.gateway.audit import entries
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.secret_key import split
from pilotbase.gateway.stops import list_stops
from pilotbase.store.database import Database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    assert pilotbase(found, "route", "add", "chat", "--upstream", "http://127.0.0.1:9/v1").code == 0
    return found


def key(home: Path, name: str) -> str:
    return split(pilotbase(home, "key", "create", name).out.strip()) or ""


def stopped(home: Path) -> set[tuple[str, str]]:
    with Database(home / "pilotbase.db") as database:
        return {(stop.kind, stop.name) for stop in list_stops(database)}


def test_a_name_is_found_to_be_a_route_or_a_key(home: Path) -> None:
    acme = key(home, "acme")
    assert pilotbase(home, "stop", "chat", "--why", "incident").out == "stopped route `chat`\n"
    assert pilotbase(home, "stop", "acme", "--why", "abuse").code == 0
    assert stopped(home) == {("route", "chat"), ("key", acme)}
    said = pilotbase(home, "resume", acme)
    assert said.code == 0 and "still stopped: route chat" in said.out and "incident" in said.out
    assert stopped(home) == {("route", "chat")}


def test_a_name_that_may_mean_both_changes_nothing_until_it_is_said_which(home: Path) -> None:
    ours = key(home, "chat")
    said = pilotbase(home, "stop", "chat", "--why", "incident")
    assert said.code == 2 and "may mean route `chat`, key" in said.err and "--route" in said.err
    assert stopped(home) == set()
    assert pilotbase(home, "stop", "chat", "--key", "--why", "incident").code == 0
    assert stopped(home) == {("key", ours)}
    assert pilotbase(home, "stop", "chat", "--route", "--why", "incident").code == 0
    assert pilotbase(home, "resume", "chat", "--key").code == 0
    assert stopped(home) == {("route", "chat")}


def test_all_stops_everything_and_is_undone_by_itself_alone(home: Path) -> None:
    pilotbase(home, "stop", "chat", "--why", "incident")
    assert pilotbase(home, "stop", "ALL", "--why", "fire").out == "stopped all traffic\n"
    assert stopped(home) == {("route", "chat"), ("all", "")}
    assert pilotbase(home, "resume", "ALL").code == 0
    assert stopped(home) == {("route", "chat")}
    assert pilotbase(home, "stop", "all", "--why", "fire").code == 2, "only in capitals, so that no route is meant"


def test_stopping_twice_is_told_and_changes_nothing(home: Path) -> None:
    pilotbase(home, "stop", "chat", "--why", "one")
    assert "nothing changed" in pilotbase(home, "stop", "chat", "--why", "two").out
    assert pilotbase(home, "resume", "chat").code == 0
    assert "nothing changed" in pilotbase(home, "resume", "chat").out
    with Database(home / "pilotbase.db") as database:
        assert [e.action for e in entries(database)] == ["resume", "stop", "route.add"]


@pytest.mark.parametrize("why", ["", "   ", "a\nb", "x" * 501])
def test_a_stop_without_a_usable_reason_is_refused(home: Path, why: str) -> None:
    assert pilotbase(home, "stop", "chat", "--why", why).code == 2
    assert pilotbase(home, "stop", "chat").code == 2
    assert stopped(home) == set()


def test_a_route_that_was_removed_while_stopped_can_still_be_resumed(home: Path) -> None:
    pilotbase(home, "stop", "chat", "--why", "incident")
    assert pilotbase(home, "route", "rm", "chat").code == 0
    assert pilotbase(home, "resume", "chat").code == 0
    assert stopped(home) == set()
    assert "no route and no key `chat`" in pilotbase(home, "stop", "chat", "--why", "x").err


def test_workers_are_told_at_once_and_a_broken_page_is_told_with_the_change_kept(home: Path) -> None:
    with EpochPage.open(home) as page:
        before = page.value
        pilotbase(home, "stop", "chat", "--why", "incident")
        assert page.value == before + 1
    (home / "gateway" / "epoch").write_bytes(b"123")
    said = pilotbase(home, "stop", "ALL", "--why", "fire")
    assert said.code == 1 and "the change is recorded" in said.err
    assert ("all", "") in stopped(home)
