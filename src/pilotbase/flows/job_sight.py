"""Jobs as their pages show them, and what members do with them: stop, resume, seal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.job import Job
from pilotbase.domain.quantity import Money
from pilotbase.errors import UserError
from pilotbase.flows.home_name import home_name
from pilotbase.flows.run_dossier import dossier_place
from pilotbase.pilots.records import get_run
from pilotbase.pilots.workspaces import get as get_workspace

__all__ = ["JobSight", "job_sight", "resumable", "resume_job", "seal_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSight:
    """A job with what its process told: `steps` a candidate each, `checks` by candidate. `verdict` is of a finished run."""

    job: Job
    name: str
    steps: tuple[Mapping[str, Any], ...]
    checks: Mapping[str, Any]
    notes: tuple[str, ...]
    verdict: str | None
    resumable: bool


def job_sight(context: Context, job: str) -> JobSight:
    """One job; UserError (404) where there is none."""
    found = jobs.get(context.database, job)
    told = found.progress
    return JobSight(
        job=found,
        name=get_workspace(context.database, found.workspace).name if found.workspace else found.run,
        steps=tuple({**one, "spent": _money(one)} for one in told.get("steps", ())),
        checks=told.get("checks", {}),
        notes=tuple(told.get("notes", ())),
        verdict=get_run(context.database, found.run).verdict if found.run else None,
        resumable=resumable(context, found),
    )


def resumable(context: Context, job: Job) -> bool:
    """Whether its run is unfinished and nobody is at it."""
    if not job.over or not job.run or job.kind not in ("run", "resume"):
        return False
    newest = jobs.newest_of_run(context.database, job.run)
    return newest is not None and newest.over and get_run(context.database, job.run).state != "finished"


def resume_job(context: Context, job: str, member: Member, who: str) -> Job:
    """A job that goes on with the run of one that ended. UserError (409) where there is nothing to go on with."""
    with context.database.transaction():
        found = jobs.get(context.database, job)
        if not resumable(context, found):
            raise UserError("there is nothing to go on with", hint="it is under way, or its run is finished", status=409)
        return jobs.create(
            context.database, "resume", home=found.home, who=who, now=context.clock.now(), workspace=found.workspace,
            digest=found.digest, run=found.run, organisation=member.organisation,
        )  # fmt: skip


def seal_run(context: Context, run: str, member: Member, who: str) -> Job:
    """A job that seals a finished run as a dossier in the home. UserError (409) where it cannot be, or is already."""
    if get_run(context.database, run).state != "finished":
        raise UserError("this run is unfinished", hint="seal it when it has a verdict", status=409)
    newest = jobs.newest_of_run(context.database, run)
    if dossier_place(context, run) is not None or (newest is not None and newest.kind == "dossier" and not newest.over):
        raise UserError("a dossier of this run is there, or being made", hint="load the page again", status=409)
    return jobs.create(
        context.database, "dossier", home=home_name(context), who=who, now=context.clock.now(), run=run,
        organisation=member.organisation,
    )  # fmt: skip


def _money(step: Mapping[str, Any]) -> str:
    return str(Money(step["spent"], step["currency"])) if step.get("currency") else ""
