"""The supervisor of jobs: a process for each, and one for each whose process went. It keeps nothing that the database does not.

Any number of supervisors may look after one home: a job is taken in one transaction, and given up by another only after its beat
stood still for `patience` seconds of that one's own clock, or after its process is known to be gone from this machine.
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Protocol

from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.job import Job
from pilotbase.errors import UserError
from pilotbase.flows.home_name import home_name
from pilotbase.server.identity import end, lives

__all__ = ["Child", "Supervisor"]

ROUND = 0.5
PATIENCE = 20.0
LEAVE = 20.0
QUICK = 1


class Child(Protocol):
    """A process of a job."""

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[Job], Awaitable[Child]]


@dataclass(slots=True)
class Watched:
    """Another's job: the beat that was seen last, and since when."""

    beat: tuple[str, int]
    since: float


class Supervisor:
    """Runs at most `most` jobs of a home at a time. `context` is its own: nobody else waits for its database."""

    def __init__(
        self,
        context: Context,
        *,
        most: int,
        say: Callable[[str], None],
        start: Start | None = None,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._most = most
        self._say = say
        self._start = start or _spawn
        self._patience = patience
        self._clock = clock
        self._home = home_name(context)
        self._children: dict[str, Child] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: dict[str, Watched] = {}
        self._trouble = ""

    async def run(self) -> None:
        """Look after the jobs until cancelled. What cannot be done now is told once, and tried again."""
        while True:
            try:
                await self.look()
                self._trouble = ""
            except UserError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._say(f"jobs wait: {error}")
            await asyncio.sleep(ROUND)

    async def look(self) -> None:
        """One round: give up what stands still, and start what waits."""
        await asyncio.to_thread(self._give_up)
        for quick, most in ((True, QUICK), (False, self._most)):
            while (job := await asyncio.to_thread(self._claim, quick, most)) is not None:
                task = asyncio.create_task(self._follow(job))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Hand back what is under way: its processes record where they are, and another server goes on."""
        for child in list(self._children.values()):
            with suppress(ProcessLookupError):
                child.terminate()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=LEAVE)
            for child in list(self._children.values()):
                with suppress(ProcessLookupError):
                    child.kill()
            if left:
                await asyncio.wait(left)

    def _claim(self, quick: bool, most: int) -> Job | None:
        now = self._context.clock.now()
        return jobs.claim_next(self._context.database, self._home, f"job-{token_hex(8)}", now, quick=quick, most=most)

    async def _follow(self, job: Job) -> None:
        try:
            child = self._children[job.owner] = await self._start(job)
        except OSError as error:
            await self._release(job, f"no process could be started: {error.strerror}")
            return
        self._say(f"job {job.id} ({job.kind}) began")
        code = await child.wait()
        del self._children[job.owner]
        await self._release(job, _ending(code))

    async def _release(self, job: Job, why: str) -> None:
        """The process is gone: where it had not finished, the job waits again."""

        def work() -> Job:
            return jobs.release(self._context.database, job.id, job.owner, now=self._context.clock.now(), why=why)

        with suppress(UserError):  # its beat stands still from now on, which the next rounds see
            found = await asyncio.to_thread(work)
            self._say(f"job {job.id} is {found.state}" + f": {found.told.partition(chr(10))[0]}" * bool(found.told))

    def _give_up(self) -> None:
        mine = socket.gethostname()
        found = {one.id: one for one in jobs.running(self._context.database, self._home) if one.owner not in self._children}
        self._seen = {name: seen for name, seen in self._seen.items() if name in found}
        for job in found.values():
            if job.host == mine and not lives(job.process):
                self._release_from(job, "its process was gone")
            elif self._stands_still(job):
                if job.host == mine:
                    end(job.process)  # it may hold the run's lock, and would find out only at its next beat
                self._release_from(job, f"its beat stood still for {self._patience:g} s")

    def _release_from(self, job: Job, why: str) -> None:
        now = self._context.clock.now()
        after = jobs.release(self._context.database, job.id, job.owner, now=now, why=why, beat=job.beat)
        self._say(f"job {job.id} was given up ({why}); it is {after.state}")

    def _stands_still(self, job: Job) -> bool:
        seen, now = self._seen.get(job.id), self._clock()
        if seen is None or seen.beat != (job.owner, job.beat):
            self._seen[job.id] = Watched(beat=(job.owner, job.beat), since=now)
            return False
        return now - seen.since >= self._patience


def _ending(code: int) -> str:
    if code < 0:
        known = set(map(int, signal.Signals))
        return f"it was ended by {signal.Signals(-code).name if -code in known else -code}" + " (out of memory?)" * (code == -9)
    return f"it ended with {code}"


async def _spawn(job: Job) -> Any:
    # A session of its own: Ctrl-C on the server's terminal is for the server, which hands its jobs back in order.
    command: Sequence[str] = (sys.executable, "-m", "pilotbase.server.job", job.id, job.owner)
    return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True)
