"""The limit on calls under way, and when to try again."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.fake_time import FakeTime
from tests.fakes.patience import PATIENCE

from pilotbase.adaptive import LONGEST_PAUSE, Slots, backoff, read_retry_after

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


async def fill(slots: Slots) -> list[int]:
    """Take every slot that is free."""
    return [await slots.acquire() for _ in range(int(slots.limit) - slots.under_way)]


def test_a_round_of_successes_doubles_the_limit_until_the_first_refusal() -> None:
    async def story() -> list[float]:
        slots = Slots(100, start=4)
        seen = []
        for _ in range(3):
            for ticket in await fill(slots):
                slots.succeeded(ticket)
                await fill(slots)  # as a runner does that has more to ask
            seen.append(slots.limit)
            while slots.under_way:
                slots.dropped()
        return seen

    assert asyncio.run(story()) == [8.0, 16.0, 32.0]


def test_after_a_refusal_a_round_of_successes_adds_about_one() -> None:
    async def story() -> tuple[float, float]:
        slots = Slots(100, start=20)
        tickets = await fill(slots)
        slots.throttled(tickets.pop())
        after = slots.limit
        for _ in tickets:
            slots.dropped()
        for ticket in await fill(slots):
            slots.succeeded(ticket)
            await fill(slots)
        return after, slots.limit

    after, later = asyncio.run(story())
    assert after == pytest.approx(14.0)
    assert later == pytest.approx(15.0, abs=0.1)


def test_refusals_of_one_round_decrease_the_limit_once() -> None:
    async def story() -> float:
        slots = Slots(100, start=20)
        for ticket in await fill(slots):
            slots.throttled(ticket)
        return slots.limit

    assert asyncio.run(story()) == pytest.approx(14.0)


def test_the_limit_does_not_grow_while_it_is_not_used() -> None:
    async def story() -> float:
        slots = Slots(100, start=8)
        for _ in range(50):
            slots.succeeded(await slots.acquire())
        return slots.limit

    assert asyncio.run(story()) == 8.0


def test_answers_to_calls_from_before_a_decrease_do_not_grow_the_limit() -> None:
    async def story() -> float:
        slots = Slots(100, start=10)
        tickets = await fill(slots)
        slots.throttled(tickets.pop())
        for ticket in tickets:
            slots.succeeded(ticket)
        return slots.limit

    assert asyncio.run(story()) == pytest.approx(7.0)


def test_the_limit_never_falls_below_one_call() -> None:
    async def story() -> float:
        slots = Slots(10, start=1)
        for _ in range(5):
            slots.throttled(await slots.acquire())
        return slots.limit

    assert asyncio.run(story()) == 1.0


def test_waiting_calls_are_let_in_first_come_first_served() -> None:
    async def story() -> list[int]:
        slots = Slots(1)
        order: list[int] = []

        async def call(number: int) -> None:
            ticket = await slots.acquire()
            order.append(number)
            await asyncio.sleep(0)
            slots.succeeded(ticket)

        await asyncio.gather(*(call(n) for n in range(6)))
        return order

    assert asyncio.run(story()) == [0, 1, 2, 3, 4, 5]


def test_a_pause_holds_back_every_call_until_it_is_over() -> None:
    async def story() -> tuple[list[float], float]:
        time = FakeTime()
        slots = Slots(4, clock=time.clock, sleep=time.sleep)
        slots.throttled(await slots.acquire(), 7.0)
        starts = []

        async def call() -> None:
            slots.succeeded(await slots.acquire())
            starts.append(time.now)

        await asyncio.gather(call(), call())
        await slots.aclose()
        return starts, sum(time.waits)

    assert asyncio.run(story()) == ([7.0, 7.0], 7.0)


def test_a_cancelled_waiter_leaves_no_slot_behind() -> None:
    async def story() -> int:
        slots = Slots(1)
        ticket = await slots.acquire()
        waiters = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        slots.succeeded(ticket)  # hands the slot to the second
        waiters[1].cancel()  # which is cancelled before it runs
        await waiters[2]
        slots.dropped()
        return slots.under_way

    assert asyncio.run(asyncio.wait_for(story(), PATIENCE)) == 0


@given(st.lists(st.sampled_from(["take", "good", "bad", "drop"]), max_size=200), st.integers(1, 20))
def test_calls_under_way_never_exceed_the_limit_and_the_limit_stays_in_range(moves: list[str], most: int) -> None:
    async def story() -> None:
        slots = Slots(most)
        held: list[int] = []
        for move in moves:
            if move == "take":
                if slots.under_way < int(slots.limit):
                    held.append(await slots.acquire())
                    assert slots.under_way <= slots.limit
            elif held:
                ticket = held.pop(0)
                if move == "good":
                    slots.succeeded(ticket)
                elif move == "bad":
                    slots.throttled(ticket)
                else:
                    slots.dropped()
            assert 1 <= slots.limit <= most
            assert slots.under_way == len(held)

    asyncio.run(story())


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_under_a_doubling_cap(attempt: int, chance: float) -> None:
    wait = backoff(attempt, lambda: chance)
    assert 0 <= wait <= min(30.0, 0.5 * 2 ** (attempt - 1))
    assert wait == chance * min(30.0, 0.5 * 2 ** (attempt - 1))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 1.5 ", 1.5),
        ("Sat, 21 Nov 2026 12:00:09 GMT", 9.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("86400", LONGEST_PAUSE),
        ("inf", LONGEST_PAUSE),
        ("-4", 0.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, NOON) == seconds
