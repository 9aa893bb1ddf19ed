"""Find the bad parts of a call that failed as a whole, by halves."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["isolate"]

T = TypeVar("T")
_PROBES = 8


async def isolate(
    count: int,
    attempt: Callable[[int, int], Awaitable[tuple[T, bool]]],
    *,
    patience: int | None = None,
    ceiling: int | None = None,
    more: Callable[[], bool] = lambda: True,
) -> list[tuple[int, int, T, int]]:
    """Spans (start, stop, result, calls) that cover 0..count in order; a span that failed is one element where time allowed.

    `attempt(start, stop)` returns a result and whether it failed; `calls` is in how many calls the span was. Halves are tried
    breadth first, which takes at most 2 bad ceil(log2(count)) + 1 calls for `bad` bad elements. When `patience` calls failed and
    none succeeded, single elements spread over the whole are tried; if these fail too, what is left keeps the failure it has.
    It does so as well when `ceiling` calls failed, and once `more()` is false.
    """
    result, failed = await attempt(0, count)
    if not failed or count == 1:
        return [(0, count, result, 1)]
    done: list[tuple[int, int, T, int]] = []
    left = deque([(0, count, result, 1)])
    lost, won, over = 1, False, False
    while left:
        start, stop, result, calls = left.popleft()
        if patience is not None and lost >= patience and not (won or over):
            won = await _any(count, attempt)
            over = not won
        if over or (ceiling is not None and lost >= ceiling) or not more():
            done.append((start, stop, result, calls))
            continue
        middle = (start + stop) // 2
        for a, b in ((start, middle), (middle, stop)):
            result, failed = await attempt(a, b)
            won, lost = won or not failed, lost + failed
            if failed and b - a > 1:
                left.append((a, b, result, calls + 1))
            else:
                done.append((a, b, result, calls + 1))
    return sorted(done, key=lambda span: span[0])


async def _any(count: int, attempt: Callable[[int, int], Awaitable[tuple[T, bool]]]) -> bool:
    for i in range(min(_PROBES, count)):
        place = (2 * i + 1) * count // (2 * min(_PROBES, count))
        if not (await attempt(place, place + 1))[1]:
            return True
    return False
