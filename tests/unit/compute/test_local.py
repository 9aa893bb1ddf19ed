"""The local executor keeps the target's slots full, and gives a slot back only when its answer is recorded."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from tests.fakes.patience import PATIENCE

from pilotbase.compute.local import LocalExecutor
from pilotbase.domain.evidence import Ask, Reply
from pilotbase.errors import UserError


class FakeTarget:
    batch = 1

    def __init__(self, concurrency: int = 4, *, bad: int | None = None, short: bool = False) -> None:
        self.concurrency = concurrency
        self.under_way = self.peak = self.calls = self.cancelled = 0
        self.bad = bad
        self.short = short

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        self.calls += 1
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            if self.bad == asks[0].key:
                raise UserError("unreachable", code=4)
            for _ in range(asks[0].key % 3 + 1):
                await asyncio.sleep(0)
            if self.bad is not None and asks[0].key > self.bad:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        return [] if self.short else [Reply(answer=a.key) for a in asks]

    async def aclose(self) -> None:
        pass


def _items(count: int, pulled: list[int] | None = None) -> Iterator[Sequence[Ask]]:
    for i in range(count):
        if pulled is not None:
            pulled.append(i)
        yield [Ask(key=i, inputs={})]


def _run(target: FakeTarget, items: Iterator[Sequence[Ask]], record=lambda asks, replies: None) -> None:
    asyncio.run(asyncio.wait_for(LocalExecutor().run(target, items, record), 20))


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_every_item_is_asked_once_and_recorded_with_its_own_reply(concurrency: int) -> None:
    target, seen = FakeTarget(concurrency), []
    _run(target, _items(50), lambda asks, replies: seen.append((asks[0].key, replies[0].answer)))
    assert sorted(seen) == [(i, i) for i in range(50)]
    assert target.peak == min(concurrency, 50)


def test_items_are_pulled_only_as_slots_fall_free() -> None:
    target, pulled, recorded = FakeTarget(3), [], []

    def record(asks: Sequence[Ask], replies: Sequence[Reply]) -> None:
        recorded.append(asks[0].key)
        assert len(pulled) - len(recorded) < 3

    _run(target, _items(40, pulled), record)
    assert len(recorded) == 40


def test_no_items_are_no_calls() -> None:
    target = FakeTarget()
    _run(target, _items(0))
    assert target.calls == 0


def test_an_error_of_the_target_ends_the_run_and_the_calls_under_way() -> None:
    target, pulled = FakeTarget(4, bad=5), []
    with pytest.raises(UserError, match="unreachable"):
        _run(target, _items(1000, pulled))
    assert target.under_way == 0 and target.cancelled <= 3
    assert len(pulled) <= 12


def test_an_error_while_recording_ends_the_run() -> None:
    target = FakeTarget(4)

    def record(asks: Sequence[Ask], replies: Sequence[Reply]) -> None:
        if asks[0].key == 7:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _run(target, _items(1000), record)
    assert target.under_way == 0 and target.calls < 20


def test_an_error_of_the_iterator_ends_the_run() -> None:
    def items() -> Iterator[Sequence[Ask]]:
        yield [Ask(key=0, inputs={})]
        raise UserError("no more data")

    with pytest.raises(UserError, match="no more data"):
        _run(FakeTarget(2), items())


def test_a_target_that_loses_replies_is_a_bug_and_not_a_smaller_denominator() -> None:
    with pytest.raises(RuntimeError, match="0 replies to 1 asks"):
        _run(FakeTarget(short=True), _items(3))


def test_a_cancelled_run_cancels_its_calls() -> None:
    async def run() -> int:
        target = FakeTarget(4, bad=-1)
        running = asyncio.ensure_future(LocalExecutor().run(target, _items(10), lambda a, r: None))
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return target.under_way

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE)) == 0
