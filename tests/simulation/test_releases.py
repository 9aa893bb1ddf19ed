"""Thousands of simulated releases: wrong decisions within the stated rates, and two usual policies on the same streams."""

from collections.abc import Callable, Sequence
from statistics import median

import pytest
from tests.simulation.releases import (
    ALPHA,
    LADDER,
    TRIP,
    Ended,
    World,
    checks_of,
    plan_with,
    release,
    shares_policy,
    z_policy,
)

from pilotbase.stats.proportion import exact

Size = Callable[[int, int], int]


def run(world: World, count: int, *, most: str = "14d", block: str = "5s", seed: int = 0) -> list[Ended]:
    return [release(world, seed + i, plan_with(most=most, block=block)) for i in range(count)]


def surely_above(hits: int, count: int, promised: float) -> bool:
    """Whether so many hits refute a promised chance, at one in a thousand."""
    return (exact(hits, count, 0.999).low or 0.0) > promised


def sent_back_by_checks(found: Sequence[Ended]) -> int:
    return sum(one.how == "back" and "failing-check" in one.kinds for one in found)


def test_every_rung_decides_with_its_part_of_alpha() -> None:
    for one in checks_of(len(LADDER)):
        assert one.confidence == pytest.approx(1.0 - ALPHA / len(LADDER))


def test_one_seed_is_one_release_whoever_looks_at_it() -> None:
    world = World(rate=1.0, failures=0.03)
    first = release(world, 7)
    assert shares_policy(world, 7, 1) == shares_policy(world, 7, 1)
    assert release(world, 7) == first


def test_a_good_candidate_reaches_full(size: Size) -> None:
    found = run(World(rate=20.0, failures=0.005), size(2, 300))
    assert not surely_above(sum(one.how == "back" for one in found), len(found), 3 * ALPHA)
    assert sum(one.promoted is not None for one in found) > 0.5 * len(found)


def test_checks_send_one_at_the_very_threshold_back_no_more_often_than_stated(size: Size) -> None:
    found = run(World(rate=1.0, failures=0.02), size(5, 500), most="6h")
    assert not surely_above(sent_back_by_checks(found), len(found), 3 * ALPHA)


def test_one_at_the_very_threshold_reaches_full_no_more_often_than_stated(size: Size) -> None:
    found = run(World(rate=20.0, failures=0.02), size(2, 300), most="2h", seed=1000)
    assert not surely_above(sum(one.promoted is not None for one in found), len(found), ALPHA / len(LADDER))


@pytest.mark.parametrize("rate", [0.05, 1.0, 20.0])
def test_a_bad_candidate_never_gets_to_full(rate: float, size: Size) -> None:
    found = [one for p in (0.03, 0.04, 0.06, 0.10, 1.0) for one in run(World(rate=rate, failures=p), size(2, 300), most="30d")]
    assert not any(one.promoted is not None for one in found)
    assert sum(one.how == "back" for one in found) == len(found)


def test_a_bad_candidate_found_in_the_shadow_costs_no_client_a_request(size: Size) -> None:
    found = run(World(rate=1.0, failures=0.10), size(5, 200))
    assert {one.rung for one in found} == {0}
    assert sum(one.served for one in found) == 0


def test_the_worse_a_candidate_the_sooner_it_goes_back(size: Size) -> None:
    medians = [median(one.seconds for one in run(World(rate=1.0, failures=p), size(5, 200))) for p in (0.03, 0.10, 1.0)]
    assert medians == sorted(medians, reverse=True)


def test_one_that_turns_bad_at_the_five_percent_canary_goes_back_from_there(size: Size) -> None:
    found = run(World(rate=20.0, failures=0.005, turns=(2, 1800.0), after=0.10), size(1, 100))
    assert not any(one.promoted is not None for one in found)
    assert all(one.rung == 2 for one in found if one.waited > 0)
    # a twentieth of the callers were exposed, and only until it was found
    assert median(one.failed for one in found) <= 0.10 * 0.05 * 20.0 * 1800.0


def test_a_dead_one_is_found_after_five_failures_in_a_row() -> None:
    found = release(World(rate=20.0, failures=1.0), 3, plan_with(LADDER[3:]), trip=TRIP)
    assert found.kinds == ("breaker",)
    assert (found.served, found.failed) == (TRIP, TRIP)


def test_a_limit_of_time_holds_what_never_proves_itself() -> None:
    found = release(World(rate=0.05, failures=0.01), 5, plan_with(most="1d", block="5m"))
    assert found.how == "held"
    assert found.kinds == ("limit",)


def test_a_share_of_the_last_minutes_sends_most_good_ones_back(size: Size) -> None:
    count = size(20, 500)
    found = [shares_policy(World(rate=1.0, failures=0.01), seed, 3) for seed in range(count)]
    assert sum(one.how == "back" for one in found) > 0.5 * count


def test_on_a_quiet_route_one_failure_is_a_whole_window_for_a_share_of_the_last_minutes(size: Size) -> None:
    found = [shares_policy(World(rate=0.05, failures=0.005), seed, 1) for seed in range(size(60, 500))]
    back = [one for one in found if one.how == "back"]
    assert len(back) > 0.4 * len(found)
    assert median(one.failed for one in back) == 1


def test_a_test_for_one_look_taken_each_minute_misses_its_rate(size: Size) -> None:
    # both arms fail alike: one look at 5 %, two-sided, would send 2.5 % back
    found = [z_policy(World(rate=20.0, failures=0.01), seed) for seed in range(size(40, 500))]
    assert surely_above(sum(one.how == "back" for one in found), len(found), 0.025)


def test_blocks_longer_than_spells_of_failures_keep_a_good_one(size: Size) -> None:
    world = World(rate=1.0, failures=0.005, spell=10.0)
    found = run(world, size(4, 200), most="12h", block="2m")
    assert not surely_above(sum(one.how == "back" for one in found), len(found), 3 * ALPHA)
