"""Bad elements of a failed call are told apart."""

import asyncio
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.targets.bisect import isolate

Spans = list[tuple[int, int, bool, int]]


def _isolate(count: int, bad: set[int], **limits: object) -> tuple[Spans, int]:
    calls = 0

    async def attempt(start: int, stop: int) -> tuple[bool, bool]:
        nonlocal calls
        calls += 1
        failed = any(start <= b < stop for b in bad)
        return failed, failed

    return asyncio.run(isolate(count, attempt, **limits)), calls


@st.composite
def _bad(draw: st.DrawFn) -> tuple[int, set[int]]:
    count = draw(st.integers(1, 300))
    return count, draw(st.sets(st.integers(0, count - 1), max_size=count))


def _covers(count: int, spans: Spans) -> bool:
    return [s for a, b, _, _ in spans for s in range(a, b)] == list(range(count))


@settings(deadline=None)
@given(_bad())
def test_exactly_the_bad_elements_fail(case: tuple[int, set[int]]) -> None:
    count, bad = case
    spans, calls = _isolate(count, bad)
    assert _covers(count, spans)
    assert {a for a, _, failed, _ in spans if failed} == bad
    assert all(b - a == 1 for a, b, failed, _ in spans if failed)
    assert calls <= 1 + 2 * len(bad) * math.ceil(math.log2(count) if count > 1 else 0)
    assert all(1 <= tried <= 1 + math.ceil(math.log2(count) if count > 1 else 0) for _, _, _, tried in spans)


@settings(deadline=None)
@given(_bad(), st.integers(1, 20))
def test_with_patience_every_bad_element_fails_and_everything_is_covered(case: tuple[int, set[int]], patience: int) -> None:
    count, bad = case
    spans, _ = _isolate(count, bad, patience=patience)
    assert _covers(count, spans)
    assert bad <= {i for a, b, failed, _ in spans if failed for i in range(a, b)}


@settings(deadline=None)
@given(st.integers(1, 20_000))
def test_when_all_fails_patience_ends_it_quickly(count: int) -> None:
    _, calls = _isolate(count, set(range(count)), patience=64)
    assert calls <= 66 + 8


def test_patience_does_not_give_up_where_single_elements_succeed() -> None:
    bad = set(range(0, 10_000, 10))
    spans, _ = _isolate(10_000, bad, patience=64)
    assert {a for a, _, failed, _ in spans if failed} == bad


def test_a_ceiling_bounds_the_failed_calls() -> None:
    spans, calls = _isolate(10_000, set(range(0, 10_000, 2)), ceiling=100)
    assert calls <= 202 and _covers(10_000, spans)


def test_without_time_the_failure_of_the_whole_stands() -> None:
    assert _isolate(8, {3}, more=lambda: False) == ([(0, 8, True, 1)], 1)
