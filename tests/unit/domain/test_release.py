"""What a release plan may not say, and the moves of the state machine."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.alert import Channel
from pilotbase.domain.gate import Check
from pilotbase.domain.problem import Problem
from pilotbase.domain.quantity import Money
from pilotbase.domain.release import (
    MOVES,
    STEPS,
    TERMINAL,
    Budget,
    Diligence,
    Drift,
    Evidence,
    Exposure,
    Monitor,
    Move,
    Plan,
    Rung,
    Shadowing,
    State,
    order_problems,
)

STATES: tuple[State, ...] = get_args(State)
FULL = Rung(rung="full")


def told(found: Iterator[Problem]) -> list[tuple[tuple[str | int, ...], str]]:
    return [(p.path, p.message) for p in found]


def words(problems: Iterator[Problem]) -> str:
    return "\n".join(f"{p.path}: {p.message}; {p.hint}" for p in problems)


# --- the state machine ---


def reached(state: State) -> set[State]:
    """Every state that moves lead to from here; the last rung's `climb` leads to `full`."""
    seen: set[State] = {state}
    todo = [state]
    while todo:
        here = todo.pop()
        nexts = {to for (start, _), to in MOVES.items() if start == here} | ({"full"} if (here, "climb") in MOVES else set())
        todo += [s for s in nexts if s not in seen]
        seen |= nexts
    return seen


@pytest.mark.parametrize("state", [s for s in STATES if s not in TERMINAL])
def test_every_state_but_the_terminal_ones_can_go_back_at_once(state: State) -> None:
    assert MOVES[state, "back"] == "rolled-back"


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_nothing_leaves_a_terminal_state(state: State) -> None:
    assert [move for (start, move) in MOVES if start == state] == []


def test_moves_know_only_declared_states_and_every_state_and_move_is_used() -> None:
    assert {start for start, _ in MOVES} | set(MOVES.values()) | {"full"} == set(STATES)
    assert {move for _, move in MOVES} == set(get_args(Move))


def test_full_is_reached_by_no_move_of_the_table_since_only_the_last_rung_climbs_there() -> None:
    assert "full" not in MOVES.values()
    assert [start for start, move in MOVES if move == "climb"] == ["climbing"]


def test_every_state_is_reached_from_the_first_and_every_state_ends() -> None:
    assert reached("climbing") == set(STATES)
    assert all(reached(state) & TERMINAL for state in STATES)


def test_what_is_held_or_paused_goes_on_only_by_a_word_to_resume() -> None:
    for state in ("paused", "held"):
        assert [move for (start, move), to in MOVES.items() if start == state and to == "climbing"] == ["resume"]


def test_a_release_ends_well_from_full_only() -> None:
    assert [key for key, to in MOVES.items() if to == "ended"] == [("full", "end")]


@given(st.lists(st.sampled_from(get_args(Move)), max_size=30))
def test_no_series_of_moves_leaves_the_table_or_comes_back_from_the_end(moves: list[Move]) -> None:
    state: State = "climbing"
    for move in moves:
        before, state = state, MOVES.get((state, move), state)
        assert state in STATES
        assert before not in TERMINAL or state == before


# --- the plan ---


def test_the_plan_of_defaults_is_sound_and_climbs_as_the_pages_say() -> None:
    plan = Plan(bearer="Li Lei")
    assert list(plan.problems()) == []
    assert [str(rung) for rung in plan.rungs] == ["shadow 100 %", "canary 1 %", "canary 5 %", "canary 25 %", "full"]
    assert plan.rungs == STEPS
    assert [rung.part for rung in plan.rungs] == [1.0, 0.01, 0.05, 0.25, 1.0]
    assert [rung.seconds for rung in plan.rungs] == [3600, 3600, 7200, 21600, 86400]
    assert plan.alerts == (Channel(log=True),)


