"""The transitions of a job, whatever comes in whatever order."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain import job as moves
from pilotbase.domain.job import MOST_ATTEMPTS, Job, LostJobError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OWNERS = ("first", "second", "third")
STEPS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(OWNERS)),
    st.tuples(st.just("beat"), st.sampled_from(OWNERS)),
    st.tuples(st.just("release"), st.sampled_from(OWNERS)),
    st.tuples(st.just("hand back"), st.sampled_from(OWNERS)),
    st.tuples(st.sampled_from(("done", "failed", "stopped", "refused")), st.sampled_from(OWNERS)),
    st.tuples(st.just("stop"), st.just("li")),
)


def fresh() -> Job:
    return Job(id="job_1", kind="run", home="h", who="member:li", created=NOW)


def moved(job: Job, step: tuple[str, str]) -> Job:
    word, who = step
    if word == "claim":
        return moves.claim(job, who, NOW)
    if word == "beat":
        return moves.beat(job, who)
    if word in ("release", "hand back"):
        return moves.release(job, who, NOW, why="it ended with 1" if word == "release" else "")
    if word == "stop":
        return moves.ask_stop(job, who, NOW)
    return moves.finish(job, who, word, NOW)  # type: ignore[arg-type]


@given(st.lists(STEPS, max_size=40))
def test_a_job_has_one_owner_and_its_end_is_for_good(steps: list[tuple[str, str]]) -> None:
    job = fresh()
    for step in steps:
        try:
            after = moved(job, step)
        except LostJobError:
            assert job.over or job.owner != step[1] or job.state == "queued"
            continue
        if job.over:
            assert after == job, "an ended job stays as it is"
        if job.state == "running" and after != job and step[0] != "stop":
            assert job.owner == step[1], "nobody but its owner moves a running job"
        if after.state == "running":
            assert after.owner and after.started is not None
        if job.stop_by:
            assert after.stop_by == job.stop_by and job.state != "queued", "a job that is to stop never waits again"
        assert after.attempt <= MOST_ATTEMPTS
        assert after.over == (after.ended is not None)
        assert moved_again(after, step) == after or step[0] in ("beat", "claim", "release", "hand back")
        job = after


def moved_again(job: Job, step: tuple[str, str]) -> Job:
    try:
        return moved(job, step)
    except LostJobError:
        return job


def test_a_job_that_waits_stops_at_once_and_one_that_runs_by_its_own_process() -> None:
    assert moves.ask_stop(fresh(), "li", NOW).state == "stopped"
    running = moves.ask_stop(moves.claim(fresh(), "first", NOW), "li", NOW)
    assert (running.state, running.stop_by) == ("running", "li")
    assert moves.finish(running, "first", "stopped", NOW).state == "stopped"
    assert moves.release(running, "first", NOW, why="gone").state == "stopped", "what was to stop is not begun again"


def test_a_job_whose_processes_end_again_and_again_is_given_up_and_one_that_is_handed_back_is_not() -> None:
    job = fresh()
    for _ in range(3 * MOST_ATTEMPTS):
        job = moves.release(moves.claim(job, "first", NOW), "first", NOW)
    assert (job.state, job.attempt) == ("queued", 0)
    for _ in range(MOST_ATTEMPTS):
        job = moves.release(moves.claim(job, "first", NOW), "first", NOW, why="it was ended by SIGKILL")
    assert job.state == "failed"
    assert f"ended {MOST_ATTEMPTS} times" in job.told and "SIGKILL" in job.told


def test_who_lost_a_job_can_write_nothing_more_about_it() -> None:
    taken = moves.claim(moves.release(moves.claim(fresh(), "first", NOW), "first", NOW, why="silent"), "second", NOW)
    for late in (lambda: moves.beat(taken, "first"), lambda: moves.finish(taken, "first", "done", NOW)):
        with pytest.raises(LostJobError):
            late()
    assert moves.release(taken, "first", NOW, why="late") == taken
