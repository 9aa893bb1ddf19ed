"""`/api/v1/jobs`, and what makes one: starting a pilot, and sealing a run."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.etags import Matched
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.pilots import JobLine, JobOut
from pilotbase.api.shapes.telling import told
from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.job import Job
from pilotbase.flows.job_sight import job_sight, resume_job, seal_run
from pilotbase.flows.run_list import opened_run
from pilotbase.flows.workspace import start_run
from pilotbase.pilots import workspaces

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """Work that a process of the server does."""
    router = APIRouter(tags=["jobs"])
    _reads(router, context)
    _starts(router, context, admit)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    @router.get("/jobs", summary="Jobs, newest first", openapi_extra=needs("pilots.read"))
    def listed(paging: Paged) -> Listed[JobLine]:
        found, _ = jobs.jobs_page(context.database, before=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.id,), _line)

    @router.get("/jobs/{job}", summary="One, as it stands", openapi_extra=needs("pilots.read"))
    def show(job: str) -> JobOut:
        return _seen(context, job)


def _starts(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)

    @router.post("/pilots/{pilot}/start", status_code=201, summary="Run its newest version", openapi_extra=needs("runs.start"))
    def start(
        pilot: str, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, repeatable], expected: Matched
    ) -> JobOut:
        def work() -> JobOut:
            found = workspaces.get(context.database, pilot)
            expected.check(found.version)
            return _seen(context, start_run(context, found.id, found.version, caller.acting, caller.who).id)

        return repeated(work, status=201)

    @router.post(
        "/runs/{run}/seal", status_code=201, summary="Seal a finished run as a dossier", openapi_extra=needs("runs.start")
    )
    def seal(run: str, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, repeatable]) -> JobOut:
        def work() -> JobOut:
            return _seen(context, seal_run(context, opened_run(context, run).run, caller.acting, caller.who).id)

        return repeated(work, status=201)


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)

    def done(step: Callable[[], Job]) -> Callable[[], JobOut]:
        return lambda: _seen(context, step().id)

    @router.post("/jobs/{job}/stop", summary="Have it stopped", openapi_extra=needs("runs.start"))
    def stop(job: str, repeated: Annotated[Once, repeatable]) -> JobOut:
        return repeated(done(lambda: jobs.ask_stop(context.database, job, who=repeated.who, now=context.clock.now())))

    @router.post(
        "/jobs/{job}/resume", status_code=201, summary="Go on with its run, as another job", openapi_extra=needs("runs.start")
    )
    def resume(job: str, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, repeatable]) -> JobOut:
        return repeated(done(lambda: resume_job(context, job, caller.acting, caller.who)), status=201)


def _seen(context: Context, job: str) -> JobOut:
    found = job_sight(context, job)
    return JobOut(
        about=_line(found.job),
        resumable=found.resumable,
        verdict=found.verdict,
        steps=tuple(dict(step) for step in found.steps),
        notes=found.notes,
    )


def _line(one: Job) -> JobLine:
    return told(JobLine, one, pilot=one.workspace)
