"""How open a scenario is: what is recorded counts, what is not is counted apart and never as zero."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pilotbase.domain.entry import Acceptance, Need
from pilotbase.domain.journey import STAGES, Journey, Stage
from pilotbase.domain.openness import Name, Openness, openness

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NEED = Need(id="n", organisation="own", created=NOW, title="t", text="x", area="science")
OUT = replace(NEED, published=NOW, state="published", acceptance=(Acceptance(metric="f1", require=">= 0.9"),))


def journey(vendor: str, *days: float, ended: float | None = None, case: str = "c") -> Journey:
    """Submitted at the first of `days` before now, then a stage for each."""
    reached: dict[Stage, datetime] = {
        stage: NOW - timedelta(days=one) for stage, one in zip(STAGES, days, strict=False)
    }  # fmt: skip
    gone = NOW - timedelta(days=ended) if ended is not None else None
    return Journey(case=case, need="n", capability="a", vendor=vendor, owner="own", reached=reached, ended=gone)


def scores(found: Openness) -> dict[Name, float | None]:
    return {one.name: one.score for one in found.components}


def test_of_a_draft_nothing_is_known_and_nothing_is_zero() -> None:
    found = openness(NEED, [], NOW)
    assert set(scores(found).values()) == {None} and (found.known, found.score, found.span) == (0, None, (0.0, 1.0))


def test_what_is_published_counts_and_what_has_not_happened_does_not() -> None:
    found = openness(replace(OUT, access="application"), [], NOW)
    assert scores(found) == {
        "gates": 0.75, "access": 0.6, "days": None, "admitted": None, "solvers": None, "disclosed": None,
    }  # fmt: skip
    assert found.known == 2 and found.score == pytest.approx(0.675)
    assert found.span == pytest.approx((1.35 / 6, 1.35 / 6 + 4 / 6))
    assert scores(openness(replace(OUT, pack="p@1", access="none"), [], NOW))["gates"] == 1.0
    assert scores(openness(replace(OUT, access="none"), [], NOW))["access"] == 0.0


def test_cases_are_counted_by_what_happened_to_them() -> None:
    cases = [
        journey("a", 100, 99, 98, 97, 93, 90, 80, 70, 60, case="1"),  # access after 7 days, published
        journey("b", 60, 59, 58, 30, 12, 11, 5, case="2"),  # access after 48 days, judged
        journey("a", 50, ended=40, case="3"),  # gave up after 10 days
        journey("c", 10, case="4"),  # waits
    ]
    found = {one.name: one for one in openness(OUT, cases, NOW).components}
    assert found["admitted"].score == pytest.approx(2 / 3) and found["admitted"].n == 3
    assert found["solvers"].score == pytest.approx(2 / 3) and found["disclosed"].score == 0.5
    days = found["days"]
    assert days.measured is not None and (days.measured.value, days.n) == (48.0, 4)
    assert days.score == pytest.approx((90 - 48) / 83)


def test_the_owners_own_applications_do_not_make_a_scenario_open() -> None:
    found = openness(OUT, [journey("own", 100, 99, 98, 97, 93, 90, 80, 70, 60)], NOW)
    assert {name for name, score in scores(found).items() if score is not None} == {"gates"}


def test_an_application_that_nobody_answered_is_no_zero_but_shown_as_waiting() -> None:
    found = {one.name: one for one in openness(OUT, [journey("a", 40)], NOW).components}
    assert (found["days"].score, found["days"].n, found["admitted"].score) == (None, 1, None)
    assert found["solvers"].score == 0.0  # somebody applied, and nobody was admitted
