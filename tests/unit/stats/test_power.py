import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pilotbase.stats import sequential
from pilotbase.stats.power import boundaries, chance, expected_calls, line, needed, refusal_chance, refusal_line, stopping_times
from pilotbase.stats.proportion import exact


def test_the_reference_lines_hold() -> None:
    assert line(">=", 0.90, 1000, 0.95) == 916
    assert line(">=", 0.95, 300, 0.95) == 292
    assert line("<=", 0.05, 300, 0.95) == 8


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 400), threshold=st.floats(0.02, 0.98), confidence=st.floats(0.6, 0.99), op=st.sampled_from([">=", "<="]))
def test_the_line_is_where_the_exact_bound_reaches_the_threshold(n: int, threshold: float, confidence: float, op: str) -> None:
    if op == ">=":
        passing = [k for k in range(n + 1) if exact(k, n, confidence).low >= threshold]
        failing = [k for k in range(n + 1) if exact(k, n, confidence).high < threshold]
        expected, refused = (min(passing) if passing else None), (max(failing) if failing else None)
    else:
        passing = [k for k in range(n + 1) if exact(k, n, confidence).high <= threshold]
        failing = [k for k in range(n + 1) if exact(k, n, confidence).low > threshold]
        expected, refused = (max(passing) if passing else None), (min(failing) if failing else None)
    assert line(op, threshold, n, confidence) == expected
    assert refusal_line(op, threshold, n, confidence) == refused


def test_a_sample_too_small_for_any_answer_has_no_line() -> None:
    assert line(">=", 0.95, 58, 0.95) is None
    assert line(">=", 0.95, 59, 0.95) == 59
    assert line(">=", 0.95, 0, 0.95) is None


def test_the_chance_of_an_answer_is_a_binomial_tail() -> None:
    assert chance(">=", 0.9, 0.93, 1000, 0.95) == pytest.approx(binom.sf(915, 1000, 0.93))
    assert chance("<=", 0.05, 0.02, 300, 0.95) == pytest.approx(binom.cdf(8, 300, 0.02))
    assert refusal_chance(">=", 0.9, 0.85, 500, 0.95) == pytest.approx(binom.cdf(refusal_line(">=", 0.9, 500, 0.95), 500, 0.85))


@pytest.mark.parametrize("op", [">=", "<="])
@pytest.mark.parametrize(("threshold", "n"), [(0.9, 100), (0.95, 300), (0.05, 300), (0.5, 37)])
def test_a_false_answer_at_the_threshold_is_no_likelier_than_alpha(op: str, threshold: float, n: int) -> None:
    assert chance(op, threshold, threshold, n, 0.95) <= 0.05
    assert refusal_chance(op, threshold, threshold, n, 0.95) <= 0.05


@pytest.mark.parametrize(("threshold", "value"), [(0.9, 0.95), (0.9, 0.85), (0.95, 0.99), (0.05, 0.02), (0.5, 0.55), (0.95, 1.0)])
def test_the_cases_needed_give_the_chance_asked_for_and_not_many_fewer_do(threshold: float, value: float) -> None:
    n = needed(">=", threshold, value, 0.95)
    find = chance if value > threshold else refusal_chance
    assert n is not None
    assert find(">=", threshold, value, n, 0.95) >= 0.8
    assert find(">=", threshold, value, n // 2, 0.95) < 0.8


def test_nothing_decides_at_the_threshold_or_within_ten_million_cases() -> None:
    assert needed(">=", 0.9, 0.9, 0.95) is None
    assert needed(">=", 0.9, 0.90001, 0.95) is None


def test_cases_in_hand_that_decide_already_need_no_more() -> None:
    assert needed(">=", 0.9, 0.95, 0.95, have=1000) == 0


def test_cases_in_hand_near_the_line_leave_some_to_ask() -> None:
    more = needed(">=", 0.9, 0.95, 0.95, have=100)
    assert more is not None
    assert 0 < more < needed(">=", 0.9, 0.95, 0.95)


def test_a_million_cases_are_planned_too() -> None:
    assert needed(">=", 0.9, 0.9005, 0.95) == pytest.approx(2.2e6, rel=0.05)


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.05])
def test_the_boundaries_of_the_sequential_rule_are_those_of_its_bounds(threshold: float) -> None:
    for n, refuse, accept in boundaries(threshold, 300, 0.95)[::13]:
        for s in {accept - 1, accept} & set(range(n + 1)):
            assert (sequential.proportion(s, n, 0.95).low >= threshold) == (s >= accept)
        for s in {refuse, refuse + 1} & set(range(n + 1)):
            assert (sequential.proportion(s, n, 0.95).high < threshold) == (s <= refuse)


def test_expected_calls_repeat_with_the_seed_and_never_exceed_the_plan() -> None:
    first, again = (expected_calls(">=", 0.9, 0.95, 500, 0.95, 200, 7) for _ in range(2))
    assert first == again
    assert np.all(stopping_times(">=", 0.9, 0.9, 500, 0.95, trials=200, seed=7) <= 500)
    assert expected_calls(">=", 0.9, 0.99, 500, 0.95, 200, 7) < first


def test_a_perfect_candidate_is_accepted_at_the_first_possible_look() -> None:
    first = next(n for n in range(1, 200) if sequential.log_wealth(n, n, 0.9) >= math.log(20))
    assert np.all(stopping_times(">=", 0.9, 1.0, 500, 0.95, trials=5, seed=1) == first)


@pytest.mark.parametrize(
    "call", [lambda: line("=", 0.5, 3, 0.9), lambda: line(">=", 1.0, 3, 0.9), lambda: needed(">=", 0.5, 2, 0.9)]
)
def test_questions_without_an_answer_are_refused(call) -> None:
    with pytest.raises(ValueError, match=r"found|got"):
        call()
