"""Live evidence as it settles: whatever comes first, and in whatever portions it is read, the units are the same."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.boards import pilot

from pilotbase.checks.live import LiveCheck, plan_live
from pilotbase.checks.live_feed import LiveFeed
from pilotbase.domain.gate import Check
from pilotbase.ports import Results

START = 1_000_000_000
BLOCK = 1_000_000
LATE = 5.0
CHECKS = (
    Check(metric="failure-rate", require="<= 10 %"),
    Check(metric="latency.p95", require="<= 500 ms", role="inform"),
    Check(metric="tokens.output", require="<= 50", bound=(0.0, 100.0)),
    Check(metric="failure-rate", require="<= 5 %", compare_to="stable"),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: when it came (microseconds from the start), how long it took (seconds; none: for ever), and how it ended."""

    at: int
    seconds: float | None = 0.1
    bad: bool | None = False
    tokens: int = 10
    copy_of: str = ""


def checks(*found: Check) -> tuple[LiveCheck, ...]:
    return plan_live(pilot(Check(metric="failure-rate", require="<= 10 %")), found or CHECKS[1:], 1)


def seen(requests: list[Asked], now: int, since: int, until: int, limit: int = 10**9, prefix: str = "c") -> Results:
    """What the ledger would give of them at a moment."""
    order = sorted(range(len(requests)), key=lambda i: (requests[i].at, i))
    rows = [(f"{prefix}{i}", requests[i]) for i in order if since <= START + requests[i].at < until][:limit]
    n = len(rows)
    columns = {name: np.full(n, np.nan) for name in ("bad", "seconds", "ttft", "cost", "tokens_in", "tokens_out")}
    pending = np.zeros(n, dtype=bool)
    for i, (_, one) in enumerate(rows):
        age = (now - START - one.at) / 1e6
        if one.seconds is None or one.seconds > age:
            pending[i] = age <= LATE
            bad: bool | None = None if pending[i] else True
        else:
            bad = True if one.seconds > LATE else one.bad
        if bad is None:
            continue
        columns["bad"][i] = float(bad)
        columns["seconds"][i] = columns["ttft"][i] = math.inf if bad else one.seconds
        columns["cost"][i], columns["tokens_in"][i], columns["tokens_out"][i] = 0.01, 5.0, float(one.tokens)
    return Results(
        ids=[name for name, _ in rows],
        copy_of=[one.copy_of for _, one in rows],
        started=np.array([START + one.at for _, one in rows], dtype=np.int64),
        pending=pending,
        **columns,
    )


def feed(found: tuple[LiveCheck, ...] | None = None, **words: Any) -> LiveFeed:
    return LiveFeed(found or checks(), START, BLOCK, run_length=words.pop("run_length", 20_000), **words)


def look(one: LiveFeed, arm: list[Asked], stable: list[Asked], now: int, limit: int = 10**9) -> None:
    """Read what there is at a moment, in one portion of at most `limit` of the arm's requests."""
    own = seen(arm, now, one.frontier, now, limit)
    one.take(own, seen(stable, now, one.frontier, now, prefix="s"), now, whole=len(own) < limit)


def document(one: LiveFeed) -> Any:
    units = {check.id: one.units(check.id).tolist() for check in one.checks}
    return units, one.times, one.counts, one.failures, one.requests, one.failed, one.first_bad, one.bad, one.alarms, one.frontier


asked = st.builds(
    Asked,
    at=st.integers(0, 9_999_999),
    seconds=st.none() | st.floats(0.0, 8.0),
    bad=st.sampled_from([False, False, True, None]),
    tokens=st.integers(0, 150),
)


@given(
    st.lists(asked, max_size=30),
    st.lists(asked, max_size=30),
    st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(8, 40)), max_size=12),
)
def test_any_order_of_settlement_and_any_portions_give_the_units_of_one_reading_at_the_end(
    arm: list[Asked], stable: list[Asked], looks: list[tuple[int, int]]
) -> None:
    end = START + 40_000_000
    whole, bit_by_bit = feed(), feed()
    look(whole, arm, stable, end)
    for at, limit in sorted(looks):
        look(bit_by_bit, arm, stable, START + at, limit)
    while bit_by_bit.frontier < end:
        before = bit_by_bit.frontier
        # A portion that ends inside one block would stand still: the reader asks for more then.
        inside = sum(1 for one in arm if before <= START + one.at < before + BLOCK)
        look(bit_by_bit, arm, stable, end, max(9, inside + 1))
    assert document(bit_by_bit) == document(whole)


