"""Jobs whose processes are killed, stopped, or looked after by two: one owner, one run, nothing asked twice in vain."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.workspaces import SLOW, job_on, kept, pilot_files

from pilotbase.compute import jobs
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.job import Job
from pilotbase.flows.evidence import log_head
from pilotbase.pilots.records import get_run, list_runs
from pilotbase.server.supervisor import Supervisor
from pilotbase.store.disk import LocalDisk

PATIENT = 60.0
COUNT = 160


@contextmanager
def base(home: Path) -> Iterator[Context]:
    with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets=lambda _: None) as context:
        yield context


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose jobs' processes run uploaded code: slow candidates are needed to be killed."""
    found = tmp_path / "home"
    monkeypatch.setenv("PILOTBASE_HOME", str(found))
    monkeypatch.setenv("PILOTBASE_UPLOADED_CODE", "accept-no-network-isolation")
    return found


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT):
        while not met():
            await asyncio.sleep(0.02)


class Looking:
    """A supervisor at work within the block."""

    def __init__(self, context: Context, **options: Any) -> None:
        self.said: list[str] = []
        self.supervisor = Supervisor(context, most=1, say=self.said.append, **options)

    async def __aenter__(self) -> "Looking":
        self._task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await self.supervisor.finish()


def slow_job(context: Context) -> Job:
    return job_on(context, kept(context, pilot_files(COUNT, code=SLOW, require=">= 0.97")))


def state(context: Context, job: Job) -> str:
    return jobs.get(context.database, job.id).state


def asked(context: Context, job: Job) -> int:
    steps = jobs.get(context.database, job.id).progress.get("steps", [])
    return int(steps[0]["done"]) if steps else 0


def test_a_job_runs_its_pilot_to_the_verdict_and_a_forecast_calls_nothing(home: Path) -> None:
    async def story() -> None:
        with base(home) as context:
            workspace = kept(context, pilot_files())
            job, forecast = job_on(context, workspace), job_on(context, workspace, "explain")
            async with Looking(context):
                await until(lambda: {state(context, job), state(context, forecast)} == {"done"})
            found = jobs.get(context.database, job.id)
            record = get_run(context.database, found.run)
            assert (record.state, record.verdict) == ("finished", "pass")
            assert found.progress["checks"]["good"][0]["verdict"] == "pass"
            assert jobs.get(context.database, forecast.id).progress["found"]["calls"]["most"] == 40
            again = job_on(context, workspace, "dossier", run=found.run)
            async with Looking(context):
                await until(lambda: state(context, again) == "done")
            assert (context.home / "dossiers" / found.run).is_dir()

    asyncio.run(story())


def test_a_wrong_pilot_is_refused_in_words(home: Path) -> None:
    async def story() -> None:
        with base(home) as context:
            files = pilot_files()
            job = job_on(context, kept(context, {**files, "pilot.yaml": files["pilot.yaml"].replace(b"test.csv", b"../x.csv")}))
            async with Looking(context):
                await until(lambda: jobs.get(context.database, job.id).over)
            found = jobs.get(context.database, job.id)
            assert found.state == "refused"
            assert "leads out of the pilot's own files" in found.told
            assert not list_runs(context.database)

    asyncio.run(story())


def test_a_killed_process_is_followed_by_another_that_goes_on_with_its_run(home: Path) -> None:
    async def story() -> None:
        with base(home) as context:
            job = slow_job(context)
            async with Looking(context) as looking:
                await until(lambda: asked(context, job) >= 16)
                before = jobs.get(context.database, job.id)
                os.kill(int(before.process.partition(":")[0]), signal.SIGKILL)
                await until(lambda: state(context, job) == "done")
            found = jobs.get(context.database, job.id)
            assert (found.attempt, found.run) == (2, before.run)
            assert [one.run for one in list_runs(context.database)] == [before.run], "no attempt makes a second run"
            assert log_head(context, found.run, "good")["rows"] <= COUNT + 1
            assert any("SIGKILL" in line or "queued" in line for line in looking.said), looking.said

    asyncio.run(story())


def test_a_job_that_is_asked_to_stop_does_so_soon_and_can_be_resumed(home: Path) -> None:
    async def story() -> None:
        with base(home) as context:
            job = slow_job(context)
            async with Looking(context):
                await until(lambda: asked(context, job) >= 16)
                jobs.ask_stop(context.database, job.id, who="member:li", now=context.clock.now())
                await until(lambda: state(context, job) == "stopped")
                run = jobs.get(context.database, job.id).run
                assert get_run(context.database, run).state == "interrupted"
                workspace = jobs.get(context.database, job.id)
                again = jobs.create(
                    context.database, "resume", home=workspace.home, who="member:li", now=context.clock.now(),
                    workspace=workspace.workspace, digest=workspace.digest, run=run,
                )  # fmt: skip
                await until(lambda: state(context, again) == "done")
            assert get_run(context.database, run).verdict is not None
            assert 16 <= log_head(context, run, "good")["rows"] <= COUNT, "what was recorded before the stop is not asked again"

    asyncio.run(story())


def test_a_server_that_leaves_hands_its_job_back_and_the_next_one_goes_on(home: Path) -> None:
    async def story() -> None:
        with base(home) as context:
            job = slow_job(context)
            async with Looking(context):
                await until(lambda: asked(context, job) >= 16)
            left = jobs.get(context.database, job.id)
            assert (left.state, left.attempt) == ("queued", 0)
            async with Looking(context):
                await until(lambda: state(context, job) == "done")
            assert jobs.get(context.database, job.id).run == left.run

    asyncio.run(story())


def test_two_supervisors_of_one_home_start_each_job_once(home: Path) -> None:
    started: list[str] = []

    class Child:
        async def wait(self) -> int:
            await asyncio.sleep(0.05)
            return 0

        def terminate(self) -> None: ...

        kill = terminate

    async def story() -> None:
        with base(home) as context, base(home) as other:

            async def start(job: Job) -> Any:
                started.append(job.id)
                jobs.finish(context.database, job.id, job.owner, "done", now=context.clock.now())
                return Child()

            workspace = kept(context, pilot_files())
            made = [job_on(context, workspace) for _ in range(8)]
            async with Looking(context, start=start), Looking(other, start=start):
                await until(lambda: all(state(context, one) == "done" for one in made))
            assert sorted(started) == sorted(one.id for one in made)

    asyncio.run(story())


def test_a_job_whose_beat_stands_still_is_given_up_after_the_patience_and_not_before(home: Path) -> None:
    now = [0.0]

    class Silent:
        async def wait(self) -> int:
            await asyncio.sleep(3600)
            return 0

        def terminate(self) -> None: ...

        kill = terminate

    async def start(job: Job) -> Any:
        return Silent()

    async def story() -> None:
        with base(home) as context, base(home) as other:
            job = slow_job(context)
            dead = Supervisor(context, most=1, say=lambda _: None, start=start)
            await dead.look()
            owner = jobs.get(context.database, job.id).owner
            alive = Supervisor(other, most=0, say=lambda _: None, start=start, clock=lambda: now[0])
            await alive.look()
            now[0] = 19.0
            await alive.look()
            jobs.beat(context.database, job.id, owner)
            await alive.look()
            now[0] = 38.0
            await alive.look()
            assert state(context, job) == "running", "its beat moved meanwhile"
            now[0] = 39.5
            await alive.look()
            assert state(context, job) == "queued"

    asyncio.run(story())
