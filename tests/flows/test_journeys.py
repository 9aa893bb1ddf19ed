"""What the records of real cases count for: openness of the need, the funnel, and the time to a first verdict."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.admissions import Parties, opened, people, walked
from tests.fakes.console import render, visit

from pilotbase.catalog.case_records import records
from pilotbase.catalog.journeys import journey_of, read_journeys
from pilotbase.console.pages import catalog, indicators
from pilotbase.context import Context, open_context
from pilotbase.domain.journey import STAGES
from pilotbase.flows.catalogue import openness_of
from pilotbase.flows.indicators import cases
from pilotbase.store.disk import LocalDisk

START = datetime(2026, 11, 1, 8, tzinfo=UTC)


class Days:
    """A clock that goes on by six hours at each look."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        self.at += timedelta(hours=6)
        return self.at


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Days(), secrets={}.get) as context:
        yield context


@pytest.fixture
def parties(base: Context) -> Parties:
    return people(base)


def test_a_draft_counts_nowhere(base: Context, parties: Parties) -> None:
    opened(base, parties)
    assert list(read_journeys(base.database)) == [] and cases(base).steps[0].reached == 0
    found = openness_of(base, parties.need)
    assert {one.name for one in found.components if one.score is not None} <= {"gates", "access"}


def test_a_case_under_way_counts_as_far_as_it_came(base: Context, parties: Parties) -> None:
    case = walked(base, parties, opened(base, parties), "begin")
    (journey,) = read_journeys(base.database, need=parties.need.id)
    assert (journey.case, journey.vendor, journey.owner, journey.ended) == (case.id, case.vendor, case.owner, None)
    assert tuple(journey.reached) == STAGES[:6] and min(journey.reached.values()) > START
    assert sorted(journey.reached.values()) == list(journey.reached.values())
    scores = {one.name: one.score for one in openness_of(base, parties.need).components}
    assert (scores["admitted"], scores["solvers"], scores["disclosed"]) == (1.0, pytest.approx(1 / 3), None)
    assert scores["days"] == 1.0  # within a week
    found = cases(base)
    assert [step.reached for step in found.steps] == [1] * 6 + [0] * 4
    assert (found.first_verdict.n, found.first_verdict.value, found.replicated.value) == (1, None, None)
    assert list(read_journeys(base.database, need="need_other")) == []


def test_a_verdict_is_the_first_one_whatever_it_was_and_an_end_is_kept(base: Context, parties: Parties) -> None:
    case = walked(base, parties, opened(base, parties), "begin")
    told = records(base.database, case.id)
    last = told[-1]
    way = ("review", "failed", "provisioned", "verifying", "review", "conditional", "published", "retired")
    steps, before = list(told), "verifying"
    for number, state in enumerate(way, 1):
        at = last.at + timedelta(days=number)
        steps.append(replace(last, before=before, after=state, at=at))
        before = state
    found = journey_of(case, steps)
    assert found.reached["verdict"] == last.at + timedelta(days=2) and found.ended == last.at + timedelta(days=8)
    assert found.reached["passed"] == last.at + timedelta(days=6) and "promoted" not in found.reached
    assert found.reached["provisioned"] < last.at


def test_a_case_whose_records_cannot_be_read_is_left_out(base: Context, parties: Parties) -> None:
    case = walked(base, parties, opened(base, parties), "screen")
    base.database.execute("UPDATE case_records SET envelope = '{}' WHERE admission = ? AND seq = 1", (case.id,))
    assert list(read_journeys(base.database)) == []


def test_the_pages_say_what_the_cases_count_for(base: Context, parties: Parties) -> None:
    walked(base, parties, opened(base, parties), "admit")
    pages = {page.name: page for page in (*catalog.PAGES, *indicators.PAGES)}
    need = render(pages["need"], visit(base, place={"need": parties.need.id}))
    assert "organisations admitted: 1" in need and "waiting: 1" in need and "Were these all 0" in need
    shown = render(pages["indicators"], visit(base, language="zh"))
    assert "从申请到首次结论的天数中位数" in shown and "首次结论" in shown
