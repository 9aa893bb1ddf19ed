"""`/api/v1/runs`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from pilotbase.api.access import needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.shapes.runs import CandidateFailures, CandidateOut, FailureKind, RunOut
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows import run_list
from pilotbase.flows.run_sight import held_out, recorded_rows, run_sight
from pilotbase.pilots.records import RunRecord

__all__ = ["paths"]

Verdict = Literal["pass", "fail", "inconclusive", "none"]


def paths(context: Context) -> APIRouter:
    """What was tried. Nothing here names a case, shows a row or an answer, or calls a candidate."""
    router = APIRouter(tags=["runs"])

    @router.get("/runs", summary="Runs, newest first", openapi_extra=needs("runs.read"))
    def listed(
        paging: Paged,
        pilot: Annotated[str, Query(max_length=200)] = "",
        verdict: Annotated[Verdict | None, Query(description="`none`: those that have not finished")] = None,
    ) -> Listed[run_list.RunLine]:
        found = run_list.runs_page(context, pilot=pilot, verdict=verdict or "", before=paging.before, limit=paging.limit + 1)
        return paging.page(found.lines, lambda one: (one.run,), lambda one: one)

    @router.get("/runs/{run}", summary="One run", openapi_extra=needs("runs.read"))
    def show(run: str) -> RunOut:
        record = run_list.opened_run(context, run)
        rows = recorded_rows(context, record)
        return RunOut(
            run=record.run,
            pilot=record.pilot,
            state=record.state,
            verdict=record.verdict,
            round=record.round,
            created=record.created,
            updated=record.updated,
            scenario=record.scenario,
            criteria=record.criteria_digest,
            data=record.data_digest,
            held_out=held_out(record),
            candidates=[CandidateOut(id=name, fingerprint=found, rows=rows[name]) for name, found in record.fingerprints.items()],
        )

    @router.get(
        "/runs/{run}/verdict",
        summary="The verdict, concluded again from the evidence: the document of docs/VERDICT.md, section 8",
        openapi_extra=needs("runs.read"),
    )
    def verdict(run: str) -> dict[str, Any]:
        return dict(_finished(context, run)["result"])

    @router.get(
        "/runs/{run}/failures", summary="What failed of each candidate, by kind and count", openapi_extra=needs("runs.read")
    )
    def failures(run: str) -> list[CandidateFailures]:
        found = _finished(context, run)["failures"]
        return [
            CandidateFailures(
                candidate=candidate,
                kinds=[FailureKind(category=kind["category"], count=kind["count"]) for kind in kinds],
            )
            for candidate, kinds in found.items()
        ]

    return router


def _finished(context: Context, run: str) -> dict[str, Any]:
    """A run as a dossier would tell it. UserError (409) where it is unfinished."""
    record: RunRecord = run_list.opened_run(context, run)
    if record.result is None:
        raise UserError(f"run {record.run} is {record.state}: it has no verdict yet", hint="ask again later", status=409)
    return run_sight(context, record)
