"""The controller of releases over a real database, its time injected: what it waits for, and what sends a release back."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.fakes.watched import CANARY, World, disagreements, opened, refused, watched

from pilotbase.domain.release import Exposure
from pilotbase.errors import UserError
from pilotbase.flows.live_evidence import READ
from pilotbase.flows.release_moves import plan_of
from pilotbase.flows.release_words import resume_release
from pilotbase.gateway.entry import drawn
from pilotbase.release import incidents, records
from pilotbase.release.alerts import list_alerts

DAY = 86_400.0


def until(one: World, state: str, *, most: int = 200, bad: float = 0.0) -> None:
    """Let time pass until the release is in a state."""
    for _ in range(most):
        if one.release.state == state:
            return
        one.passes(1.0, bad=bad)
    raise AssertionError(f"{one.release.state} after {most} s: {one.said}")


def test_a_sound_candidate_climbs_when_requests_time_and_a_pass_are_there_and_not_before(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.passes(28.0)
        assert one.release.state == "climbing" and one.arm is not None and one.arm.share == 0.5
        until(one, "full")
        assert one.arm is not None and one.arm.share == 1.0
        seen = records.read_sight(one.database, "r1")
        assert seen is not None and seen[1]["checks"][0]["verdict"] == "pass" and seen[1]["seconds"] >= 30.0
        assert one.events == ["start", "climb"] and disagreements(one) == []
        one.passes(120.0)
        assert one.release.state == "full"  # only a person ends a release


def test_the_sight_tells_what_is_waited_for_while_evidence_is_read(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.passes(5.0)
        seen = records.read_sight(one.database, "r1")
        assert seen is not None
        document = seen[1]
        # What came last is not known to be whole.
        assert 0 < document["requests"] == 10 * document["units"] < 50
        told = " / ".join(en for en, _ in document["waiting"])
        assert (
            f"{document['requests']} of 100 results" in told
            and "of 30 s under watch" in told
            and "no PASS yet: capability/failure-rate" in told
        )
        assert document["exposed"]["requests"] == 50 and document["exposed"]["people"] == 7


def test_a_candidate_that_fails_its_check_goes_back_with_an_incident_that_names_the_first_failure(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.passes(10.0)
        until(one, "rolled-back", bad=0.6)
        (incident,) = incidents.list_incidents(one.database)
        assert incident.state == "contained" and incident.severity == 3 and incident.subject.release == "r1"
        assert incident.first_bad.request.startswith("candidate-") and incident.first_bad.at is not None
        assert incident.affected.requests > 0 and incident.affected.people <= 7
        assert {"failing-check", "worse"} & set(one.causes)
        assert one.arm is None and disagreements(one) == []
        alerts = list_alerts(one.database, release="r1")
        assert {alert.alert.check for alert in alerts} == {"capability/failure-rate"}
        before = one.events
        one.passes(60.0, bad=1.0)
        assert one.events == before


def test_a_failure_of_a_check_that_only_informs_sends_nobody_back(tmp_path: Path) -> None:
    checks = [
        {"metric": "failure-rate", "require": "<= 99 %"},
        {"metric": "latency.p95", "require": "<= 1 ms", "role": "inform", "live": {}},
    ]
    with watched(tmp_path, checks=checks) as one:
        until(one, "full", bad=0.3)
        seen = records.read_sight(one.database, "r1")
        assert seen is not None and [c["verdict"] for c in seen[1]["checks"] if c["role"] == "inform"] == ["fail"]


def test_a_quiet_night_changes_nothing(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    with watched(tmp_path) as one:
        one.passes(60.0, candidate=1, stable=1)
        state, version = one.release.state, one.release.version
        one.passes(float(size(3_600, 36_000)), candidate=0, stable=0, every=8.0)
        assert (one.release.state, one.release.version) == (state, version)
        assert not incidents.list_incidents(one.database) and not list_alerts(one.database)


def test_evidence_that_stops_while_the_others_traffic_goes_on_sends_the_candidate_back(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(60.0)
        one.passes(19.0, candidate=0)
        assert one.release.state == "climbing"  # a gap shorter than `within`
        one.passes(5.0, candidate=0)
        assert one.release.state == "rolled-back" and one.causes == ["missing-evidence"] and disagreements(one) == []


def test_a_few_requests_in_a_moment_do_not_tell_that_many_are_missing_later(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(1.0, candidate=2)
        one.passes(60.0, candidate=0)
        assert one.release.state == "climbing"


def test_traffic_that_stops_on_both_arms_is_a_quiet_route_and_no_reason_to_go_back(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(60.0)
        one.passes(300.0, candidate=0, stable=0, every=5.0)
        assert one.release.state == "climbing" and not incidents.list_incidents(one.database)


def test_a_ledger_that_is_not_read_for_longer_than_the_plan_says_sends_the_candidate_back(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(30.0)
        last = one.time.wall
        for _ in range(20):
            one.passes(1.0, looks=False)
            one.look(applied=last)
        assert one.release.state == "climbing"
        for _ in range(3):
            one.passes(1.0, looks=False)
            one.look(applied=last)
        assert one.release.state == "rolled-back" and "missing-evidence" in one.causes


@pytest.mark.parametrize("by", [DAY, -DAY, 3_600.0, -3_600.0, 30.0, -30.0])
def test_a_wall_clock_that_is_set_neither_sends_a_sound_candidate_back_nor_lets_it_climb_early(tmp_path: Path, by: float) -> None:
    with watched(tmp_path) as one:
        one.passes(25.0)
        one.time.wall += by
        one.passes(25.0)
        # At worst the safe direction: evidence and the time under watch begin anew.
        assert one.release.state == "climbing" and one.release.rung == 0
        assert sorted(one.events) == ["anew", "start"] and any("clock was set" in line for line in one.said)
        until(one, "full")
        assert not incidents.list_incidents(one.database) and not list_alerts(one.database)
        assert disagreements(one) == []


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_candidate_that_turns_bad_after_the_clock_was_set_is_still_caught(tmp_path: Path, by: float) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(25.0)
        one.time.wall += by
        one.passes(5.0)
        until(one, "rolled-back", most=60, bad=0.7)
        assert disagreements(one) == []


def test_a_clock_that_was_set_back_while_nobody_looked_does_not_leave_the_candidate_unwatched(tmp_path: Path) -> None:
    with watched(tmp_path / "home", rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(10.0)
        one.time.wall -= DAY
        one.another("second")
        one.time.passes(10.0)
        one.look()
        one.time.passes(6.0)
        one.look()
        assert sorted(one.events) == ["anew", "start"]
        until(one, "rolled-back", most=60, bad=0.7)


def test_only_time_that_was_looked_at_is_time_under_watch(tmp_path: Path) -> None:
    rungs = [{"rung": "canary", "share": "50 %", "requests": 1, "time": "60s", "climb": "not-failed"}, CANARY[1]]
    with watched(tmp_path, rungs=rungs) as one:
        one.passes(200.0, looks=False)
        one.look()
        one.passes(9.0, looks=False)
        one.look()
        seen = records.read_sight(one.database, "r1")
        assert seen is not None and seen[1]["seconds"] == 4.0  # two looks after long gaps, each counted for two seconds
        assert one.release.rung == 0


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"requests": 50}, "requests"),
        ({"people": 7}, "people"),
        ({"spend": "0.05 CNY"}, "money"),
        ({"time": "12s"}, "time"),
    ],
)
def test_a_limit_that_is_reached_stops_the_climb_within_one_look_and_exposes_nobody(
    tmp_path: Path, limits: dict[str, object], told: str
) -> None:
    with watched(tmp_path, exposure=limits) as one:
        for _ in range(60):
            if one.release.state == "held":
                break
            one.passes(1.0)
        assert one.release.state == "held" and one.causes == ["limit"]
        count = one.database.row("SELECT COUNT(*) AS n FROM requests WHERE arm = 'candidate'")
        assert count is not None and count["n"] <= (120 if told == "time" else 60)
        arm = one.arm
        assert arm is not None and (arm.share, arm.shadow, arm.people) == (0.0, 0.0, ())
        (alert,) = list_alerts(one.database, release="r1")
        assert (alert.alert.kind, alert.alert.about) == ("limit", told)
        one.passes(30.0)
        assert one.release.state == "held" and one.events == ["start", "hold"] and disagreements(one) == []


def test_a_held_release_goes_on_only_with_a_raised_limit(tmp_path: Path) -> None:
    with watched(tmp_path, exposure={"requests": 50}) as one:
        until(one, "held")
        with pytest.raises(UserError, match="the limit of requests is reached") as caught:
            resume_release(one.context, "m", who="test", why="go on")
        assert caught.value.code == 1 and "--requests" in str(caught.value)
        with pytest.raises(UserError, match="the limit of requests is reached"):
            resume_release(one.context, "m", who="test", why="go on", limits=Exposure(requests=50))
        assert one.release.state == "held"
        moved = resume_release(one.context, "m", who="test", why="go on", limits=Exposure(requests=5000))
        assert moved.changed and moved.release.state == "climbing" and plan_of(moved.release).exposure.requests == 5000
        assert one.arm is not None and one.arm.share == 0.5
        until(one, "full")


def test_a_release_held_on_its_last_rung_goes_on_there(tmp_path: Path) -> None:
    with watched(tmp_path, exposure={"requests": 800}) as one:
        until(one, "full")
        until(one, "held")
        assert one.arm is not None and one.arm.share == 0.0
        resume_release(one.context, "m", who="test", why="go on", limits=Exposure(requests=9999))
        assert one.release.state == "full" and one.arm is not None and one.arm.share == 1.0


def test_a_paused_release_does_not_climb_and_still_goes_back(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.moves("pause")
        one.passes(80.0)
        assert one.release.state == "paused" and one.release.rung == 0
        until(one, "rolled-back", bad=0.8)
        assert disagreements(one) == []


def test_a_controller_that_was_away_for_long_does_not_hold_its_own_absence_against_the_candidate(tmp_path: Path) -> None:
    with watched(tmp_path / "home", rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(60.0)
        one.alive = False  # nobody vouches: workers answer everyone from the stable arm
        one.passes(300.0, looks=False)
        one.another("second")
        one.time.passes(1.0)
        one.look(applied=one.time.wall - 200.0)  # and the logs are read only as far as that yet
        one.passes(60.0)
        assert one.release.state == "climbing" and not incidents.list_incidents(one.database), one.said
        one.passes(45.0, candidate=0)
        assert one.release.state == "rolled-back"


def test_a_fresh_controller_reads_the_same_evidence_and_keeps_the_time_under_watch(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(20.0, bad=0.05)
        one.look()
        before = records.read_sight(one.database, "r1")
        feed = one.controller.watched["r1"].feed
        one.another("second")
        one.look()
        one.time.passes(5.5)
        one.look(applied=one.time.wall - 5.5)
        after = one.controller.watched["r1"]
        assert before is not None
        assert after.feed.units("capability/failure-rate").tolist() == feed.units("capability/failure-rate").tolist()
        assert (after.feed.times, after.feed.counts, after.feed.failures) == (feed.times, feed.counts, feed.failures)
        assert after.seconds == before[1]["seconds"] and after.total == before[1]["total"]


def test_what_a_worker_tells_of_a_candidate_that_is_down_sends_it_back_at_once(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.passes(3.0)
        one.controller.trip("r1", "w0", 7)
        one.look()
        assert one.release.state == "rolled-back" and one.causes == ["breaker"] and disagreements(one) == []


def test_an_error_budget_that_burns_too_fast_sends_a_candidate_back_that_no_check_would(tmp_path: Path) -> None:
    checks = [{"metric": "failure-rate", "require": "<= 90 %"}]
    rungs = [{**CANARY[0], "time": "1h"}, CANARY[1]]
    with watched(tmp_path, rungs=rungs, checks=checks, budget={"failures": "1 %"}) as one:
        one.passes(30.0)
        until(one, "rolled-back", bad=0.4)
        assert set(one.causes) == {"burn"}


def test_a_rollback_that_cannot_be_written_is_tried_again_and_meanwhile_nobody_is_sent_to_the_candidate(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        one.passes(10.0)
        beat = one.database.row("SELECT beat FROM leaders")

        def fails(sql: str) -> None:
            if sql.startswith("INSERT INTO incidents"):
                raise refused()

        one.database.before = fails
        one.passes(12.0, bad=1.0)
        assert not one.alive and one.release.state == "climbing" and any("connection was lost" in line for line in one.said)
        assert not incidents.list_incidents(one.database) and not list_alerts(one.database)
        after = one.database.row("SELECT beat FROM leaders")
        assert beat is not None and after is not None and after["beat"] < beat["beat"] + 12  # another one may take over
        one.database.before = lambda _: None
        one.passes(1.0)
        assert one.release.state == "rolled-back" and disagreements(one) == []


def test_a_release_that_somebody_else_moves_meanwhile_is_seen_as_it_is_at_the_next_look(tmp_path: Path) -> None:
    with watched(tmp_path) as one:
        one.passes(10.0)
        begun: list[str] = []

        def first(sql: str) -> None:
            # A look's first transaction is of the leader, its second writes what was decided.
            begun.extend([sql] if sql == "begin" else [])
            if len(begun) == 2 and len(other.events) == 1:
                other.moves("back", who="user:li")

        one.passes(9.0, bad=1.0, looks=False)
        with opened(tmp_path, one.time) as other:
            one.database.before = first
            one.look()
            one.database.before = lambda _: None
        assert len(begun) == 2 and one.alive
        one.passes(2.0)
        assert one.events == ["start", "back"] and one.causes == [] and not incidents.list_incidents(one.database)
        assert disagreements(one) == []


def test_answers_that_were_kept_for_other_checks_neither_fill_the_queue_nor_count_as_missing(tmp_path: Path) -> None:
    checks = [
        {"metric": "failure-rate", "require": "<= 10 %"},
        {"metric": "contains", "expect": "yes", "require": ">= 0.5", "live": {"sample": "5 %"}},
        {"metric": "regex", "pattern": "yes", "require": ">= 0.5", "live": {"sample": "80 %"}},
    ]
    names = [name for name in (f"c{i}" for i in range(700)) if drawn(f"sample {name}", 0.8)]
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]], checks=checks) as one:
        one.passes(3.0)
        asked = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "1"}]}).decode()
        answered = orjson.dumps({"choices": [{"message": {"role": "assistant", "content": "yes"}}]}).decode()
        at = int(one.time.wall * 1e6)
        for name in names:
            one.serve("candidate", 1, span=0.001, id=name)
        one.database.execute_many(
            "INSERT INTO samples (request, release_id, arm, at, endpoint, streamed, asked, answered)"
            " VALUES (?, 'r1', 'candidate', ?, 'chat', 0, ?, ?)",
            [(name, at, asked, answered) for name in names],
        )
        one.passes(40.0)
        assert one.release.state == "climbing", one.said
        scored = one.database.rows("SELECT request FROM live_scores WHERE check_id LIKE '%contains%' AND value IS NOT NULL")
        assert {row["request"] for row in scored} == {name for name in names if drawn(f"sample {name}", 0.05)}
        assert len(scored) > 10


def test_more_results_in_one_block_than_are_read_at_once_do_not_stop_the_reading(tmp_path: Path) -> None:
    rungs = [{**CANARY[0], "time": "1h"}, CANARY[1]]
    evidence = {"block": "60s", "late": "20s", "within": "10m"}
    with watched(tmp_path, rungs=rungs, evidence=evidence) as one:
        one.time.passes(50.0)
        one.serve("candidate", READ + 10, span=45.0)
        one.time.passes(80.0)
        one.serve("candidate", 5, span=10.0)
        one.look()
        assert one.controller.watched["r1"].feed.requests == READ + 10


def test_releases_of_two_routes_are_decided_apart(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "1h"}, CANARY[1]]) as one:
        plan = plan_of(one.release)
        one.begin(plan, [{"metric": "failure-rate", "require": "<= 10 %"}], "r2", "n")
        for _ in range(15):
            one.name = "r1"
            one.passes(1.0, bad=0.9, looks=False)
            one.name = "r2"
            one.time.passes(-1.0)
            one.passes(1.0)
        assert one.release.state == "climbing" and disagreements(one) == []
        one.name = "r1"
        assert one.release.state == "rolled-back" and disagreements(one) == []
