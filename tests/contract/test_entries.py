"""Needs and capabilities in the catalogue, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.catalog import entries
from pilotbase.domain.entry import Acceptance, Capability, Certificate, Need
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.database import Database

__all__ = ["place", "postgres_server", "postgres_url"]

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as found:
        yield found


def a_need(**given: object) -> Need:
    fields: dict[str, object] = {"title": "肺结节初筛", "text": "基层医院胸片初筛", "area": "livelihood", "tags": ("胸片",)}
    return Need(**{"id": "", "organisation": "org_1", "created": NOW, **fields, **given})  # type: ignore[arg-type]


def test_a_need_is_drafted_changed_published_and_withdrawn(database: Database) -> None:
    made = entries.create(database, a_need(), who="member:li", now=NOW)
    assert (made.state, made.version, entries.find(database, Need, made.id)) == ("draft", 1, made)
    with pytest.raises(InvalidInput) as refused:
        entries.set_state(database, Need, made.id, "published", version=1, who="member:li", now=NOW)
    assert "without acceptance checks" in refused.value.problems[0]
    checks = (Acceptance(metric="sensitivity", require=">= 0.95"),)
    fuller = entries.change(database, replace(made, acceptance=checks, organisation="org_2"), who="member:li", now=NOW)
    assert (fuller.version, fuller.acceptance, fuller.organisation) == (2, checks, "org_1")
    out = entries.set_state(database, Need, made.id, "published", version=2, who="member:li", now=NOW)
    assert (out.state, out.published, out) == ("published", NOW, entries.find(database, Need, made.id))
    gone = entries.set_state(database, Need, made.id, "withdrawn", version=3, who="member:li", now=NOW + timedelta(days=1))
    assert (gone.state, gone.published) == ("withdrawn", NOW)
    with pytest.raises(UserError, match="withdrawn cannot become withdrawn"):
        entries.set_state(database, Need, made.id, "withdrawn", version=4, who="member:li", now=NOW)
    assert [one.kind for one in entries.events(database, made.id)] == ["create", "change", "published", "withdrawn"]


def test_who_changes_an_entry_second_is_refused_and_loses_nothing(database: Database) -> None:
    made = entries.create(database, a_need(), who="member:li", now=NOW)
    first = entries.change(database, replace(made, title="first"), who="member:li", now=NOW)
    with pytest.raises(UserError, match="somebody else changed this need meanwhile") as refused:
        entries.change(database, replace(made, title="second"), who="member:wu", now=NOW)
    assert refused.value.status == 409
    assert entries.find(database, Need, made.id) == first


def test_a_capability_keeps_its_evidence_and_papers(database: Database) -> None:
    given = Capability(
        id="", organisation="org_2", created=NOW, title="Nodule finder", text="Finds nodules", deployments=("on-premises",),
        areas=("livelihood",), data=("personal",), price="2000 CNY", evidence=("sha256:" + "0" * 64,),
        certificates=(Certificate(name="NMPA III", number="123", until=date(2028, 1, 1)),),
    )  # fmt: skip
    made = entries.create(database, given, who="member:wu", now=NOW)
    assert entries.find(database, Capability, made.id) == made
    assert made.certificates == given.certificates
    assert entries.find(database, Need, made.id) is None


def test_all_that_is_wrong_is_told_at_once(database: Database) -> None:
    wrong = a_need(
        title=" ",
        text="",
        area="mars",
        budget="much",
        data="secret",
        deployments=("moon",),
        acceptance=(Acceptance(metric="", require="better"),),
    )
    with pytest.raises(InvalidInput) as refused:
        entries.create(database, wrong, who="member:li", now=NOW)
    told = [line.split(":")[0] for line in refused.value.problems]
    assert told == ["title", "text", "deployments", "area", "data", "budget", "acceptance.0.metric", "acceptance.0.require"]
    assert entries.list_entries(database, Need) == []


def test_entries_are_listed_newest_first_page_by_page_and_by_what_they_are(database: Database) -> None:
    made = [
        entries.create(
            database,
            a_need(title=f"need {i}", organisation=f"org_{i % 2}", area="industry" if i % 3 else "science"),
            who="t",
            now=NOW + timedelta(hours=i // 2),
        )
        for i in range(7)
    ]
    listed, before = [], None
    while page := entries.list_entries(database, Need, before=before, limit=3):
        listed += page
        before = page[-1].id
    assert sorted(one.id for one in listed) == sorted(one.id for one in made) and len(listed) == 7
    assert [one.created for one in listed] == sorted((one.created for one in made), reverse=True)
    assert {one.title for one in entries.list_entries(database, Need, area="science")} == {"need 0", "need 3", "need 6"}
    assert len(entries.list_entries(database, Need, organisation="org_1")) == 3
    assert entries.list_entries(database, Need, state="published") == []
    with pytest.raises(UserError, match="there is no need `need_x`"):
        entries.list_entries(database, Need, before="need_x")
