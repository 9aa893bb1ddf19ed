import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.stats.burn import MONTH, PAIRS, Burn, Pair, Quiet, budget_left, burns, first_quiet_alarm, pair

MINUTE = 60.0
DAY = 86400.0


def route(hours: float, a_minute: float, *, bad: float, bad_minutes: float = 0.0, worse: float = 0.0) -> tuple[Burn, ...]:
    """Buckets of a minute with a steady share of failures `bad`, the last `bad_minutes` at `worse`; allowed 1 %."""
    times = np.arange(1.0, round(hours * 60) + 1) * MINUTE
    counts = np.full(times.size, a_minute)
    shares = np.where(times > times[-1] - bad_minutes * MINUTE, worse, bad)
    return burns(times, counts * shares, counts, now=float(times[-1]), allowed=0.01)


def fired(found: tuple[Burn, ...]) -> list[tuple[str, float]]:
    return [(burn.by, round(burn.rate, 1)) for burn in found if burn.fires]


def test_the_pairs_are_arithmetic_on_a_budget_of_thirty_days() -> None:
    assert [round(one.rate, 9) for one in PAIRS] == [14.4, 6.0, 1.0]
    assert [(one.long, one.short) for one in PAIRS] == [(3600, 300), (21600, 1800), (259200, 21600)]
    assert pair(0.02, 3600.0, 300.0, MONTH / 30 * 28).rate == pytest.approx(13.44)


def test_a_busy_route_within_its_budget_raises_no_alarm_and_needs_no_fallback() -> None:
    found = route(100, 100, bad=0.005)
    assert fired(found) == []
    assert [burn.by for burn in found] == ["time"] * 3
    assert [burn.long_rate for burn in found] == pytest.approx([0.5] * 3)


def test_a_fast_burn_fires_the_fast_pair_once_both_of_its_windows_burn() -> None:
    # 20 % of failures: the long window of an hour reaches 14.4 % after three quarters of it
    assert ("time", 14.4) not in fired(route(100, 100, bad=0.0, bad_minutes=43, worse=0.2))
    found = route(100, 100, bad=0.0, bad_minutes=44, worse=0.2)
    assert fired(found) == [("time", 14.4)]
    assert found[0].long_rate == pytest.approx(100 * 0.2 * 44 / 60)
    assert found[0].short_rate == pytest.approx(20.0)
    assert (found[0].long_count, found[0].short_count) == (6000, 500)


def test_a_fire_that_is_out_stops_the_alarm_with_its_short_window() -> None:
    times = np.arange(1.0, 121) * MINUTE
    counts = np.full(120, 100.0)
    failures = np.where((times > 50 * MINUTE) & (times <= 110 * MINUTE), 50.0, 0.0)
    first, later = (burns(times, failures, counts, now=minute * MINUTE, allowed=0.01)[0] for minute in (110, 116))
    assert first.fires
    assert later.long_rate is not None and later.long_rate >= 14.4
    assert later.short_rate == 0.0 and not later.fires


def test_a_slow_burn_over_days_fires_the_slow_pair_alone() -> None:
    assert fired(route(72, 100, bad=0.012)) == [("time", 1.0)]
    assert fired(route(72, 100, bad=0.07)) == [("time", 6.0), ("time", 1.0)]


def test_a_window_takes_what_ended_after_its_start_and_nothing_from_the_future() -> None:
    one = (Pair(rate=1.0, long=100.0, short=10.0),)
    times = np.array([0.0, 90.0, 100.0, 101.0])
    found = burns(times, np.array([1.0, 1.0, 1.0, 5.0]), np.full(4, 5.0), now=100.0, allowed=0.5, pairs=one, least=1)
    assert (found[0].long_count, found[0].short_count) == (10.0, 5.0)