def test_limits_are_read_as_amounts_and_seconds_or_as_none() -> None:
    assert (Exposure().money, Exposure().seconds) == (None, None)
    exposure = Exposure(spend="1.5 CNY", time="2h")
    assert (exposure.money, exposure.seconds) == (Money(1_500_000_000, "CNY"), 7200)


def test_people_are_those_of_every_bounded_rung_each_once() -> None:
    rungs = (Rung(rung="bounded", users=("a", "b/u", "a")), Rung(rung="bounded", users=("b/u", "c")), FULL)
    assert Plan(bearer="x", rungs=rungs).people == ("a", "b/u", "c")


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"rung": "canary", "share": "0 %"}, ("share",), "a share is more than 0 and at most 100 %"),
        ({"rung": "canary", "share": "5"}, ("share",), "did you mean `5 %`?"),
        ({"rung": "canary", "time": "1 fortnight"}, ("time",), "is not a duration"),
        ({"rung": "bounded"}, ("users",), "bounded use is by named users"),
        ({"rung": "bounded", "users": ("a b",)}, ("users", 0), "names no user"),
        ({"rung": "bounded", "users": ("ok", "")}, ("users", 1), "names no user"),
        ({"rung": "bounded", "users": ("a",), "share": "5 %"}, ("share",), "a rung `bounded` has no share"),
        ({"rung": "full", "share": "5 %"}, ("share",), "a rung `full` has no share"),
        ({"rung": "canary", "users": ("a",)}, ("users",), "a rung `canary` names nobody"),
        ({"rung": "shadow", "notice": "x"}, ("notice",), "a rung `shadow` asks nobody by name"),
        ({"rung": "bounded", "users": ("a",), "notice": "试" * 301}, ("notice",), "at most 300 printable characters"),
        ({"rung": "bounded", "users": ("a",), "notice": "a\r\nx: y"}, ("notice",), "on one line"),
        ({"rung": "full", "requests": -1}, ("requests",), "-1 is out of range"),
        ({"rung": "full", "feedback": 10**7}, ("feedback",), "out of range"),
    ],
)
def test_a_rung_that_means_nothing_is_told(fields: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    found = told(Rung(**fields).problems())
    assert [p for p, _ in found] == [path]
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("part", "path", "message"),
    [
        (Exposure(people=0), ("people",), "exposes nobody"),
        (Exposure(requests=-3), ("requests",), "exposes nobody"),
        (Exposure(spend="10"), ("spend",), "is not an amount"),
        (Exposure(spend="0 CNY"), ("spend",), "reached before anything is asked"),
        (Exposure(time="0s"), ("time",), "out of range"),
        (Diligence(item=" ", by="x"), ("item",), "is empty"),
        (Diligence(item="x", by=""), ("by",), "is empty"),
        (Diligence(item="x" * 501, by="x"), ("item",), "longer than 500"),
        (Diligence(item="x", by="x\x1b[2J"), ("by",), "printable"),
        (Diligence(item="x", by="y", on="yesterday"), ("on",), "`yesterday` is no day"),
        (Diligence(item="x", by="y", on="2026-02-30"), ("on",), "is no day"),
        (Diligence(item="x", by="y", on="20260203"), ("on",), "is no day"),
        (Evidence(block="5"), ("block",), "is not a duration"),
        (Evidence(block="5m"), ("within",), "would be missed after 2m"),
        (Budget(failures="200 %"), ("failures",), "out of range"),
        (Budget(over="month"), ("over",), "is not a duration"),
        (Budget(least=4), ("least",), "4 is out of range"),
        (Monitor(run_length=99), ("run-length",), "99 is out of range"),
        (Monitor(shift="3 parts"), ("shift",), "is not a share"),
        (Drift(every=49), ("every",), "49 is out of range"),
        (Drift(confidence=1.0), ("confidence",), "1.0 is out of range"),
        (Drift(confidence=float("nan")), ("confidence",), "nan is out of range"),
        (Shadowing(spend="much"), ("spend",), "is not an amount"),
        (Shadowing(spend="0 CNY"), ("spend",), "reached before anything is asked"),
        (Shadowing(concurrency=0), ("concurrency",), "0 is out of range"),
    ],
)
def test_a_part_that_means_nothing_is_told(part: Any, path: tuple[str, ...], message: str) -> None:
    found = told(part.problems())
    assert [p for p, _ in found] == [path]
    assert message in found[0][1]


