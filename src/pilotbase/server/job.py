"""The process of one job: does it, tells how far it is, and stops when it is asked to. Started by the supervisor.

A thread moves the beat once a second on a connection of its own. Where the job is another's by now the process ends at once, as
by `kill -9`: what was recorded stays whole, and the other one goes on from it.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from pilotbase.app import opened
from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.job import Ending, Job, LostJobError
from pilotbase.errors import Interrupted, UserError
from pilotbase.flows.job_work import do_job
from pilotbase.server.identity import identity
from pilotbase.server.telling import Telling

__all__ = ["main"]

BEAT = 1.0
LOST = 75
_SOONER_KILLED = b"500"


class Work:
    """One job in this process. `beats` is a second connection to the same home, for the thread that moves the beat."""

    def __init__(self, context: Context, beats: Context, job: str, owner: str) -> None:
        self._context, self._beats = context, beats
        self._job, self._owner = job, owner
        self._telling = Telling()
        self._leaving = False
        self._interrupted = False
        self._over = threading.Event()

    def run(self) -> int:
        """Do the job; the exit code of the process, which the supervisor only tells."""
        signal.signal(signal.SIGTERM, self._leave)
        try:
            found = jobs.beat(
                self._beats.database, self._job, self._owner, host=socket.gethostname(), process=identity(os.getpid())
            )
            thread = threading.Thread(target=self._beat, daemon=True)
            thread.start()
            ending, told = self._do(found)
            self._over.set()
            thread.join()
            self._end(ending, told)
        except LostJobError:
            return LOST
        return 0

    def _do(self, found: Job) -> tuple[Ending | None, str]:
        """How it ended and why; None where it is to be gone on with by another process."""
        try:
            facts = do_job(self._context, found, self._telling, self._begun)
            if facts is not None:
                self._telling.found = facts
        except UserError as error:
            return ("failed" if error.code == 4 else "refused"), _told(error)
        except (Interrupted, KeyboardInterrupt):
            return (None, "") if self._leaving else ("stopped", "")
        finally:
            with suppress(KeyboardInterrupt):  # one that was on its way already
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        return "done", ""

    def _end(self, ending: Ending | None, told: str) -> None:
        database, now = self._beats.database, self._beats.clock.now()
        jobs.beat(database, self._job, self._owner, progress=self._telling.document())
        if ending is None:
            jobs.release(database, self._job, self._owner, now=now)
        else:
            jobs.finish(database, self._job, self._owner, ending, now=now, told=told)

    def _begun(self, run: str) -> None:
        jobs.note_run(self._context.database, self._job, self._owner, run)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                found = jobs.beat(self._beats.database, self._job, self._owner, progress=self._telling.document())
            except LostJobError:
                os._exit(LOST)
            except UserError as error:
                self._telling.note(f"the database waits: {error.message}")
                continue
            if found.stop_by:
                self._interrupt()

    def _leave(self, *_: object) -> None:
        """The server stops: somebody else goes on with this job."""
        self._leaving = True
        self._interrupt()

    def _interrupt(self) -> None:
        # Once: a second signal would cut what the first one puts in order.
        if not self._interrupted and not self._over.is_set():
            self._interrupted = True
            os.kill(os.getpid(), signal.SIGINT)


def _told(error: UserError) -> str:
    return str(error)[:4000]


def main(arguments: Sequence[str]) -> int:
    """`JOB OWNER`: do a job under the token that the supervisor claimed it with."""
    job, owner = arguments
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_SOONER_KILLED)  # where memory ends, this process ends before the server does
    with opened() as context, opened() as beats:
        return Work(context, beats, job, owner).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
