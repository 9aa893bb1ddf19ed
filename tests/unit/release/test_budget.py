"""The error budget: how fast it burns over windows of its own period, and when that is a reason to go back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.release import Budget
from pilotbase.release.budget import FAILURES, GOES_BACK, burn_causes, burn_document, burns_of

HOUR = 3_600_000_000


def series(count: int, failures: int, *, every: int = 1_000_000) -> tuple[list[int], list[int], list[int]]:
    """Blocks with one second between them, ten results in each."""
    return [i * every for i in range(count)], [failures] * count, [10] * count


def test_windows_are_those_of_a_month_for_a_budget_of_a_month() -> None:
    found = [one for one in burns_of(Budget(over="30d"), *series(10, 0), now=10.0) if one.by == "time"]
    assert [(round(one.rate, 1), one.long, one.short) for one in found] == [
        (14.4, 3600.0, 300.0), (6.0, 21600.0, 1800.0), (1.0, 259200.0, 21600.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("over", "scale"), [("3d", 0.1), ("30d", 1.0), ("60d", 2.0)])
def test_windows_are_stretched_with_the_period_of_the_budget(over: str, scale: float) -> None:
    found = [one for one in burns_of(Budget(over=over), *series(10, 0), now=10.0) if one.by == "time"]
    spans = [span for one in found for span in (one.long, one.short)]
    assert spans == pytest.approx([s * scale for s in (3600.0, 300.0, 21600.0, 1800.0, 259200.0, 21600.0)])


def test_a_budget_that_burns_at_once_sends_back_and_tells_its_figures() -> None:
    budget = Budget(failures="1 %")
    found = burns_of(budget, *series(300, 5), now=300.0)
    causes = burn_causes(budget, found)
    assert causes and {cause.kind for cause in causes} == {"burn"}
    english, chinese = causes[0].told
    assert "the error budget (1 % of requests) burns 50.0 / 50.0 times too fast" in english and "错误预算" in chinese
    assert causes[0].figures["by"] == "time" and causes[0].figures["n"] == 3000


def test_a_budget_that_is_kept_gives_no_cause() -> None:
    budget = Budget(failures="20 %")
    assert burn_causes(budget, burns_of(budget, *series(3000, 1), now=3000.0)) == []


def test_what_burns_only_a_little_too_fast_is_shown_and_sends_nobody_back() -> None:
    budget = Budget(failures="10 %")
    times, failures, counts = series(300, 1, every=900_000_000)
    failures = [1 if i % 5 else 2 for i in range(300)]  # 1.2 times what is allowed, for three days
    found = burns_of(budget, times, failures, counts, now=300 * 900.0)
    slow = [one for one in found if one.fires]
    assert slow and all(one.rate < GOES_BACK for one in slow) and burn_causes(budget, found) == []


@pytest.mark.parametrize("count", [1, 2])
def test_few_results_never_send_back_whatever_became_of_them(count: int) -> None:
    budget = Budget(failures="5 %", least=30)
    found = burns_of(budget, *series(count, 10), now=5.0)
    assert not any(one.fires and one.by == "time" for one in found)


@given(st.integers(1, 50), st.sampled_from(["0.1 %", "1 %", "5 %"]), st.integers(5, 200))
def test_so_many_failures_stand_behind_every_alarm_by_time(blocks: int, share: str, least: int) -> None:
    budget = Budget(failures=share, least=least)
    times, failures, counts = series(blocks, 1)
    allowed = float(share.removesuffix(" %")) / 100
    for one in burns_of(budget, times, failures, counts, now=float(blocks)):
        if one.by == "time" and one.fires:
            assert one.short_count >= max(least, FAILURES / (one.rate * allowed))


def test_windows_by_count_are_told_once_and_old_results_leave_windows_by_time() -> None:
    budget = Budget(failures="5 %")
    found = burns_of(budget, *series(20, 10), now=10 * 86_400.0)
    assert [one.by for one in found].count("count") == 1
    assert all(one.long_count == 0 for one in found if one.by == "time")


def test_an_empty_ledger_burns_nothing() -> None:
    budget = Budget()
    found = burns_of(budget, [], [], [], now=1.0)
    assert burn_causes(budget, found) == [] and not any(one.fires for one in found)
    assert burn_document(budget, found, 0, 0)["left"] == 1.0


@given(st.integers(0, 500), st.integers(0, 500))
def test_what_is_left_of_the_budget_falls_with_every_failure(failures: int, more: int) -> None:
    budget, count = Budget(failures="10 %"), 1000
    left = burn_document(budget, (), failures, count)["left"]
    assert left == pytest.approx(1 - failures / 100)
    assert burn_document(budget, (), failures + more, count)["left"] <= left
