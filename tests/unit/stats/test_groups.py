import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.stats.estimate import Estimate, unbounded
from pilotbase.stats.groups import gap, part_confidence, ratio, worst
from pilotbase.stats.proportion import exact

counts = st.lists(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=6)


def parts(rows: list[tuple[int, int]]) -> list[Estimate]:
    return [exact(s, n, part_confidence(0.95, len(rows))) for s, n in rows]


def test_each_bound_of_each_group_gets_its_share_of_alpha() -> None:
    assert part_confidence(0.95, 5) == pytest.approx(1 - 0.05 / 10)
    with pytest.raises(ValueError, match="at least one"):
        part_confidence(0.95, 0)


def test_the_gap_follows_the_rule() -> None:
    found = gap(parts([(90, 100), (60, 100), (75, 100)]), 0.95)
    a, b, _ = parts([(90, 100), (60, 100), (75, 100)])
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(a.low - b.high)
    assert found.high == pytest.approx(a.high - b.low)


def test_groups_that_overlap_may_have_no_gap() -> None:
    assert gap(parts([(50, 100), (52, 100)]), 0.95).low == 0.0


@settings(deadline=None)
@given(rows=counts)
def test_derived_bounds_enclose_their_values_and_ignore_the_order(rows: list[tuple[int, int]]) -> None:
    for build in (gap, ratio, lambda p, c: worst(p, c, True), lambda p, c: worst(p, c, False)):
        found = build(parts(rows), 0.95)
        assert found == build(parts(rows[::-1]), 0.95)
        assert 0.0 <= found.low <= found.high <= 1.0
        if found.value is not None:
            assert found.low <= found.value <= found.high


def test_the_ratio_is_of_the_smallest_to_the_largest() -> None:
    found = ratio(parts([(80, 100), (60, 100)]), 0.95)
    a, b = parts([(80, 100), (60, 100)])
    assert found.value == pytest.approx(0.75)
    assert (found.low, found.high) == (pytest.approx(b.low / a.high), pytest.approx(min(1.0, b.high / a.low)))


def test_groups_that_are_all_zero_have_no_ratio() -> None:
    found = ratio(parts([(0, 50), (0, 60)]), 0.95)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)


def test_a_ratio_of_negative_values_is_refused() -> None:
    negative = Estimate(value=-1, low=-2, high=0, n=9, method="m", confidence=0.99)
    with pytest.raises(ValueError, match="values >= 0"):
        ratio([negative], 0.95)


def test_the_worst_is_the_smallest_recall_or_the_largest_error_rate() -> None:
    rows = parts([(90, 100), (60, 100)])
    low, high = worst(rows, 0.95, largest=False), worst(rows, 0.95, largest=True)
    assert (low.value, low.low, low.high) == (0.6, rows[1].low, rows[1].high)
    assert (high.value, high.low, high.high) == (0.9, rows[0].low, rows[0].high)


def test_a_group_without_bounds_leaves_the_comparison_without_them() -> None:
    rows = [*parts([(90, 100)]), unbounded(0.5, 3, "m", 0.95)]
    for found in (gap(rows, 0.95), ratio(rows, 0.95), worst(rows, 0.95, True)):
        assert found.value is not None
        assert (found.low, found.high) == (None, None)


def test_a_group_without_a_value_or_no_group_at_all_is_undefined() -> None:
    for rows in ([], [exact(0, 0, 0.95)]):
        assert gap(rows, 0.95).value is None
        assert worst(rows, 0.95, False).low is None
