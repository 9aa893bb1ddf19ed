"""Admission in a worker: pilotbase.gateway.purse, with a keeper in this process on a real database."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.fakes.lease_office import Office, Time, add_key, charge, held, recover

from pilotbase.domain.access import AccessKey
from pilotbase.gateway.account import FREE, Hold
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.quota import Grant, Refusal, Return, Standing, Want
from pilotbase.store.database import Database

T = TypeVar("T")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        yield opened


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database, Time())


def run(story: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(60):
            return await story

    return asyncio.run(limited())


async def calm() -> None:
    """Let everything happen that needs no time."""
    for _ in range(50):
        await asyncio.sleep(0)


async def took(purse: Purse, key: AccessKey, tokens: int = 0, nanos: int = 0) -> Hold:
    answer = await purse.hold(key, tokens, nanos)
    assert isinstance(answer, Hold), answer
    return answer


def counted(database: Database) -> tuple[int, int]:
    row = database.row("SELECT COALESCE(SUM(requests), 0), COALESCE(SUM(tokens), 0) FROM windows")
    assert row is not None
    return int(row[0]), int(row[1])


async def crowd(office: Office, key: AccessKey, workers: int, tokens: int = 0, nanos: int = 0) -> list[Hold | Refusal]:
    """200 requests at once, dealt out to the workers in turn."""
    purses = [office.open(f"w{i}") for i in range(workers)]
    return await asyncio.gather(*(purses[i % workers].hold(key, tokens, nanos) for i in range(200)))


@pytest.mark.parametrize("workers", [1, 4])
def test_of_200_concurrent_requests_a_budget_for_50_admits_exactly_50(database: Database, workers: int) -> None:
    office = Office(database, Time(), workers)
    answers = run(crowd(office, add_key(database, budget=50 * 7), workers, nanos=7))
    assert sum(isinstance(answer, Hold) for answer in answers) == 50
    assert {answer for answer in answers if isinstance(answer, Refusal)} == {Refusal(limit="budget")}
    assert sum(held(database).values()) == 50 * 7


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("limit", "tokens"), [("rpm", 0), ("tpm", 30)])
def test_of_200_concurrent_requests_a_limit_a_minute_for_50_admits_exactly_50(
    database: Database, workers: int, limit: str, tokens: int
) -> None:
    office = Office(database, Time(), workers)
    key = add_key(database, rpm=50) if limit == "rpm" else add_key(database, tpm=50 * tokens)
    answers = run(crowd(office, key, workers, tokens=tokens))
    assert sum(isinstance(answer, Hold) for answer in answers) == 50
    refusals = {answer for answer in answers if isinstance(answer, Refusal)}
    assert {refusal.limit for refusal in refusals} == {limit}
    assert all(refusal.after is not None and 60 < refusal.after <= 62 for refusal in refusals)


def test_two_keepers_on_one_database_admit_exactly_50_of_200(tmp_path: Path) -> None:
    async def story() -> list[Hold | Refusal]:
        with Database(tmp_path / "base.db") as one, Database(tmp_path / "base.db") as two:
            key = add_key(one, budget=50)
            time = Time()
            first, second = Office(one, time, 2).open("a"), Office(two, time, 2).open("b")
            answers = await asyncio.gather(*((first, second)[i % 2].hold(key, 0, 1) for i in range(200)))
            # A keeper cannot call back what workers of the other hold: that comes back when they let go of it.
            for purse in (first, second):
                time.advance(2.0)
                purse.tick(time())
            answers += await asyncio.gather(*(first.hold(key, 0, 1) for _ in range(50)))
            return answers

    assert sum(isinstance(answer, Hold) for answer in run(story())) == 50


def test_a_key_without_a_limit_asks_nobody(office: Office) -> None:
    key = add_key(office.database)
    purse = office.open()
    hold = purse.try_hold(key, 10**9, 10**18)
    assert hold is FREE and run(purse.hold(key, 1, 1)) is FREE
    purse.settle(hold, 5, 5)
    purse.release(hold)
    assert office.wants == [] and purse.close() == []


def test_10000_requests_on_one_key_make_fewer_than_40_calls_to_the_keeper(office: Office) -> None:
    key = add_key(office.database, budget=10**12, rpm=10**6, tpm=10**9)

    async def story() -> None:
        purse = office.open()
        for _ in range(10_000):
            hold = await took(purse, key, 100, 1000)
            purse.settle(hold, 60, 700)

    run(story())
    assert len(office.wants) < 40


def test_a_worker_at_full_speed_asks_a_few_times_a_second(office: Office) -> None:
    """2,000 requests a second for 10 s, each settled 0.1 s after it came."""
    key = add_key(office.database, budget=10**12, rpm=10**6, tpm=10**9)

    async def story() -> int:
        purse = office.open()
        under_way: list[Hold] = []
        for i in range(20_000):
            office.time.advance(1 / 2000)
            under_way.append(await took(purse, key, 100, 1000))
            if len(under_way) > 200:
                purse.settle(under_way.pop(0), 60, 700)
            if i % 500 == 0:
                purse.tick(office.time())
        return len(office.wants)

    assert run(story()) <= 100


def test_concurrent_callers_of_one_key_share_one_round_trip(office: Office) -> None:
    key = add_key(office.database, rpm=10_000)

    async def story() -> None:
        purse = office.open()
        await asyncio.gather(*(took(purse, key) for _ in range(64)))

    run(story())
    assert len(office.wants) == 1


def test_those_who_wait_are_served_in_the_order_in_which_they_came(office: Office) -> None:
    key = add_key(office.database, budget=10_000)
    order: list[int] = []

    async def one(purse: Purse, i: int) -> None:
        await took(purse, key, 0, 10 if i % 3 else 900)
        order.append(i)

    async def story() -> None:
        purse = office.open()
        await asyncio.gather(*(one(purse, i) for i in range(12)))

    run(story())
    assert order == list(range(12))


def test_nobody_passes_those_who_wait(office: Office) -> None:
    key = add_key(office.database, budget=10**6)

    async def story() -> None:
        purse = office.open()
        await took(purse, key, 0, 10)
        waiting = asyncio.ensure_future(took(purse, key, 0, 5000))
        await asyncio.sleep(0)
        assert purse.try_hold(key, 0, 1) is None
        await waiting
        assert purse.try_hold(key, 0, 1) is not None

    run(story())


def test_keys_do_not_hinder_one_another() -> None:
    time = Time()
    slow = asyncio.Event()

    async def lease(want: Want) -> Grant | Refusal:
        if want.key == "slow":
            await slow.wait()
        return Grant(second=0, nanos=want.nanos)

    def key(name: str) -> AccessKey:
        with Database(Path(":memory:"), timeout=0.0) as database:
            return add_key(database, name, budget=100)

    async def story() -> None:
        purse = Purse(lease, lambda returns: None, time)
        waiting = asyncio.ensure_future(took(purse, key("slow"), 0, 1))
        await took(purse, key("quick"), 0, 1)
        assert not waiting.done()
        slow.set()
        await waiting

    run(story())


def test_a_lease_is_asked_for_in_advance_when_less_than_half_is_left(office: Office) -> None:
    key = add_key(office.database, rpm=10**6)

    async def story() -> None:
        purse = office.open()
        await took(purse, key)
        size = office.wants[0][1].requests_ahead + 1
        for _ in range(size // 2 - 1):
            assert purse.try_hold(key, 0, 0) is not None
        await calm()
        assert len(office.wants) == 1
        for _ in range(2):
            assert purse.try_hold(key, 0, 0) is not None
        await calm()
        assert [want.urgent for _, want in office.wants] == [True, False]
        # What was left of the first lease is used first, and then the second without a pause.
        assert all(purse.try_hold(key, 0, 0) is not None for _ in range(size))

    run(story())


def test_what_a_request_did_not_use_serves_the_next_ones(office: Office) -> None:
    key = add_key(office.database, budget=100, tpm=100)

    async def story() -> None:
        purse = office.open()
        for _ in range(10):
            hold = await took(purse, key, 91, 91)
            purse.settle(hold, 1, 1)

    run(story())


def test_what_a_request_cost_beyond_its_hold_is_debt_and_blocks_the_next_admission(office: Office) -> None:
    database = office.database
    key = add_key(database, budget=100)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 0, 100)
        purse.settle(hold, 0, 130)
        charge(database, "w", "k", 130, 100)
        assert held(database) == {"w": -30}
        assert purse.try_hold(key, 0, 0) is None
        assert await purse.hold(key, 0, 0) == Refusal(limit="budget")
        other = office.open("other")
        assert await other.hold(key, 0, 1) == Refusal(limit="budget")

    run(story())


def test_a_debt_is_covered_before_anything_else_is_bought(office: Office) -> None:
    database = office.database
    key = add_key(database, budget=1000)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 0, 60)
        purse.settle(hold, 0, 900)
        charge(database, "w", "k", 900, 60)
        assert isinstance(await purse.hold(key, 0, 101), Refusal)
        office.time.advance(1.0)
        hold = await took(purse, key, 0, 100)
        purse.settle(hold, 0, 100)
        charge(database, "w", "k", 100, 100)
        office.take("w", purse.close())

    run(story())
    assert held(database) == {"w": 0}


def test_a_release_gives_the_request_back_too(office: Office) -> None:
    key = add_key(office.database, budget=10, rpm=1, tpm=10)

    async def story() -> None:
        purse = office.open()
        for _ in range(5):
            hold = await took(purse, key, 10, 10)
            purse.release(hold)
            purse.release(hold)
            purse.settle(hold, 10, 10)
        await took(purse, key, 10, 10)
        assert purse.try_hold(key, 0, 0) is None

    run(story())
    assert counted(office.database) == (1, 10)


def test_an_unused_lease_of_requests_and_tokens_goes_back_to_its_second_after_one_second(office: Office) -> None:
    key = add_key(office.database, rpm=800, tpm=80_000)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 100)
        assert counted(office.database)[0] > 1
        office.time.advance(0.99)
        purse.tick(office.time())
        assert counted(office.database)[0] > 1
        office.time.advance(0.01)
        assert purse.try_hold(key, 1, 0) is None
        purse.tick(office.time())
        assert counted(office.database) == (1, 100)
        office.time.advance(20.0)
        purse.settle(hold, 40, 0)
        purse.tick(office.time())
        assert counted(office.database) == (1, 40)

    run(story())


def test_tokens_used_beyond_the_hold_are_counted_at_once(office: Office) -> None:
    key = add_key(office.database, tpm=100)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 90)
        office.time.advance(10.0)
        purse.settle(hold, 150, 0)
        purse.tick(office.time())
        assert counted(office.database) == (0, 150)
        office.time.advance(53.0)  # the 90 of the first second are forgotten, the 60 beyond are not
        assert await purse.hold(key, 41, 0) == Refusal(limit="tpm", after=pytest.approx(9.0))
        await took(purse, key, 40)

    run(story())


def test_money_that_nobody_used_for_a_second_goes_back(office: Office) -> None:
    key = add_key(office.database, budget=10**6)

    async def story() -> None:
        purse = office.open()
        await took(purse, key, 0, 10)
        assert held(office.database)["w"] > 10
        office.time.advance(0.99)
        purse.tick(office.time())
        assert held(office.database)["w"] > 10
        office.time.advance(0.01)
        purse.tick(office.time())
        assert held(office.database) == {"w": 10}

    run(story())


def test_a_recall_gives_up_all_that_no_request_holds(office: Office) -> None:
    key = add_key(office.database, budget=10**6, rpm=8000)

    async def story() -> None:
        purse = office.open()
        await took(purse, key, 0, 10)
        office.take("w", purse.recall("k"))
        assert held(office.database) == {"w": 10} and counted(office.database)[0] == 1
        assert purse.recall("k") == [] and purse.recall("unknown") == []

    run(story())


def test_a_grant_that_was_on_its_way_during_a_recall_serves_who_waits_and_the_rest_goes_back(office: Office) -> None:
    key = add_key(office.database, budget=10**6)

    async def story() -> None:
        purse = office.open()
        waiting = asyncio.ensure_future(took(purse, key, 0, 10))
        while not office.wants:
            await asyncio.sleep(0)
        office.take("w", purse.recall("k"))
        await waiting
        await calm()
        assert held(office.database) == {"w": 10}

    run(story())


def test_a_worker_that_died_with_an_unspent_lease_frees_it_when_it_is_recovered(office: Office) -> None:
    key = add_key(office.database, budget=100)

    async def story() -> None:
        await took(office.open("dead"), key, 0, 100)
        del office.purses["dead"]
        purse = office.open("next")
        assert await purse.hold(key, 0, 1) == Refusal(limit="budget")
        recover(office.database, "dead")
        office.time.advance(0.25)
        await took(purse, key, 0, 100)

    run(story())


def test_a_refusal_is_repeated_for_a_moment_without_asking_again(office: Office) -> None:
    key = add_key(office.database, budget=100)

    async def story() -> None:
        purse = office.open()
        assert await purse.hold(key, 0, 101) == Refusal(limit="budget")
        assert await purse.hold(key, 0, 300) == Refusal(limit="budget")
        assert len(office.wants) == 1
        await took(purse, key, 0, 50)  # less than what was refused is another question
        asked = len(office.wants)
        office.time.advance(0.25)
        assert await purse.hold(key, 0, 300) == Refusal(limit="budget")
        assert len(office.wants) == asked + 1

    run(story())


def test_a_changed_key_asks_anew_at_once(office: Office) -> None:
    key = add_key(office.database, budget=100)

    async def story() -> None:
        purse = office.open()
        assert await purse.hold(key, 0, 101) == Refusal(limit="budget")
        office.database.execute("UPDATE access_keys SET budget = 200 WHERE id = 'k'")
        purse.drop("k")
        await took(purse, key, 0, 101)

    run(story())


def test_a_small_request_is_admitted_though_a_larger_one_before_it_was_refused(office: Office) -> None:
    key = add_key(office.database, budget=100, tpm=50)

    async def story() -> None:
        purse = office.open()
        answers = await asyncio.gather(purse.hold(key, 10, 101), purse.hold(key, 51, 1), purse.hold(key, 50, 100))
        assert answers[:2] == [Refusal(limit="budget"), Refusal(limit="tpm")]
        assert isinstance(answers[2], Hold)

    run(story())


def test_who_gives_up_while_waiting_takes_nothing(office: Office) -> None:
    async def story() -> list[bool]:
        purse = office.open()
        given_up = []
        for steps in range(20):  # before the answer, in the very moment of it, and after it
            key = add_key(office.database, f"k{steps}", budget=10, rpm=10)
            gone = asyncio.ensure_future(purse.hold(key, 0, 10))
            for _ in range(steps):
                await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait((gone,))
            await calm()
            given_up.append(gone.cancelled())
            if not gone.cancelled():
                answer = gone.result()
                assert isinstance(answer, Hold)
                purse.release(answer)
            purse.release(await took(purse, key, 0, 10))
        office.take("w", purse.close())
        assert all(held(office.database, f"k{steps}") == {"w": 0} for steps in range(20)) and counted(office.database)[0] == 0
        return given_up

    assert set(run(story())) == {True, False}


def test_what_asking_raises_reaches_everybody_who_waits_and_the_next_one_asks_again(office: Office) -> None:
    key = add_key(office.database, budget=10)
    errors: list[Exception] = [ConnectionError("the keeper is gone")]

    async def lease(want: Want) -> Grant | Refusal:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop()
        return await office.lease("w", want)

    async def story() -> None:
        purse = Purse(lease, lambda returns: None, office.time)
        answers = await asyncio.gather(*(purse.hold(key, 0, 1) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(answer, ConnectionError) for answer in answers)
        await took(purse, key, 0, 1)

    run(story())


def test_requests_granted_too_late_are_not_used_and_a_keeper_that_stays_slow_is_told(office: Office) -> None:
    key = add_key(office.database, rpm=1000)

    async def lease(want: Want) -> Grant | Refusal:
        answer = await office.lease("w", want)
        office.time.advance(1.0)
        return answer

    async def story() -> list[Return]:
        purse = Purse(lease, lambda returns: office.take("w", returns), office.time)
        assert await purse.hold(key, 0, 0) == Refusal(limit="busy", after=1.0)
        return purse.close()

    office.take("w", run(story()))
    assert counted(office.database) == (0, 0)


def test_money_granted_late_is_used(office: Office) -> None:
    key = add_key(office.database, budget=1000)

    async def lease(want: Want) -> Grant | Refusal:
        office.time.advance(5.0)
        return await office.lease("w", want)

    async def story() -> None:
        purse = Purse(lease, lambda returns: None, office.time)
        await took(purse, key, 0, 1000)

    run(story())


def test_a_request_of_no_tokens_and_no_price_is_admitted(office: Office) -> None:
    key = add_key(office.database, budget=1000, tpm=10)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 0, 0)
        purse.settle(hold, 7, 7)
        office.take("w", purse.close())
        assert counted(office.database) == (0, 7)

    run(story())


def test_the_standing_tells_limits_what_is_left_and_when_all_of_it_is_back(office: Office) -> None:
    key = add_key(office.database, rpm=100, tpm=1000)

    async def story() -> None:
        purse = office.open()
        assert purse.standing(key) == Standing(100, 100, 1000, 1000, 0.0)
        for _ in range(3):
            await took(purse, key, 10)
        assert purse.standing(key) == Standing(100, 97, 1000, 970, 62.0)
        office.time.advance(0.5)
        assert purse.standing(key).reset == 61.5
        await asyncio.gather(*(purse.hold(key, 0, 0) for _ in range(200)))
        assert purse.standing(key).remaining_requests == 0

    run(story())


def test_a_key_with_one_limit_has_no_standing_for_the_other(office: Office) -> None:
    key = add_key(office.database, rpm=100)

    async def story() -> None:
        purse = office.open()
        await took(purse, key, 10)
        assert purse.standing(key)[:4] == (100, 99, None, None)

    run(story())


def test_close_gives_everything_back_and_refuses_who_waits(office: Office) -> None:
    key = add_key(office.database, budget=10**6, rpm=8000)

    async def story() -> None:
        purse = office.open()
        hold = await took(purse, key, 0, 10)
        waiting = asyncio.ensure_future(purse.hold(key, 0, 10**6 - 10))
        await asyncio.sleep(0)
        office.take("w", purse.close())
        assert await waiting == Refusal(limit="busy", after=1.0)
        assert held(office.database) == {"w": 10}
        purse.settle(hold, 0, 4)
        charge(office.database, "w", "k", 4, 10)
        office.take("w", purse.close())
        assert held(office.database) == {"w": 0} and counted(office.database)[0] == 1

    run(story())


def test_an_account_that_holds_and_owes_nothing_is_forgotten(office: Office) -> None:
    keys = [add_key(office.database, f"k{i}", budget=10**6, rpm=8000, tpm=8000) for i in range(20)]

    async def story() -> None:
        purse = office.open()
        for key in keys:
            purse.settle(await took(purse, key, 5, 5), 5, 5)
        for _ in range(3):
            office.time.advance(70.0)
            purse.tick(office.time())
        asked = len(office.wants)
        assert purse.standing(keys[0]) == Standing(8000, 8000, 8000, 8000, 0.0)
        assert purse.try_hold(keys[0], 1, 1) is None and len(office.wants) == asked
        assert len(purse) == 0

    run(story())


def test_a_lease_used_in_its_last_moment_counts_for_the_whole_minute_after_it(office: Office) -> None:
    """The tightest case: seconds 61 apart, and less than a minute between what they admit."""
    key = add_key(office.database, rpm=40)

    async def story() -> None:
        purse, other = office.open(), office.open("other")
        office.time.wall += 0.005
        await took(purse, key)
        office.time.advance(0.999)
        late = 0
        while purse.try_hold(key, 0, 0) is not None:
            late += 1
        assert late > 0
        del office.purses["w"]
        office.time.advance(59.996)
        answers = await asyncio.gather(*(other.hold(key, 0, 0) for _ in range(40)))
        assert late + sum(isinstance(answer, Hold) for answer in answers) <= 40

    run(story())