@pytest.mark.parametrize("part", [Exposure(), Evidence(), Budget(), Monitor(), Monitor(shift="3 %"), Drift(), Shadowing()])
def test_the_defaults_of_every_part_are_sound(part: Any) -> None:
    assert told(part.problems()) == []


def canary(share: str) -> Rung:
    return Rung(rung="canary", share=share)


@pytest.mark.parametrize(
    ("rungs", "path", "message"),
    [
        ((), ("rungs",), "a release without rungs goes nowhere"),
        ((canary("5 %"),), ("rungs", 0, "rung"), "the last rung is not `full`"),
        ((FULL, canary("5 %"), FULL), ("rungs", 1, "rung"), "`canary` cannot stand here"),
        ((canary("5 %"), Rung(rung="shadow"), FULL), ("rungs", 1, "rung"), "`shadow` cannot stand here"),
        ((Rung(rung="shadow"), Rung(rung="shadow"), FULL), ("rungs", 1, "rung"), "`shadow` cannot stand here"),
        ((FULL, FULL), ("rungs", 1, "rung"), "`full` cannot stand here"),
        ((canary("5 %"), canary("0.05"), FULL), ("rungs", 1, "share"), "0.05 is no step up"),
        ((canary("5 %"), canary("1 %"), canary("6 %"), FULL), ("rungs", 1, "share"), "1 % is no step up"),
    ],
)
def test_a_ladder_that_does_not_climb_is_told(rungs: tuple[Rung, ...], path: tuple[str | int, ...], message: str) -> None:
    found = told(order_problems(rungs))
    assert found[0][0] == path
    assert message in found[0][1]
    assert set(found) <= set(told(Plan(bearer="x", rungs=rungs).problems()))


@given(st.sets(st.integers(1, 10_000), max_size=6))
def test_canaries_in_growing_order_always_climb(hundredths: set[int]) -> None:
    assert list(order_problems([*(canary(f"{h / 100} %") for h in sorted(hundredths)), FULL])) == []


@pytest.mark.parametrize("bearer", ["", "  ", "x" * 201, "Li\nLei", "Li\x1b[2J"])
def test_a_plan_names_a_person_who_bears_the_risk(bearer: str) -> None:
    assert [p for p, _ in told(Plan(bearer=bearer).problems())] == [("bearer",)]


def test_problems_of_parts_are_told_with_their_place_in_the_plan() -> None:
    plan = Plan(
        bearer="x",
        exposure=Exposure(people=0),
        due_diligence=(Diligence(item="x", by="y"), Diligence(item="", by="y")),
        checks=(Check(metric="failure-rate", require="2 %"),),
        budget=None,
        drift=None,
        alerts=(Channel(),),
    )
    paths = {p.path for p in plan.problems()}
    assert paths == {("exposure", "people"), ("due-diligence", 1, "item"), ("checks", 0, "require"), ("alerts", 0)}


def test_names_under_which_records_are_kept_are_told_when_two_parts_share_them() -> None:
    check = Check(id="f", metric="failure-rate", require="<= 2 %")
    found = words(Plan(bearer="x", checks=(check, check), alerts=(Channel(log=True), Channel(log=True))).problems())
    assert "('checks', 1, 'id'): `f` is used twice" in found
    assert "('alerts', 1): this channel is declared twice" in found


def test_a_plan_whose_alerts_reach_nobody_is_told() -> None:
    assert "alerts would reach nobody; write `- log: true`" in words(Plan(bearer="x", alerts=()).problems())
