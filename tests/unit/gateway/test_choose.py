"""The order in which upstreams are tried."""

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.traffic import Upstream
from pilotbase.gateway.choose import choose

SALT = b"salt of the base"


def upstreams(*shares: tuple[int, int]) -> list[Upstream]:
    """One upstream for each (weight, tier)."""
    return [Upstream(name=f"u{i}", url="http://h/v1", weight=w, tier=t) for i, (w, t) in enumerate(shares)]


def all_up(_: int) -> bool:
    return True


some = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3)), min_size=1, max_size=6)


@given(some, st.sets(st.integers(0, 5)), st.floats(0, 1, exclude_max=True), st.none() | st.binary(max_size=8))
def test_each_usable_upstream_is_tried_once_and_lower_tiers_first(
    shares: list[tuple[int, int]], down: set[int], draw: float, sticky: bytes | None
) -> None:
    ones = upstreams(*shares)
    order = choose(ones, lambda i: i not in down, draw=draw, sticky=sticky, salt=SALT)
    assert sorted(order) == [i for i, one in enumerate(ones) if one.weight and i not in down]
    tiers = [ones[i].tier for i in order]
    assert tiers == sorted(tiers)


@given(some, st.floats(0, 1, exclude_max=True), st.integers(0, 5))
def test_a_pinned_upstream_is_the_only_one(shares: list[tuple[int, int]], draw: float, place: int) -> None:
    ones = upstreams(*shares)
    expected = [place] if place < len(ones) else []
    assert choose(ones, all_up, draw=draw, pinned=f"u{place}") == expected
    assert choose(ones, lambda _: False, draw=draw, pinned=f"u{place}") == []


def test_draws_share_the_traffic_by_weight(size: Callable[[int, int], int]) -> None:
    n = size(2000, 100_000)
    ones = upstreams((5, 0), (3, 0), (2, 0))
    orders = Counter(tuple(choose(ones, all_up, draw=(k + 0.5) / n)) for k in range(n))
    firsts = Counter({i: sum(count for order, count in orders.items() if order[0] == i) for i in range(3)})
    assert [firsts[i] for i in range(3)] == [n * 5 // 10, n * 3 // 10, n * 2 // 10]
    # And what is left of the draw shares the second place by weight too.
    assert abs(orders[(0, 1, 2)] / n - 0.5 * 3 / 5) < 0.01
    assert abs(orders[(2, 0, 1)] / n - 0.2 * 5 / 8) < 0.01


def test_sticky_keys_share_the_traffic_by_weight(size: Callable[[int, int], int]) -> None:
    n = size(4000, 100_000)
    ones = upstreams((5, 0), (3, 0), (2, 0))
    firsts = Counter(choose(ones, all_up, draw=0.0, sticky=b"%d" % k, salt=SALT)[0] for k in range(n))
    for i, share in enumerate((0.5, 0.3, 0.2)):
        assert abs(firsts[i] / n - share) < 5 * (share * (1 - share) / n) ** 0.5


@given(st.binary(max_size=30), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_sticky_key_goes_to_the_same_upstream_whatever_is_drawn(key: bytes, one: float, other: float) -> None:
    ones = upstreams((1, 0), (2, 0), (3, 0), (1, 1))
    assert choose(ones, all_up, draw=one, sticky=key, salt=SALT) == choose(ones, all_up, draw=other, sticky=key, salt=SALT)


@given(st.binary(max_size=30), st.integers(0, 3))
def test_an_upstream_that_goes_down_moves_only_its_own_keys(key: bytes, down: int) -> None:
    ones = upstreams((1, 0), (2, 0), (3, 0), (4, 0))
    before = choose(ones, all_up, draw=0.0, sticky=key, salt=SALT)
    after = choose(ones, lambda i: i != down, draw=0.0, sticky=key, salt=SALT)
    assert after == [i for i in before if i != down]


def test_a_caller_without_the_salt_cannot_tell_where_a_key_leads() -> None:
    ones = upstreams((1, 0), (1, 0))
    keys = [b"%d" % k for k in range(200)]
    led = [[choose(ones, all_up, draw=0.0, sticky=key, salt=salt)[0] for key in keys] for salt in (b"a", b"b")]
    same = sum(x == y for x, y in zip(*led, strict=True))
    assert 60 < same < 140
