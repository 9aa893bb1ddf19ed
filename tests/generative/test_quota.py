"""Whatever workers, the keeper and the clock do in whatever order, no more is admitted than a key's limits allow."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.lease_office import Time, add_key, charge, held, recover

from pilotbase.domain.access import AccessKey
from pilotbase.gateway import leases
from pilotbase.gateway.account import Hold
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.quota import Grant, Refusal, Return, Want
from pilotbase.store.database import Database

WORKERS = 3
KEYS = itertools.count()
PAUSES = [10, 250, 900, 999, 1000, 5000, 30_000, 58_000, 59_999, 60_000, 61_000]  # ms

small = st.integers(0, 40)
worker = st.integers(0, WORKERS - 1)
moves = st.one_of(
    st.tuples(st.just("hold"), worker, small, small),
    st.tuples(st.just("hold"), worker, small, small),
    st.tuples(st.just("crowd"), worker, small, small),
    st.tuples(st.just("step"), st.integers(0, 9), st.just(0), st.just(0)),
    st.tuples(st.just("step"), st.integers(0, 9), st.just(0), st.just(0)),
    st.tuples(st.just("pass"), st.sampled_from(PAUSES), st.just(0), small),
    st.tuples(st.just("tick"), worker, st.just(0), st.just(0)),
    st.tuples(st.just("settle"), st.integers(0, 50), small, small),
    st.tuples(st.just("settle"), st.integers(0, 50), st.just(0), st.just(0)),
    st.tuples(st.just("release"), st.integers(0, 50), st.just(0), st.just(0)),
    st.tuples(st.just("recall"), worker, st.just(0), st.just(0)),
    st.tuples(st.just("apply"), worker, st.just(0), st.just(0)),
    st.tuples(st.just("crash"), worker, st.just(0), st.just(0)),
)  # fmt: skip
Move = tuple[str, int, int, int]


@dataclass(slots=True)
class Admission:
    """One admitted request. `used` and `cost` are None while it is under way."""

    at: float
    worker: str
    tokens: int
    nanos: int
    hold: Hold
    used: int | None = None
    cost: int | None = None
    released: bool = False


class World:
    """Workers and a keeper whose answers are decided and delivered when the test says so, each at a time of its own."""

    def __init__(self, database: Database, key: AccessKey, *, shared_by: int = WORKERS, gated: bool = True) -> None:
        self.shared_by = shared_by
        self.gated = gated
        self.database = database
        self.key = key
        self.time = Time()
        self.names = [f"{key.id}-{i}" for i in range(WORKERS)]
        self.purses = {name: self.start(name) for name in self.names}
        self.born = itertools.count(WORKERS)
        self.gates: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[tuple[str, asyncio.Task[None]]] = []
        self.admitted: list[Admission] = []
        self.unapplied: list[Admission] = []
        self.overrun = 0

    def start(self, name: str) -> Purse:
        return Purse(partial(self.lease, name), partial(self.take, name), self.time)

    async def gate(self, name: str) -> None:
        if not self.gated:
            return
        event = asyncio.Event()
        self.gates.append((name, event))
        await event.wait()

    async def lease(self, name: str, want: Want) -> Grant | Refusal:
        await self.gate(name)
        answer = await leases.obtain(partial(self.decide, name, want), partial(self.recall, name), want)
        await self.gate(name)
        return answer

    async def decide(self, name: str, want: Want) -> Grant | Refusal:
        return leases.grant(self.database, name, want, self.time.wall, self.shared_by)

    async def recall(self, asker: str) -> None:
        for name, purse in self.purses.items():
            if name != asker:
                self.take(name, purse.recall(self.key.id))

    def take(self, name: str, returns: Sequence[Return]) -> None:
        leases.give_back(self.database, name, returns, self.time.wall)

    async def request(self, name: str, tokens: int, nanos: int) -> None:
        answer = await self.purses[name].hold(self.key, tokens, nanos)
        if isinstance(answer, Hold):
            self.admitted.append(Admission(self.time.monotonic, name, tokens, nanos, answer))

    async def calm(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    async def move(self, move: Move) -> None:
        word, first, second, third = move
        name = self.names[first % WORKERS]
        under_way = [one for one in self.admitted if one.used is None and not one.released]
        if word in ("hold", "crowd"):
            for _ in range(1 if word == "hold" else 6):
                task = asyncio.get_running_loop().create_task(self.request(name, second, third))
                self.tasks.append((name, task))
        elif word == "step" and self.gates:
            self.gates.pop(first % len(self.gates))[1].set()
        elif word == "pass":
            self.time.advance(first / 1000)
            if third == 7:  # now and then the wall clock falls back
                self.time.wall -= 20.0
        elif word == "tick":
            self.purses[name].tick(self.time.monotonic)
        elif word == "recall":
            self.take(name, self.purses[name].recall(self.key.id))
        elif word == "settle" and under_way:
            self.settle(under_way[first % len(under_way)], second, third)
        elif word == "release" and under_way:
            one = under_way[first % len(under_way)]
            self.purses[one.worker].release(one.hold)
            one.released = True
        elif word == "apply":
            self.apply(name)
        elif word == "crash":
            self.crash(first % WORKERS)
        await self.calm()

    def settle(self, one: Admission, used: int, cost: int) -> None:
        one.used, one.cost = used, cost
        self.purses[one.worker].settle(one.hold, used, cost)
        self.unapplied.append(one)

    def apply(self, name: str) -> None:
        for one in [one for one in self.unapplied if one.worker == name]:
            assert one.cost is not None
            charge(self.database, name, self.key.id, one.cost, one.nanos)
            self.unapplied.remove(one)

    def crash(self, place: int) -> None:
        """The worker is gone with all that it knew. Recovery charges what was under way in full."""
        name = self.names[place]
        for owner, task in self.tasks:
            if owner == name:
                task.cancel()
        self.gates = [gate for gate in self.gates if gate[0] != name]
        del self.purses[name]
        for one in self.admitted:
            if one.worker == name and one.used is None and not one.released:
                one.used, one.cost = one.tokens, one.nanos
                self.unapplied.append(one)
        self.apply(name)
        recover(self.database, name)
        self.names[place] = f"{self.key.id}-{next(self.born)}"
        self.purses[self.names[place]] = self.start(self.names[place])

    def check(self) -> None:
        counted = [one for one in self.admitted if not one.released]
        base = sum(one.nanos if one.cost is None else min(one.cost, one.nanos) for one in counted)
        if self.key.budget is not None:
            assert base <= self.key.budget.nanos
        for first in counted:
            minute = [one for one in counted if first.at <= one.at < first.at + 60.0]
            if self.key.rpm is not None:
                assert len(minute) <= self.key.rpm
            if self.key.tpm is not None:
                assert sum(one.tokens if one.used is None else min(one.used, one.tokens) for one in minute) <= self.key.tpm

    async def end(self) -> None:
        """Everything is settled, applied and given back."""
        while self.gates:
            self.gates.pop()[1].set()
            await self.calm()
        for one in self.admitted:
            if one.used is None and not one.released:
                self.settle(one, one.tokens, one.nanos)
        for name in self.names:
            self.apply(name)
            self.take(name, self.purses[name].close())
        await asyncio.gather(*(task for _, task in self.tasks), return_exceptions=True)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(tmp_path_factory.mktemp("quota") / "base.db") as opened:
        yield opened


async def live(database: Database, key: AccessKey, script: Sequence[Move]) -> World:
    world = World(database, key)
    for move in script:
        await world.move(move)
        world.check()
    await world.end()
    world.check()
    return world


def _limit(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.integers(low, high))


@settings(max_examples=80)
@given(budget=_limit(0, 200), rpm=_limit(1, 12), tpm=_limit(1, 200), script=st.lists(moves, min_size=20, max_size=60))
def test_no_limit_is_passed_in_any_order_of_events_and_no_lease_leaks(
    database: Database, budget: int | None, rpm: int | None, tpm: int | None, script: list[Move]
) -> None:
    key = add_key(database, f"k{next(KEYS)}", budget=budget, rpm=rpm, tpm=tpm)
    world = asyncio.run(live(database, key, script))
    if budget is not None:
        spent = sum(one.cost or 0 for one in world.admitted)
        over = sum(max(0, (one.cost or 0) - one.nanos) for one in world.admitted)
        outstanding = held(database, key.id)
        # What stays outstanding is debt: what requests cost beyond their holds and nobody has covered yet.
        assert all(-over <= nanos <= 0 for nanos in outstanding.values()), outstanding
        room = budget - spent
        last = leases.grant(database, "afterwards", Want(key=key.id, nanos=max(1, room)), world.time.wall + 1000.0)
        assert isinstance(last, Grant) == (room >= 1)
        assert isinstance(leases.grant(database, "afterwards", Want(key=key.id, nanos=1), world.time.wall + 1000.0), Refusal)


@settings(max_examples=60)
@given(
    tokens=st.booleans(),
    part=st.sampled_from([0, 1, 10, 50, 98]),
    script=st.lists(
        st.tuples(
            worker, st.sampled_from([1, 1, 3, 40, 60]), st.sampled_from([0, 5, 5, 90, 95, 190, 290, 5800, 5910, 5910, 5990, 6000])
        ),
        min_size=4,
        max_size=16,
    ),
)
def test_in_no_minute_more_is_admitted_than_the_limit_however_late_a_lease_is_used(
    database: Database, tokens: bool, part: int, script: list[tuple[int, int, int]]
) -> None:
    """Bursts on three workers, pauses chosen so that leases end and seconds are forgotten just before or just after them."""

    async def story() -> None:
        key = add_key(database, f"k{next(KEYS)}", tpm=400) if tokens else add_key(database, f"k{next(KEYS)}", rpm=40)
        world = World(database, key, shared_by=1, gated=False)
        world.time.wall += part / 100
        admitted = False
        for place, burst, pause in script:
            name = world.names[place]
            await asyncio.gather(*(world.request(name, 10, 0) for _ in range(burst)))
            admitted = admitted or bool(world.admitted)
            world.time.advance(pause / 100)
            if pause % 10 == 0:
                world.purses[name].tick(world.time.monotonic)
        world.check()
        assert admitted

    asyncio.run(story())


@settings(max_examples=60)
@given(
    script=st.lists(
        st.tuples(st.sampled_from([0, 0, 100, 300, 1100, 5000]), st.integers(1, 30), st.booleans()), min_size=12, max_size=30
    )
)
def test_what_is_used_beyond_is_paid_for_by_later_requests(database: Database, script: list[tuple[int, int, bool]]) -> None:
    """Requests that need 10 nanos and cost up to 30: the overshoot is at most one request's own for each that is under way."""
    key = add_key(database, f"k{next(KEYS)}", budget=100)

    async def story() -> None:
        time = Time()
        name = f"{key.id}-w"

        async def lease(want: Want) -> Grant | Refusal:
            return leases.grant(database, name, want, time.wall)

        purse = Purse(lease, lambda returns: leases.give_back(database, name, returns, time.wall), time)
        spent, late = 0, list[int]()
        for pause, cost, applied in script:
            time.advance(pause / 1000)
            purse.tick(time())
            answer = await purse.hold(key, 0, 10)
            assert isinstance(answer, Hold) == (spent + 10 <= 100), spent
            if isinstance(answer, Hold):
                purse.settle(answer, 0, cost)
                late.append(cost)
                spent += cost
            while applied and late:
                charge(database, name, key.id, late.pop(), 10)
        assert spent <= 100 + 20

    asyncio.run(story())
