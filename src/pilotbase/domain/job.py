"""A job: work that somebody started and a process of its own does. Pure transitions; each is idempotent.

    queued -> running -> done | failed | stopped | refused
       ^         |
       +---------+   released: its process went, or another took over from one whose beat stood still

A process that lost its job learns so from its next beat, and can then write nothing more about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

__all__ = [
    "ENDED",
    "MOST_ATTEMPTS",
    "Ending",
    "Job",
    "JobKind",
    "JobState",
    "LostJobError",
    "ask_stop",
    "beat",
    "claim",
    "finish",
    "release",
]

JobKind = Literal["run", "resume", "dossier", "explain"]
JobState = Literal["queued", "running", "done", "failed", "stopped", "refused"]
Ending = Literal["done", "failed", "stopped", "refused"]
ENDED: Final = frozenset(get_args(Ending))
MOST_ATTEMPTS: Final = 5
"""After so many processes that went without a word the job itself is at fault."""


class LostJobError(Exception):
    """Another process has the job now, or it has ended: whoever gets this writes nothing more about it, and ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. `workspace` and `digest` name the files that it works on, `run` the run as soon as there is one.

    `owner` is the token of the process that has it; `beat` moves while that lives. `stop_by` is who asked it to stop. It
    `failed` where it could not be done, and was `refused` where its input was wrong; `told` says why.
    """

    id: str
    kind: JobKind
    home: str
    who: str
    created: datetime
    workspace: str = ""
    digest: str = ""
    run: str = ""
    organisation: str = ""
    state: JobState = "queued"
    attempt: int = 0
    beat: int = 0
    owner: str = ""
    host: str = ""
    process: str = ""
    stop_by: str = ""
    told: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


def claim(job: Job, owner: str, now: datetime) -> Job:
    """A process is about to be started for it. Unchanged where it does not wait."""
    if job.state != "queued":
        return job
    return replace(
        job,
        state="running",
        owner=owner,
        attempt=job.attempt + 1,
        beat=job.beat + 1,
        host="",
        process="",
        started=job.started or now,
    )


def beat(job: Job, owner: str, *, host: str = "", process: str = "") -> Job:
    """Its process lives. LostJobError where it is not that one's any more."""
    _own(job, owner)
    return replace(job, beat=job.beat + 1, host=host or job.host, process=process or job.process)


def finish(job: Job, owner: str, ending: Ending, now: datetime, told: str = "") -> Job:
    """Its process is through with it. LostJobError where it is not that one's any more; a second time changes nothing."""
    if job.over and job.owner == owner and job.state == ending:
        return job
    _own(job, owner)
    return replace(job, state=ending, told=told, ended=now)


def release(job: Job, owner: str, now: datetime, *, why: str = "") -> Job:
    """The process `owner` is gone, or is given up: the job waits again, or ends where it was to stop or was tried too often.

    Unchanged where that process has it no more. With no `why` its process handed it back, which counts as no attempt.
    """
    if job.state != "running" or job.owner != owner:
        return job
    if job.stop_by:
        return replace(job, state="stopped", ended=now)
    if why and job.attempt >= MOST_ATTEMPTS:
        told = f"its process ended {job.attempt} times before it was done; the last time: {why}"
        return replace(job, state="failed", told=told, ended=now)
    return replace(job, state="queued", owner="", host="", process="", attempt=job.attempt if why else job.attempt - 1)


def ask_stop(job: Job, who: str, now: datetime) -> Job:
    """Somebody wants it stopped: at once where it waits, by its own process where it runs. Unchanged where it has ended."""
    if job.over or job.stop_by:
        return job
    if job.state == "queued":
        return replace(job, state="stopped", stop_by=who, ended=now)
    return replace(job, stop_by=who)


def _own(job: Job, owner: str) -> None:
    if job.state != "running" or job.owner != owner:
        raise LostJobError(job.id)
