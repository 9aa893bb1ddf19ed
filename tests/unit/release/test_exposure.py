"""Whom the candidate answers, in every state and on every rung."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.release import Drift, Plan, Rung, State
from pilotbase.domain.traffic import Arm, Tie, Upstream
from pilotbase.release.exposure import DRIFT_SAMPLE, arm_in

BASE = Arm(
    release="r1", upstreams=(Upstream(url="http://candidate.example"),), tie=Tie(policy="allow"), purse="p", concurrency=3, trip=9
)
RUNGS = (
    Rung(rung="shadow", share="20 %"),
    Rung(rung="bounded", users=("clinic/li", "lab"), notice="this is a trial"),
    Rung(rung="canary", share="1 %"),
    Rung(rung="canary", share="25 %"),
    Rung(rung="full"),
)
PLAN = Plan(bearer="x", rungs=RUNGS)
STATES: tuple[State, ...] = get_args(State)


def arm(state: State, rung: int, plan: Plan = PLAN, sample: float = 0.5, sample_stable: float = 0.1) -> Arm:
    found = arm_in(BASE, plan, state, rung, sample=sample, sample_stable=sample_stable)
    assert found is not None
    return found


def exposes(found: Arm) -> bool:
    return bool(found.share > 0.0 or found.people or found.shadow > 0.0)


@pytest.mark.parametrize("rung", range(5))
@pytest.mark.parametrize("state", ["rolled-back", "ended"])
def test_a_release_that_is_over_has_no_arm(state: State, rung: int) -> None:
    assert arm_in(BASE, PLAN, state, rung, sample=1.0, sample_stable=1.0) is None


@pytest.mark.parametrize("rung", range(5))
def test_a_held_release_exposes_nobody_and_copies_nothing(rung: int) -> None:
    found = arm("held", rung)
    assert not exposes(found) and (found.sample, found.sample_stable, found.notice) == (0.0, 0.0, "")
    assert found.release == "r1" and found.upstreams == BASE.upstreams  # what it knew stays its own


@pytest.mark.parametrize("state", ["climbing", "paused"])
def test_each_rung_exposes_whom_it_names(state: State) -> None:
    shadow, bounded, first, second = (arm(state, rung) for rung in range(4))
    assert (shadow.shadow, shadow.share, shadow.people) == (0.2, 0.0, ())
    assert (bounded.shadow, bounded.share, bounded.people) == (0.0, 0.0, ("clinic/li", "lab"))
    assert bounded.notice == "this is a trial"
    assert (first.shadow, first.share, first.people) == (0.0, 0.01, ("clinic/li", "lab"))
    assert second.share == 0.25


def test_people_who_were_named_stay_with_the_candidate_and_keep_their_notice_in_the_canary() -> None:
    for rung in (2, 3):
        assert arm("climbing", rung).people == ("clinic/li", "lab") and arm("climbing", rung).notice == "this is a trial"


def test_on_the_last_rung_the_candidate_answers_everyone_whoever_was_named() -> None:
    found = arm("full", 4)
    assert (found.share, found.shadow, found.people, found.notice) == (1.0, 0.0, (), "")


def test_no_rung_but_the_first_copies_requests() -> None:
    assert [arm("climbing", rung).shadow for rung in range(4)] == [0.2, 0.0, 0.0, 0.0]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True), st.sampled_from(["climbing", "paused"]))
def test_the_share_grows_with_every_rung(shares: list[int], state: State) -> None:
    rungs = (*(Rung(rung="canary", share=f"{share} %") for share in sorted(shares)), Rung(rung="full"))
    plan = Plan(bearer="x", rungs=rungs)
    assert not list(plan.problems())
    found = [arm(state, rung, plan).share for rung in range(len(shares))] + [arm("full", len(shares), plan).share]
    assert found == sorted(found) and found[-1] == 1.0 and 0.0 < found[0] <= 1.0


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("rung", range(4))
def test_who_answers_who_pays_and_when_to_warn_never_depend_on_the_rung(state: State, rung: int) -> None:
    found = arm_in(BASE, PLAN, state, rung, sample=0.5, sample_stable=0.1)
    if found is not None:
        passing = {"shadow": 0.0, "share": 0.0, "people": (), "notice": "", "sample": 0.0, "sample_stable": 0.0}
        assert replace(found, **passing) == BASE  # type: ignore[arg-type]


def test_answers_are_kept_as_checks_need_them_and_for_drift_at_least_so_many() -> None:
    assert (arm("climbing", 2).sample, arm("climbing", 2).sample_stable) == (0.5, 0.1)
    assert arm("climbing", 2, sample=0.0).sample == DRIFT_SAMPLE
    without = Plan(bearer="x", rungs=RUNGS, drift=None)
    assert arm("climbing", 2, without, sample=0.0, sample_stable=0.0).sample == 0.0
    assert arm("full", 4, replace(without, drift=Drift()), sample=0.0).sample == DRIFT_SAMPLE
