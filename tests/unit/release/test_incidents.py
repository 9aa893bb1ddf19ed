"""Incidents in the database, SQLite and PostgreSQL: one of a cause, compare-and-set, whole transactions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes import postgres

from pilotbase.domain.incident import (
    Action,
    Affected,
    Detection,
    FirstBad,
    Incident,
    Regression,
    Subject,
    Technique,
    preparing,
)
from pilotbase.domain.scenario import Titles
from pilotbase.errors import UserError
from pilotbase.release import incidents
from pilotbase.store.database import Database

place, postgres_server, postgres_url = postgres.place, postgres.postgres_server, postgres.postgres_url
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place / "pilotbase.db" if isinstance(place, Path) and place.is_dir() else place) as opened:
        yield opened


def incident(**more: Any) -> Incident:
    fields: dict[str, Any] = {
        "route": "chat",
        "kind": "incident",
        "severity": 3,
        "detected": NOW,
        "detected_by": Detection(by="alert", ref="a1"),
        "title": Titles(en="Wrong answers", zh="答错"),
    }
    return Incident(**{**fields, **more})


def whole() -> Incident:
    """One with something in every field."""
    return incident(
        summary=Titles(en="It answered wrongly.", zh="答错了。"),
        same="rel-1 accuracy",
        subject=Subject(release="rel-1", scenario="s", candidate="c", fingerprint="sha256:f", dossier="sha256:d", packs=("p@1",)),
        first_bad=FirstBad(request="r1", at=NOW - timedelta(minutes=3)),
        affected=Affected(requests=7, people=2, group="visitors"),
        harms=("privacy",),
        techniques=(Technique(tactic="AML.TA0011", technique="AML.T0029", note="flooded"),),
    )


def opened(database: Database, given: Incident | None = None) -> str:
    return incidents.open_incident(database, given or incident(), "controller", NOW)


def rollback(minutes: float = 1) -> Action:
    return Action(act="rollback", at=NOW + timedelta(minutes=minutes), who="controller", note="back to stable")


def test_what_is_stored_comes_back_in_every_field(database: Database) -> None:
    name = opened(database, whole())
    incidents.contain(database, name, rollback())
    incidents.resolve(database, name, "ann", NOW + timedelta(hours=1), cause="a bad index")
    cases = Regression(pilot="p", data="t.csv", cases=("x", "y"), before="sha256:a", after="sha256:b")
    waiting = incidents.change(database, name, lambda found: preparing(found, cases))
    assert incidents.find(database, name) == waiting and waiting.pending == cases
    done = incidents.close(database, name, "ann", NOW + timedelta(hours=2), regression=cases)
    found = incidents.find(database, name)
    assert found == done and found.version == 5
    assert incidents.incident_of(orjson.loads(orjson.dumps(incidents.document_of(found)))) == found
    assert incidents.document_of(found)["seconds_to"] == {"detect": 180.0, "contain": 60.0, "resolve": 3600.0}


def test_a_cause_has_one_open_incident_and_a_worse_severity_is_kept(database: Database) -> None:
    first = opened(database, incident(same="burn"))
    assert opened(database, incident(same="burn")) == first
    assert incidents.find(database, first).version == 1
    assert opened(database, incident(same="burn", severity=1)) == first
    assert incidents.find(database, first).severity == 1
    assert opened(database, incident(same="burn", severity=4)) == first
    assert incidents.find(database, first).severity == 1
    assert opened(database, incident(same="drift")) != first
    assert opened(database, incident(same="burn", route="other")) != first


def test_a_cause_that_comes_again_after_it_was_mended_is_another_incident(database: Database) -> None:
    first = opened(database, incident(same="burn"))
    incidents.contain(database, first, rollback())
    assert opened(database, incident(same="burn")) == first
    incidents.resolve(database, first, "ann", NOW)
    assert opened(database, incident(same="burn")) != first


def test_incidents_without_a_cause_are_never_taken_for_one_another(database: Database) -> None:
    assert opened(database) != opened(database)


def test_an_id_given_twice_is_stored_once(database: Database) -> None:
    assert opened(database, incident(id="inc-x")) == opened(database, incident(id="inc-x")) == "inc-x"
    assert len(incidents.list_incidents(database)) == 1


def test_a_change_that_found_another_version_is_refused(database: Database) -> None:
    name = opened(database)
    incidents.contain(database, name, rollback(), expect=1)
    with pytest.raises(UserError) as caught:
        incidents.resolve(database, name, "ann", NOW, expect=1)
    assert caught.value.status == 409
    assert "it is at version 2, and version 1 was to be changed" in str(caught.value)
    assert incidents.find(database, name).state == "contained"


def test_a_step_that_changes_nothing_writes_nothing(database: Database) -> None:
    name = opened(database)
    assert [incidents.contain(database, name, rollback(m)).version for m in (1, 2, 3)] == [2, 2, 2]


def test_opening_and_containing_are_part_of_the_callers_transaction(database: Database) -> None:
    with database.transaction():
        kept = opened(database, incident(same="kept"))
        incidents.contain(database, kept, rollback())
        assert incidents.find(database, kept).state == "contained"
    with pytest.raises(ZeroDivisionError), database.transaction():
        opened(database, incident(same="lost"))
        incidents.contain(database, kept, Action(act="disable", at=NOW, who="controller"))
        raise ZeroDivisionError
    assert [(one.same, len(one.actions)) for one in incidents.list_incidents(database)] == [("kept", 1)]


def test_lists_are_newest_first_and_by_route_kind_and_state(database: Database) -> None:
    old = opened(database, incident(detected=NOW - timedelta(days=1), kind="near-miss"))
    new = opened(database, incident(detected=NOW))
    other = opened(database, incident(route="other", detected=NOW - timedelta(hours=1)))
    incidents.contain(database, other, rollback())

    def ids(**wanted: Any) -> list[str]:
        return [one.id for one in incidents.list_incidents(database, **wanted)]

    assert ids() == [new, other, old]
    assert ids(limit=1) == [new]
    assert ids(route="chat") == [new, old]
    assert ids(kind="near-miss") == [old]
    assert ids(state="contained", route="other") == [other]


def test_an_unknown_incident_is_told_by_its_id(database: Database) -> None:
    with pytest.raises(UserError) as caught:
        incidents.find(database, "inc-none")
    assert caught.value.status == 404
    assert str(caught.value) == "there is no incident `inc-none`\n  see: pilotbase incident ls"


def test_who_was_affected_is_counted_in_the_ledger_from_the_first_bad_request_on(database: Database) -> None:
    base = {"worker": "w", "access_key": "k", "route": "chat", "endpoint": "chat", "day": "2026-11-21", "state": "settled"}
    base |= {"currency": "", "release_id": "rel-1"}
    start = int(NOW.timestamp() * 1_000_000)
    for number, (arm, person) in enumerate([("candidate", "p1"), ("candidate", "p1"), ("candidate", ""), ("stable", "p2")]):
        row = {**base, "id": f"r{number}", "started": start + number, "reserved": 0, "arm": arm, "person": person}
        database.execute(f"INSERT INTO requests ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    assert incidents.count_affected(database, "rel-1") == Affected(requests=3, people=1, group="candidate of release rel-1")
    since = NOW + timedelta(microseconds=1)
    assert incidents.count_affected(database, "rel-1", since).requests == 2
    assert incidents.count_affected(database, "rel-2").requests == 0
