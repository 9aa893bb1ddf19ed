"""Quota under load: keepers that really run at once, and minutes of traffic on several workers in virtual time."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes.lease_office import Office, Time, add_key, charge, held, recover

from pilotbase.gateway import leases
from pilotbase.gateway.account import Hold
from pilotbase.gateway.quota import Grant, Return, Want
from pilotbase.store.database import Database

NOW = 1_000_000.5


def test_keepers_that_race_on_one_database_grant_each_nano_and_each_request_once(
    tmp_path: Path, size: Callable[[int, int], int]
) -> None:
    rounds = size(40, 400)
    with Database(tmp_path / "base.db") as database:
        add_key(database, budget=rounds * 20, rpm=rounds)

    def keeper(name: str) -> tuple[int, int]:
        generator = random.Random(name)
        nanos = requests = 0
        with Database(tmp_path / "base.db") as database:
            for _ in range(rounds):
                want = Want(key="k", nanos=generator.randint(0, 9), requests=generator.randint(0, 1), nanos_ahead=20)
                answer = leases.grant(database, name, want, NOW, 4)
                if isinstance(answer, Grant):
                    back = Return(key="k", second=answer.second, nanos=answer.nanos // 3, requests=answer.requests // 2)
                    leases.give_back(database, name, [back], NOW)
                    nanos += answer.nanos - back.nanos
                    requests += answer.requests - back.requests
        return nanos, requests

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(keeper, "abcd"))
    with Database(tmp_path / "base.db") as database:
        assert {"a": 0, "b": 0, "c": 0, "d": 0} | held(database) == dict(zip("abcd", (nanos for nanos, _ in given), strict=True))
        assert sum(nanos for nanos, _ in given) <= rounds * 20
        counted = database.row("SELECT SUM(requests) FROM windows")
        assert counted is not None and counted[0] == sum(requests for _, requests in given) <= rounds


async def _traffic(office: Office, minutes: int, seed: int, **limits: int) -> list[tuple[float, int]]:
    """(when, used) of every request that was admitted: 40 a second on 4 workers, each of 100 tokens and nanos at most."""
    generator = random.Random(seed)
    key = add_key(office.database, **limits)
    names = [f"w{i}" for i in range(4)]
    for name in names:
        office.open(name)
    under_way: list[tuple[str, Hold, int, float]] = []
    admitted: list[tuple[float, int]] = []
    for step in range(minutes * 60 * 40):
        office.time.advance(1 / 40)
        name = generator.choice(names)
        answer = await office.purses[name].hold(key, 100, 100)
        if isinstance(answer, Hold):
            used = generator.randint(10, 100)
            admitted.append((office.time(), used))
            under_way.append((name, answer, used, office.time() + generator.expovariate(1 / 2.0)))
        for one in [one for one in under_way if one[3] <= office.time()]:
            under_way.remove(one)
            office.purses[one[0]].settle(one[1], one[2], one[2])
            charge(office.database, one[0], "k", one[2], 100)
        if step % 10 == 0:
            for purse in office.purses.values():
                purse.tick(office.time())
        if step % 2000 == 1999:  # a worker dies; what it had under way is charged as it would have been
            gone, i = generator.choice(names), len(names) + step
            for one in [one for one in under_way if one[0] == gone]:
                under_way.remove(one)
                charge(office.database, gone, "k", one[2], 100)
            del office.purses[gone]
            recover(office.database, gone)
            names[names.index(gone)] = f"w{i}"
            office.open(f"w{i}")
    for one in under_way:
        office.purses[one[0]].settle(one[1], one[2], one[2])
        charge(office.database, one[0], "k", one[2], 100)
    for name, purse in office.purses.items():
        office.take(name, purse.close())
    return admitted


@pytest.mark.parametrize(("limit", "amount"), [("rpm", 600), ("tpm", 30_000)])
def test_load_above_a_limit_a_minute_is_admitted_up_to_nearly_all_of_it_and_never_beyond(
    tmp_path: Path, size: Callable[[int, int], int], limit: str, amount: int
) -> None:
    minutes = size(2, 20)
    with Database(tmp_path / "base.db") as database:
        admitted = asyncio.run(_traffic(Office(database, Time(), 4), minutes, 7, **{limit: amount}))
    costs = [(at, 1 if limit == "rpm" else used) for at, used in admitted]
    for i in range(len(costs)):
        total = 0
        for at, cost in costs[i:]:
            if at >= costs[i][0] + 60.0:
                break
            total += cost
        assert total <= amount
    # A window of 62 s in place of 60, and what crashed workers had in advance, cost less than a tenth.
    assert sum(cost for _, cost in costs) >= 0.9 * amount * minutes


def test_a_budget_is_spent_to_the_last_request_and_every_nano_is_accounted_for(tmp_path: Path) -> None:
    budget = 120_000
    with Database(tmp_path / "base.db") as database:
        admitted = asyncio.run(_traffic(Office(database, Time(), 4), 2, 8, budget=budget))
        spent = sum(used for _, used in admitted)
        assert budget - 100 < spent <= budget
        assert set(held(database).values()) <= {0}
        last = leases.grant(database, "last", Want(key="k", nanos=budget - spent), NOW) if spent < budget else None
        assert last is None or isinstance(last, Grant)
