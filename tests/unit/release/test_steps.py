"""What a release does next, for everything that can be known of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.release import MOVES, TERMINAL, Exposure, Rung, State
from pilotbase.domain.verdict import CheckResult, Verdict
from pilotbase.release.steps import Cause, Exposed, Facts, Step, decide_step, limits_reached

STATES: tuple[State, ...] = get_args(State)
ALARM = Cause(kind="worse", told=("it is getting worse", "正在变差"), check="c")


def check(verdict: Verdict = "pass", **words: Any) -> CheckResult:
    plain: dict[str, Any] = {
        "id": "capability/failure-rate", "metric": "failure-rate", "under": None, "by": None, "require": "<= 2 %",
        "role": "decide", "verdict": verdict, "literal": None, "value": 0.01, "low": 0.001, "high": 0.019, "unit": "", "n": 100,
        "planned": 100, "failed": 0, "not_asked": 0, "method": "m", "needed": None,
    }  # fmt: skip
    return CheckResult(**{**plain, **words})


def facts(**words: Any) -> Facts:
    """A release that has all it needs for its next rung."""
    plain: dict[str, Any] = {
        "state": "climbing", "rung": Rung(rung="canary", share="5 %", requests=100, time="1h", feedback=3),
        "checks": [(check(), True)], "requests": 100, "seconds": 3600.0, "feedback": 3, "exposed": Exposed(),
        "limits": Exposure(),
    }  # fmt: skip
    return Facts(**{**plain, **words})


checks = st.lists(
    st.tuples(
        st.builds(check, st.sampled_from(["pass", "fail", "inconclusive"]), role=st.sampled_from(["decide", "inform"])),
        st.booleans(),
    ),
    max_size=4,
)
causes = st.lists(st.just(ALARM), max_size=1)
exposed = st.builds(
    Exposed, people=st.integers(0, 4), requests=st.integers(0, 4), nanos=st.integers(0, 4), seconds=st.floats(0, 4)
)
limits = st.builds(
    Exposure,
    people=st.none() | st.integers(1, 4),
    requests=st.none() | st.integers(1, 4),
    spend=st.sampled_from([None, "0.000000002 CNY"]),
    time=st.sampled_from([None, "2s"]),
)
rungs = st.builds(
    Rung,
    rung=st.sampled_from(["shadow", "canary", "full"]),
    requests=st.integers(0, 3),
    time=st.sampled_from(["1s", "3s"]),
    feedback=st.integers(0, 2),
    climb=st.sampled_from(["pass", "not-failed"]),
)
anything = st.builds(
    Facts,
    state=st.sampled_from(STATES),
    rung=rungs,
    checks=checks,
    requests=st.integers(0, 4),
    seconds=st.floats(0, 4),
    feedback=st.integers(0, 3),
    exposed=exposed,
    limits=limits,
    alarms=causes,
    missing=causes,
    caught_up=st.booleans(),
)


def against(found: Facts) -> bool:
    fails = any(mandatory and c.role == "decide" and c.verdict == "fail" for c, mandatory in found.checks)
    return bool(fails or found.alarms or found.missing)


@given(anything)
def test_going_back_needs_one_cause_and_wins_over_everything(found: Facts) -> None:
    step = decide_step(found)
    moves = found.state in ("climbing", "paused", "full")
    assert (step.move == "back") == (moves and against(found))
    if step.move == "back":
        assert step.causes and all(all(cause.told) for cause in step.causes)


@given(anything)
def test_a_release_with_a_limit_reached_never_climbs(found: Facts) -> None:
    reached = bool(limits_reached(found.limits, found.exposed))
    step = decide_step(found)
    if reached:
        assert step.move != "climb"
    assert (step.move == "hold") == (reached and not against(found) and found.state in ("climbing", "paused", "full"))


@given(anything)
def test_a_release_that_is_over_or_held_does_nothing_by_itself(found: Facts) -> None:
    if found.state in (*TERMINAL, "held"):
        assert decide_step(found) == Step()


@given(anything)
def test_a_climb_needs_requests_and_time_and_feedback_and_a_pass(found: Facts) -> None:
    step = decide_step(found)
    deciding = [c.verdict for c, mandatory in found.checks if mandatory and c.role == "decide"]
    passes = bool(deciding) and set(deciding) == {"pass"}
    enough = (
        found.requests >= found.rung.requests
        and found.seconds >= found.rung.seconds
        and found.feedback >= found.rung.feedback
        and (passes or found.rung.climb == "not-failed")
        and found.caught_up
    )
    free = not against(found) and not limits_reached(found.limits, found.exposed)
    assert (step.move == "climb") == (found.state == "climbing" and enough and free)
    if found.state == "climbing" and free:
        assert bool(step.waiting) != (step.move == "climb")


@given(anything)
def test_every_step_is_a_move_that_there_is_from_its_state(found: Facts) -> None:
    move = decide_step(found).move
    assert move is None or (found.state, move) in MOVES


@given(anything)
def test_the_same_facts_give_the_same_step(found: Facts) -> None:
    assert decide_step(found) == decide_step(replace(found, checks=list(found.checks)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"requests": 99}, "99 of 100 results"),
        ({"seconds": 3599.0}, "3599 of 3600 s under watch"),
        ({"feedback": 2}, "2 of 3 users' words"),
        ({"checks": [(check("inconclusive"), True)]}, "no PASS yet: capability/failure-rate"),
        ({"checks": []}, "no PASS yet: no check"),
        ({"checks": [(check(), False)]}, "no PASS yet: no check"),
        ({"caught_up": False}, "the evidence so far is being read"),
    ],
)
def test_what_is_missing_before_the_next_rung_is_told_in_both_languages(words: dict[str, Any], told: str) -> None:
    assert decide_step(facts()).move == "climb"
    step = decide_step(facts(**words))
    assert step.move is None and step.causes == ()
    ((english, chinese),) = step.waiting
    assert english == told and any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


def test_shadows_that_may_cost_no_more_are_told_where_they_keep_a_rung_waiting() -> None:
    rung = Rung(rung="shadow", requests=200, time="1s")
    step = decide_step(facts(rung=rung, requests=10, exposed=Exposed(shadow_spent=True)))
    assert ("the money for shadows is used up: raise it, or promote" in [en for en, _ in step.waiting]) and step.move is None


def test_a_failing_check_carries_its_evidence() -> None:
    (cause,) = decide_step(facts(checks=[(check("fail", low=0.03, high=0.08, value=0.05), True)])).causes
    assert cause.kind == "failing-check" and cause.check == "capability/failure-rate"
    assert (cause.figures["low"], cause.figures["value"], cause.figures["require"]) == (0.03, 0.05, "<= 2 %")
    assert "FAILS on live traffic" in cause.told[0] and "不通过" in cause.told[1]


@pytest.mark.parametrize("words", [{"role": "inform"}, {"verdict": "inconclusive"}])
def test_a_check_that_informs_or_is_open_sends_nobody_back(words: dict[str, Any]) -> None:
    found = facts(checks=[(check(**{"verdict": "fail", **words}), True), (check("pass", id="b"), True)])
    assert decide_step(found).move != "back"
    assert decide_step(facts(checks=[(check("fail"), False), (check(), True)])).move == "climb"


@pytest.mark.parametrize(
    ("limits_", "risked", "word"),
    [
        (Exposure(people=3), Exposed(people=3), "people"),
        (Exposure(requests=3), Exposed(requests=4), "requests"),
        (Exposure(spend="1 CNY"), Exposed(nanos=10**9, currency="CNY"), "money"),
        (Exposure(time="1h"), Exposed(seconds=3600.0), "time"),
    ],
)
def test_each_limit_is_reached_at_its_figure_and_not_before(limits_: Exposure, risked: Exposed, word: str) -> None:
    (cause,) = limits_reached(limits_, risked)
    assert cause.kind == "limit" and cause.figures["limit"] == word and "limit" in cause.told[0]
    before = replace(
        risked, people=risked.people - 2, requests=risked.requests - 2, nanos=risked.nanos - 1, seconds=risked.seconds - 1
    )
    assert limits_reached(limits_, before) == []
    assert limits_reached(Exposure(), risked) == []


def test_all_limits_that_are_reached_are_told() -> None:
    words: Sequence[str] = [
        str(cause.figures["limit"])
        for cause in limits_reached(Exposure(people=1, requests=1), Exposed(people=1, requests=1, seconds=5.0))
    ]
    assert words == ["people", "requests"]
