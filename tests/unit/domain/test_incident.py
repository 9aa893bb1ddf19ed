"""An incident's way: open, contained, resolved, closed; what each step asks for, and that telling it twice changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.incident import (
    STATES,
    Action,
    Detection,
    FirstBad,
    Incident,
    Regression,
    amended,
    closed,
    contained,
    opened,
    preparing,
    resolved,
)
from pilotbase.domain.scenario import Titles
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CASES = Regression(pilot="small", data="test.csv", cases=("bad-1",), before="sha256:a", after="sha256:b")


def incident(**more: Any) -> Incident:
    fields: dict[str, Any] = {
        "id": "inc-1",
        "route": "chat",
        "kind": "incident",
        "severity": 3,
        "detected": NOW,
        "detected_by": Detection(by="alert", ref="a1"),
        "title": Titles(en="Wrong answers", zh="答错"),
    }
    return opened(Incident(**{**fields, **more}), who="controller", now=NOW)


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def action(act: Any = "rollback", minutes: float = 1, **more: Any) -> Action:
    return Action(act=act, at=later(minutes), who="controller", **more)


def mended(**more: Any) -> Incident:
    return resolved(contained(incident(**more), action()), who="ann", now=later(60))


def refusal(step: Any) -> str:
    with pytest.raises(UserError) as caught:
        step()
    assert caught.value.status == 409
    return str(caught.value)


def test_the_way_of_an_incident_is_open_contained_resolved_closed() -> None:
    one = incident()
    two = contained(one, action())
    three = resolved(two, who="ann", now=later(60), cause="a bad index")
    four = closed(three, who="ann", now=later(90), regression=CASES)
    assert tuple(step.state for step in (one, two, three, four)) == STATES
    assert [entry.what for entry in four.history] == ["opened", "contained: rollback", "resolved", "closed"]
    assert [entry.who for entry in four.history] == ["controller", "controller", "ann", "ann"]
    assert four.cases == ("bad-1",) and four.cause == "a bad index"


def test_times_run_from_the_first_bad_request_to_detection_and_on_from_there() -> None:
    one = incident(first_bad=FirstBad(request="r1", at=later(-10)))
    assert (one.times.detect, one.times.contain, one.times.resolve) == (600.0, None, None)
    after = resolved(contained(one, action(minutes=2)), who="ann", now=later(60))
    assert (after.times.contain, after.times.resolve) == (120.0, 3600.0)


def test_a_step_told_twice_changes_nothing() -> None:
    two = contained(incident(), action())
    assert contained(two, action(minutes=9)) is two
    three = resolved(two, who="ann", now=later(60), cause="x")
    assert resolved(three, who="bob", now=later(61), cause="x") is three
    four = closed(three, who="ann", now=later(90), regression=CASES)
    assert closed(four, who="bob", now=later(91), regression=CASES) is four
    assert resolved(four, who="bob", now=later(92)) is four


def test_a_second_action_is_added_and_the_moment_of_containment_stays() -> None:
    two = contained(contained(incident(), action()), action("human-takeover", 5, note="the desk answers"))
    assert two.contained == later(1)
    assert [(a.act, a.note) for a in two.actions] == [("rollback", ""), ("human-takeover", "the desk answers")]


def test_an_open_incident_cannot_be_resolved_and_the_refusal_says_what_is_missing() -> None:
    said = refusal(lambda: resolved(incident(), who="ann", now=later(1)))
    assert "it is open: nothing that contained it is recorded" in said
    assert "pilotbase incident contain inc-1 --action rollback|throttle|disable|human-takeover|other" in said


def test_an_incident_cannot_be_closed_without_a_regression_case() -> None:
    said = refusal(lambda: closed(mended(cause="known"), who="ann", now=later(90)))
    assert "it has no regression case, so the next trial would not catch it" in said
    assert "pilotbase incident close inc-1 --pilot PILOT --case FILE --cause TEXT" in said


@pytest.mark.parametrize("kind", ["hazard", "near-miss", "incident"])
def test_no_kind_of_real_event_is_closed_without_a_case(kind: str) -> None:
    assert "no regression case" in refusal(lambda: closed(mended(kind=kind, cause="known"), who="ann", now=later(90)))


def test_an_exercise_needs_no_case_for_its_failure_was_staged() -> None:
    done = closed(mended(kind="exercise", cause="drill"), who="ann", now=later(90))
    assert done.state == "closed" and done.cases == ()


def test_an_early_close_is_told_everything_that_is_missing_at_once() -> None:
    said = refusal(lambda: closed(incident(), who="ann", now=later(1)))
    for missing in ("neither contained nor resolved", "its root cause is not told", "it has no regression case"):
        assert missing in said
    assert "it has not been resolved" in refusal(lambda: closed(contained(incident(), action()), who="ann", now=later(2)))


def test_a_closed_record_is_final() -> None:
    done = closed(mended(cause="x"), who="ann", now=later(90), regression=CASES)
    other = replace(CASES, cases=("bad-2",))
    for step in (
        lambda: contained(done, action("disable")),
        lambda: closed(done, who="ann", now=later(91), regression=other),
        lambda: preparing(done, other),
        lambda: amended(done, {"severity": 1}, who="ann", now=later(91)),
    ):
        assert "it is closed, and its record is final" in refusal(step)


def test_what_is_about_to_be_added_is_kept_until_the_close() -> None:
    waiting = preparing(mended(cause="x"), replace(CASES, after=""))
    assert waiting.pending is not None and waiting.pending.after == ""
    assert preparing(waiting, replace(CASES, after="")) is waiting
    assert closed(waiting, who="ann", now=later(90), regression=CASES).pending is None


def test_a_clock_that_went_back_neither_stops_a_rollback_nor_disorders_the_history() -> None:
    two = contained(incident(), action(minutes=-600))
    assert two.state == "contained" and two.contained == NOW
    assert [entry.at for entry in two.history] == [NOW, NOW]
    assert incident(first_bad=FirstBad(at=later(5))).times.detect is None


def test_severity_has_four_levels_with_their_names() -> None:
    assert [names.zh for names in SEVERITIES.values()] == ["特别重大", "重大", "较大", "一般"]
    with pytest.raises(ValueError, match="severity 5"):
        incident(severity=5)


@given(st.lists(st.tuples(st.sampled_from(["contain", "resolve", "close"]), st.integers(-100, 100)), max_size=12))
def test_whatever_is_told_in_whatever_order_the_state_never_goes_back_and_the_history_only_grows(
    told: list[tuple[str, int]],
) -> None:
    one = incident(cause="known")
    for word, minutes in told:
        before = one
        try:
            if word == "contain":
                one = contained(one, action(minutes=minutes, note=str(minutes)))
            elif word == "resolve":
                one = resolved(one, who="ann", now=later(minutes))
            else:
                one = closed(one, who="ann", now=later(minutes), regression=CASES)
        except UserError as error:
            assert error.status == 409
        assert STATES.index(one.state) - STATES.index(before.state) in (0, 1)
        assert one.history[: len(before.history)] == before.history
        assert [entry.at for entry in one.history] == sorted(entry.at for entry in one.history)
    assert (one.state == "closed") == bool(one.cases)
