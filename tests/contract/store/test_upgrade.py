"""A database of every earlier schema, with rows of that time, is opened by today's code: no row is lost, and all of it works."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.filled_tables import everything_in, fill_tables, kinds

from pilotbase.accounts import members
from pilotbase.gateway import keys
from pilotbase.pilots.records import create_run
from pilotbase.release.incidents import list_incidents
from pilotbase.store import audit
from pilotbase.store.chain import next_info
from pilotbase.store.database import Database, migrations
from pilotbase.store.index import DatabaseIndex

NEWEST = len(migrations())
NOW = datetime(2031, 1, 1, tzinfo=UTC)
SAID = "INSERT INTO audit (id, at, who, action, subject, detail) VALUES (?, ?, 'user:a', 'key.create', 's', '{}')"


def of_its_time(place: Path | str, schema: int) -> dict[str, list[tuple[object, ...]]]:
    """A database of that schema with rows in every table, and an audit log of three entries where there is one."""
    with Database(place, schema=schema) as old:
        assert old.schema == schema
        fill_tables(old, schema)
        tables = set(old.tables())
        for table in {"audit", "audit_chain", "incidents"} & tables:
            old.execute(f"DELETE FROM {table}")  # what is read back as documents, and the chain, must be genuine
        for i in range(3 if "audit" in tables else 0):
            if "audit_chain" in tables:
                audit.write(old, who="user:a", action="key.create", subject="s", detail={}, at=NOW)
            else:
                old.execute(SAID, (f"2026-01-0{i + 1}", f"2026-01-0{i + 1}T00:00:00.000000+00:00"))
        return everything_in(old, kinds(schema))


@pytest.mark.parametrize("schema", range(1, NEWEST))
def test_no_row_is_lost_and_what_is_there_today_works(place: Path | str, schema: int) -> None:
    before = of_its_time(place, schema)
    with Database(place) as database:
        assert database.schema == NEWEST and set(database.tables()) == set(kinds(NEWEST))
        assert everything_in(database, kinds(schema)) == before
        report = audit.verify(database)
        assert report.broken is None and report.entries == len(before.get("audit", ()))
        words = {"spec_digest": "s", "criteria_digest": "c", "data_digest": "d", "scenario": "x", "now": "2031"}
        made = create_run(database, pilot="new", options={"candidates": [{"id": "a", "fingerprint": "f"}]}, **words)
        assert [row["run"] for row in database.rows("SELECT run FROM runs ORDER BY rowid DESC")] == [
            made.run,
            "run-2",
            "run-1",
            "run-0",
        ]
        DatabaseIndex(database, "new-1/a").add(next_info(None, b"segment", 1))
        keys.create(database, b"p" * 32, keys.Wanted(name="new"), who="t", now=NOW)
        if members.is_empty(database):
            words = {"login": "li", "name": "Li", "organisation": "o", "password": "four plain words here"}
            members.create_first(database, **words, now=NOW)
        assert list_incidents(database, limit=5) == []
        after = audit.verify(database, [report.newest] if report.newest else [])
        assert after.broken is None and after.entries > report.entries


@pytest.mark.parametrize("schema", range(1, NEWEST))
def test_a_schema_that_was_stopped_at_is_the_one_that_was_made_then(tmp_path: Path, schema: int) -> None:
    with Database(tmp_path / "old.db", schema=schema) as old:
        assert set(old.tables()) == set(kinds(schema))
        assert all(list(columns) == old.columns(table) for table, columns in kinds(schema).items())
        old.bring_up(schema)  # as often as one likes
        assert old.schema == schema


def test_several_that_open_an_old_database_at_once_bring_it_up_one_time(place: Path | str) -> None:
    before = of_its_time(place, 1)
    found: list[int] = []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait(timeout=60)
        with Database(place) as database:
            found.append(database.schema)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert found == [NEWEST] * 4
    with Database(place) as database:
        assert everything_in(database, kinds(1)) == before
