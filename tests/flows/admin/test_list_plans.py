"""Every list that is read page by page comes from an index: no table is read whole, and nothing is sorted."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.flows.admin.conftest import Opened

from pilotbase.accounts import members
from pilotbase.catalog import cases
from pilotbase.context import Context
from pilotbase.flows import case_steps
from pilotbase.flows.overview import count, needs
from pilotbase.flows.run_list import runs_page
from pilotbase.gateway import keys, routes
from pilotbase.release.alerts import list_alerts
from pilotbase.release.incidents import list_incidents
from pilotbase.release.records import list_releases
from pilotbase.store import audit
from pilotbase.store.database import Database, Row, Values

Look = Callable[[Context], Any]


class Listening(Database):
    """Keeps what was asked."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.asked: list[tuple[str, Values]] = []

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        self.asked.append((sql, values))
        return super().rows(sql, values)

    def row(self, sql: str, values: Values = ()) -> Row | None:
        self.asked.append((sql, values))
        return super().row(sql, values)


LISTS: dict[str, Look] = {
    "runs": runs_page,
    "runs of a pilot": lambda c: runs_page(c, pilot="p"),
    "runs of a verdict": lambda c: runs_page(c, verdict="pass"),
    "runs without a verdict": lambda c: runs_page(c, verdict="none"),
    "older runs of a pilot": lambda c: runs_page(c, pilot="p", before="run-0"),
    "older runs": lambda c: runs_page(c, before="run-0"),
    "incidents": lambda c: list_incidents(c.database, limit=50),
    "older incidents": lambda c: list_incidents(c.database, before="i-0", limit=50),
    "incidents of a state": lambda c: list_incidents(c.database, state="open", limit=50),
    "incidents of a severity": lambda c: list_incidents(c.database, severity=1, limit=50),
    "incidents of a kind": lambda c: list_incidents(c.database, kind="hazard", limit=50),
    "older incidents of a route": lambda c: list_incidents(c.database, route="m", before="i-0", limit=50),
    "audit": lambda c: audit.entries(c.database, limit=51),
    "older audit entries": lambda c: audit.entries(c.database, limit=51, before="a-0"),
    "members": lambda c: members.list_members(c.database),
    "releases": lambda c: list_releases(c.database),
    "alerts": lambda c: list_alerts(c.database, limit=20),
    "open alerts": lambda c: list_alerts(c.database, state="open", limit=20),
    "keys": lambda c: keys.list_keys(c.database),
    "routes": lambda c: routes.list_routes(c.database),
    "what needs somebody": lambda c: needs(c, lambda permit: permit != "routes.read"),
    "cases": lambda c: cases.list_cases(c.database),
    "cases of a state": lambda c: cases.list_cases(c.database, state="submitted"),
    "older cases of a state": lambda c: cases.list_cases(c.database, state="submitted", before="case-0"),
    "older cases of an organisation": lambda c: cases.list_concerned(c.database, "org", before="case-0"),
    "cases that wait for the base": lambda c: cases.list_concerned(c.database, cases.BASE, "waits"),
    "overdue cases": lambda c: cases.list_overdue(c.database, date(2026, 1, 1)),
    "runs on the criteria of a case": lambda c: case_steps.first_call(c.database, "sha256:x"),
    "incidents that are not closed": lambda c: count(c, lambda permit: permit == "incidents.read"),
}
IN_ORDER = {"runs"}
"""Read from its newest row on, in the order of insertion, until a page is full."""


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_from_an_index(name: str, opened: Opened) -> None:
    with opened() as context, Listening(context.home / "pilotbase.db") as database:
        database.execute("INSERT INTO runs (run, pilot, state, created, updated) VALUES ('run-0', 'p', 'finished', '1', '1')")
        database.execute(
            "INSERT INTO incidents (id, route, kind, severity, state, version, detected, document)"
            " VALUES ('i-0', 'm', 'hazard', 1, 'open', 1, '1', '{}')"
        )
        database.execute("INSERT INTO audit (id, at, who, action, subject, detail) VALUES ('a-0', '1', 'w', 'a', 's', '{}')")
        database.execute(
            "INSERT INTO cases (id, state, need, capability, vendor, owner, document, created, records, head, version)"
            " VALUES ('case-0', 'submitted', 'n', 'c', 'v', 'o', '{}', '1', 1, '', 1)"
        )
        database.asked.clear()
        with suppress(KeyError, TypeError):  # the row above is no whole incident; what was asked for it was asked
            LISTS[name](replace(context, database=database))
        assert database.asked
        for sql, values in list(database.asked):
            told = [row["detail"] for row in Database.rows(database, f"EXPLAIN QUERY PLAN {sql}", values)]
            assert not [line for line in told if "TEMP B-TREE" in line], (sql, told)
            scans = [line for line in told if line.startswith("SCAN") and "USING" not in line]
            assert all(line.split()[1] in IN_ORDER for line in scans), (sql, told)