def test_too_few_results_in_the_short_window_say_nothing_and_the_last_results_speak_instead() -> None:
    # one result an hour for 40 days, then every one fails
    times = np.arange(1.0, 961) * 3600.0
    counts = np.ones(960)
    failures = np.zeros(960)
    failures[-39:] = 1.0
    found = burns(times, failures, counts, now=float(times[-1]), allowed=0.01)
    assert [burn.enough for burn in found] == [False, False, False, True]
    assert fired(found) == []
    failures[-40:] = 1.0
    found = burns(times, failures, counts, now=float(times[-1]), allowed=0.01)
    assert fired(found) == [("count", 2.0)]
    assert (found[-1].long, found[-1].short, found[-1].long_count, found[-1].short_count) == (2000, 200, 960, 200)
    assert found[-1].long_rate == pytest.approx(2.0)
    assert found[-1].short_rate == pytest.approx(20.0)


def test_one_failure_of_one_result_is_no_alarm() -> None:
    found = burns(np.array([10.0]), np.array([1.0]), np.array([1.0]), now=10.0, allowed=0.01)
    assert fired(found) == []
    assert found[0].short_rate == pytest.approx(100.0) and not found[0].enough


def test_a_declared_least_number_replaces_the_three_failures() -> None:
    times, counts = np.array([10.0]), np.array([30.0])
    loud = burns(times, np.array([10.0]), counts, now=10.0, allowed=0.01)
    guarded = burns(times, np.array([10.0]), counts, now=10.0, allowed=0.01, least=31)
    assert loud[0].fires and loud[0].enough
    assert not guarded[0].fires and not guarded[0].enough


def test_a_route_without_a_result_has_no_rates_and_no_alarm() -> None:
    found = burns(np.empty(0), np.empty(0), np.empty(0), now=0.0, allowed=0.01)
    assert [burn.fires or burn.enough for burn in found] == [False] * 4
    assert {burn.long_rate for burn in found} == {None}


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), max_size=120), st.integers(1, 7))
def test_the_first_alarm_of_a_series_is_that_of_the_buckets_result_by_result(values: list[float], few: int) -> None:
    quiet = Quiet(rate=2.0, many=40, few=few)
    counts = np.ones(len(values))
    times = np.arange(1.0, len(values) + 1)
    silent = (Pair(rate=1.0, long=2.0, short=1.0),)
    each = (
        burns(times[:n], np.array(values[:n]), counts[:n], now=float(n), allowed=0.1, pairs=silent, least=1000, quiet=quiet)[-1]
        for n in range(1, len(values) + 1)
    )
    first = next((i for i, burn in enumerate(each) if burn.fires), None)
    assert first_quiet_alarm(np.array(values), 0.1, quiet) == first


def test_the_budget_left_falls_to_nothing_at_the_allowed_share_and_below_when_overspent() -> None:
    assert budget_left(0, 0, allowed=0.01) == 1.0
    assert budget_left(5, 1000, allowed=0.01) == pytest.approx(0.5)
    assert budget_left(10, 1000, allowed=0.01) == pytest.approx(0.0)
    assert budget_left(20, 1000, allowed=0.01) == pytest.approx(-1.0)
    assert budget_left(20, 1000, allowed=0.01, expected=10_000) == pytest.approx(0.8)


def test_numbers_that_make_no_sense_are_refused_in_words() -> None:
    ok = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match="one of each a bucket"):
        burns(ok, ok[:1], ok, now=2.0, allowed=0.01)
    with pytest.raises(ValueError, match="ascending"):
        burns(ok[::-1], ok, ok, now=2.0, allowed=0.01)
    with pytest.raises(ValueError, match="more failures than results"):
        burns(ok, ok, ok - 0.5, now=2.0, allowed=0.01)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        burns(ok, ok, ok, now=2.0, allowed=0.0)
    with pytest.raises(ValueError, match="0 <= failures <= count"):
        budget_left(2, 1, allowed=0.01)
    with pytest.raises(ValueError, match="short < long"):
        Pair(rate=1.0, long=5.0, short=10.0)
    with pytest.raises(ValueError, match="few must be below many"):
        Quiet(many=10, few=10)
    with pytest.raises(ValueError, match="at least 1"):
        Quiet(many=0)
