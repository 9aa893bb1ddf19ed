"""Places at an upstream and the queue before it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.slots import Slots


async def turns(n: int = 3) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_places_are_taken_at_once_until_none_is_left() -> None:
    slots = Slots(2, 5, 1.0)
    assert slots.take() and slots.take() and not slots.take()
    slots.release()
    assert slots.busy == 1 and slots.take()


def test_who_waits_is_served_in_order() -> None:
    async def story() -> list[int]:
        slots, served = Slots(1, 10, 60.0), list[int]()

        async def one(i: int) -> None:
            await slots.acquire()
            served.append(i)
            slots.release()

        assert slots.take()
        tasks = [asyncio.create_task(one(i)) for i in range(5)]
        await turns()
        assert slots.waiting == 5
        slots.release()
        await asyncio.gather(*tasks)
        assert (slots.busy, slots.waiting) == (0, 0)
        return served

    assert asyncio.run(story()) == [0, 1, 2, 3, 4]


def test_nobody_overtakes_the_queue() -> None:
    async def story() -> None:
        slots = Slots(1, 10, 60.0)
        slots.take()
        waiter = asyncio.create_task(slots.acquire())
        await turns()
        slots.release()
        assert not slots.take()
        await waiter
        assert slots.busy == 1

    asyncio.run(story())


def test_a_full_queue_refuses_with_503_and_when_to_come_again() -> None:
    async def story() -> None:
        slots = Slots(1, 1, 10.0)
        slots.take()
        waiter = asyncio.create_task(slots.acquire())
        await turns()
        with pytest.raises(Refused) as caught:
            await slots.acquire()
        assert (caught.value.status, caught.value.code, caught.value.retry, caught.value.after) == (503, "overloaded", True, 5.0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert (slots.busy, slots.waiting) == (1, 0)

    asyncio.run(story())


def test_who_waited_too_long_is_refused_with_503() -> None:
    async def story() -> None:
        slots = Slots(1, 1, 0.001)
        slots.take()
        with pytest.raises(Refused, match=r"0\.001 s") as caught:
            await slots.acquire()
        assert caught.value.status == 503
        assert (slots.busy, slots.waiting) == (1, 0)

    asyncio.run(story())


def test_a_place_given_to_someone_who_was_just_cancelled_goes_to_the_next() -> None:
    async def story() -> None:
        slots = Slots(1, 10, 60.0)
        slots.take()
        first, second = (asyncio.create_task(slots.acquire()) for _ in range(2))
        await turns()
        slots.release()  # the first has it, though it has not run yet
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await second
        assert first.cancelled() and (slots.busy, slots.waiting) == (1, 0)

    asyncio.run(story())


def test_a_raised_limit_lets_the_queue_in_and_a_lowered_one_lets_nobody_in() -> None:
    async def story() -> None:
        slots = Slots(1, 10, 60.0)
        slots.take()
        waiters = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await turns()
        slots.resize(3, 10, 60.0)
        await asyncio.gather(*waiters[:2])
        assert (slots.busy, slots.waiting) == (3, 1)
        slots.resize(1, 10, 60.0)
        slots.release()
        slots.release()
        assert (slots.busy, slots.waiting) == (1, 1)
        slots.release()
        await waiters[2]
        assert (slots.busy, slots.waiting) == (1, 0)

    asyncio.run(story())


moves = st.tuples(st.sampled_from(["acquire", "release", "cancel", "turn"]), st.integers(0, 20))


@given(st.integers(1, 3), st.integers(0, 3), st.lists(moves))
def test_no_place_is_lost_or_given_twice_whatever_is_cancelled(limit: int, queue: int, steps: list[tuple[str, int]]) -> None:
    async def story() -> None:
        slots, tasks, held = Slots(limit, queue, 60.0), list[asyncio.Task[None]](), 0

        async def sweep() -> int:
            got = 0
            for task in [task for task in tasks if task.done()]:
                tasks.remove(task)
                got += not task.cancelled() and task.exception() is None
            return got

        for step, place in steps:
            if step == "acquire":
                tasks.append(asyncio.create_task(slots.acquire()))
            elif step == "cancel" and tasks:
                tasks[place % len(tasks)].cancel()
            elif step == "release" and held:
                held -= 1
                slots.release()
            elif step == "turn":
                await turns(1)
            held += await sweep()
            assert slots.busy <= limit and slots.waiting <= queue
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held += await sweep()
        for _ in range(held):
            slots.release()
        assert (slots.busy, slots.waiting) == (0, 0)

    asyncio.run(story())
