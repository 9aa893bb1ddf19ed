"""What may be shown as penetration, and how far cases come."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pilotbase.domain.funnel import funnel
from pilotbase.domain.indicator import Indicator, Point, in_years, span_of
from pilotbase.domain.journey import STAGES, Journey

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SHARE = Indicator(
    id="i", title="t", numerator="with", denominator="all", population="here", source="counted", basis="census", created=NOW
)
POINT = Point(period="2025", numerator=1, denominator=2, recorded=NOW)


@pytest.mark.parametrize("word", ["title", "numerator", "denominator", "population", "source"])
def test_a_share_that_does_not_say_what_it_is_of_is_refused(word: str) -> None:
    assert list(SHARE.problems()) == []
    for text in ("", "  ", "x" * 401):
        assert [one.path for one in replace(SHARE, **{word: text}).problems()] == [(word,)]  # type: ignore[arg-type]
    assert [one.path for one in replace(SHARE, basis="guess").problems()] == [("basis",)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"period": "2026"}, "period"),
        ({"period": "2026-Q4"}, "period"),
        ({"period": "2026-13"}, "period"),
        ({"period": "last year"}, "period"),
        ({"denominator": 0, "numerator": 0}, "denominator"),
        ({"numerator": 3}, "numerator"),
        ({"numerator": -1}, "numerator"),
    ],
)
def test_counts_that_are_no_share_of_a_period_that_ended_are_refused(change: dict[str, object], path: str) -> None:
    assert list(POINT.problems(NOW.date())) == []
    assert [one.path for one in replace(POINT, **change).problems(NOW.date())] == [(path,)]  # type: ignore[arg-type]


def test_periods_are_years_quarters_and_months() -> None:
    assert span_of("2026") == (date(2026, 1, 1), date(2027, 1, 1))
    assert span_of("2026-Q4") == (date(2026, 10, 1), date(2027, 1, 1))
    assert span_of("2026-12") == (date(2026, 12, 1), date(2027, 1, 1))
    assert span_of("2024-02") == (date(2024, 2, 1), date(2024, 3, 1)) and span_of("26") is None
    assert in_years("2025") == pytest.approx(2025.5, abs=0.01) and in_years("2025-Q1") == pytest.approx(2025.12, abs=0.01)


def journey(count: int, *, capability: str = "c", owner: str = "o", ended: bool = False, replicated: bool = False) -> Journey:
    """A case that came through so many stages, one every ten days, beginning a hundred days ago."""
    start = NOW - timedelta(days=100)
    reached = {stage: start + timedelta(days=10 * number) for number, stage in enumerate(STAGES[:count])}
    gone = start + timedelta(days=10 * count) if ended else None
    return Journey(
        case="x", need="n", capability=capability, vendor="v", owner=owner, reached=reached, ended=gone, replicated=replicated
    )  # fmt: skip


def test_the_funnel_counts_who_came_how_far_who_is_there_and_who_ended_there() -> None:
    cases = [journey(10), journey(8), journey(8, ended=True), journey(4), journey(1), journey(1, ended=True)]
    found = funnel(cases, NOW)
    assert [one.reached for one in found.steps] == [6, 4, 4, 4, 3, 3, 3, 3, 1, 1]
    steps = {one.stage: one for one in found.steps}
    assert (steps["submitted"].here, steps["submitted"].ended, steps["submitted"].share) == (1, 1, None)
    assert (steps["passed"].here, steps["passed"].ended) == (1, 1)
    screened = steps["screened"].share
    assert screened is not None and (screened.value, screened.n) == (4 / 6, 6)
    assert sum(one.here + one.ended for one in found.steps) == len(cases)


def test_a_median_counts_those_that_wait_and_shares_say_of_how_many() -> None:
    cases = [
        journey(8, capability="a", owner="o", replicated=True), journey(8, capability="a", owner="p"),
        journey(8, capability="b"), journey(2),
    ]  # fmt: skip
    found = funnel(cases, NOW)
    assert (found.first_verdict.value, found.first_verdict.n) == (60.0, 4)
    assert (found.replicated.value, found.replicated.n) == (pytest.approx(1 / 3), 3)
    assert (found.reused.value, found.reused.n) == (0.5, 2)
    nothing = funnel([], NOW)
    assert nothing.first_verdict.value is nothing.replicated.value is nothing.reused.value is None