@given(st.lists(asked, max_size=40), st.lists(asked, max_size=40))
def test_units_are_the_means_of_blocks_of_time(arm: list[Asked], stable: list[Asked]) -> None:
    end = START + 40_000_000
    found = feed()
    look(found, arm, stable, end)

    def bad(one: Asked) -> float | None:
        failed = one.seconds is None or one.seconds > LATE
        return 1.0 if failed else None if one.bad is None else float(one.bad)

    def means(values: list[tuple[int, float | None]]) -> dict[int, float]:
        blocks: dict[int, list[float]] = {}
        for at, value in values:
            if value is not None:
                blocks.setdefault(at // BLOCK, []).append(value)
        return {number: sum(several) / len(several) for number, several in sorted(blocks.items())}

    rates = means([(one.at, bad(one)) for one in arm])
    others = means([(one.at, bad(one)) for one in stable])
    slow = means([(o.at, None if (b := bad(o)) is None else float(b == 1.0 or (o.seconds or 0.0) > 0.5)) for o in arm])
    tokens = means([(one.at, None if bad(one) is None else min(100.0, one.tokens)) for one in arm])
    assert found.units("gate/failure-rate").tolist() == pytest.approx(list(rates.values()))
    assert found.units("release/latency.p95").tolist() == pytest.approx(list(slow.values()))
    assert found.units("release/tokens.output").tolist() == pytest.approx(list(tokens.values()))
    both = [rates[number] - others[number] for number in rates if number in others]
    assert found.units("release/failure-rate[stable]").tolist() == pytest.approx(both)
    assert found.requests == sum(found.counts) == sum(1 for one in arm if bad(one) is not None)
    assert found.failed == sum(found.failures) == len(found.bad) == sum(1 for one in arm if bad(one) == 1.0)


def test_what_settles_sooner_never_counts_sooner() -> None:
    """Failures come back at once, answers take a while: a look in between sees neither."""
    arm = [Asked(at=100_000, seconds=0.01, bad=True), Asked(at=200_000, seconds=4.0), Asked(at=1_500_000, seconds=0.01, bad=True)]
    found = feed()
    look(found, arm, [], START + 3_000_000)
    assert found.requests == 0 and found.frontier == START
    look(found, arm, [], START + 4_300_000)
    assert found.requests == 3 and found.units("gate/failure-rate").tolist() == [0.5, 1.0]
    assert found.frontier == START + 4_000_000


def test_a_request_of_the_stable_arm_that_is_open_holds_the_comparison_back_too() -> None:
    found = feed()
    look(found, [Asked(at=100_000)], [Asked(at=200_000, seconds=3.0)], START + 2_000_000)
    assert found.requests == 0
    look(found, [Asked(at=100_000)], [Asked(at=200_000, seconds=3.0)], START + 4_000_000)
    assert found.units("release/failure-rate[stable]").tolist() == [0.0]


def test_one_that_never_settles_has_failed_when_it_is_late_and_holds_nothing_up_for_longer() -> None:
    arm = [Asked(at=100_000, seconds=None), Asked(at=1_100_000)]
    found = feed()
    look(found, arm, [], START + 5_000_000)
    assert found.requests == 0
    look(found, arm, [], START + 5_200_000)
    assert found.units("gate/failure-rate").tolist() == [1.0, 0.0] and found.first_bad == "c0"


def test_shadows_are_compared_with_their_own_originals_and_not_with_what_came_beside() -> None:
    stable = [Asked(at=i * 1000) for i in range(10)] + [Asked(at=500_000, bad=True) for _ in range(10)]
    copies = [Asked(at=100_000 + i * 1000, bad=i < 5, copy_of=f"s{i}") for i in range(10)]
    found = feed()
    look(found, copies, stable, START + 8_000_000)
    assert found.units("release/failure-rate[stable]").tolist() == [0.5]
    assert found.bad[0][1] == "s0"  # a failure is told of by its original


def test_a_canary_is_compared_with_the_stable_arm_in_the_same_blocks_and_only_there() -> None:
    arm = [Asked(at=100_000, bad=True), Asked(at=1_100_000), Asked(at=5_000_000)]
    stable = [Asked(at=200_000), Asked(at=1_200_000, bad=True), Asked(at=3_000_000)]
    found = feed()
    look(found, arm, stable, START + 20_000_000)
    assert found.units("release/failure-rate[stable]").tolist() == [1.0, -1.0]


def test_without_a_comparison_the_stable_arm_is_not_needed() -> None:
    assert feed().needs_stable
    assert not feed(plan_live(pilot(CHECKS[0]), (), 1)).needs_stable


@pytest.mark.parametrize("shift", [None, 0.3])
def test_detectors_alarm_on_a_shift_and_not_on_none(shift: float | None) -> None:
    draws = np.random.default_rng(7)
    only = plan_live(pilot(CHECKS[0]), (), 1)

    def stream(rate: float, count: int, since: int) -> list[Asked]:
        return [
            Asked(at=(since + i // 10) * BLOCK + (i % 10) * 1000, bad=bool(bad))
            for i, bad in enumerate(draws.random(count) < rate)
        ]

    found = feed(only, shift=shift)
    good = stream(0.05, 3_000, 0)
    look(found, good, [], START + 400 * BLOCK)
    assert found.alarms == {}
    worse = stream(0.5, 600, 400)
    look(found, good + worse, [], START + 700 * BLOCK)
    level, units = found.alarms["gate/failure-rate"]
    assert level > 0 and 300 < units < 330


def test_a_check_that_informs_or_has_no_tolerated_level_is_not_watched_by_a_detector() -> None:
    only = plan_live(pilot(Check(metric="failure-rate", require="<= 10 %", role="inform")), (), 1)
    found = feed(only, run_length=100)
    look(found, [Asked(at=i * BLOCK, bad=True) for i in range(200)], [], START + 400 * BLOCK)
    assert found.alarms == {}
