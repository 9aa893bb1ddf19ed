"""`/api/v1/usage`, `/api/v1/audit` and `/api/v1/health`: what is only looked at."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from pilotbase.api.shapes import AuditEntry, Health, Reconciliation, Usage
from pilotbase.context import Context
from pilotbase.flows.usage import usage
from pilotbase.gateway.audit import entries, stored_epoch
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.stops import list_stops

__all__ = ["paths"]


def paths(context: Context) -> APIRouter:
    """The reports."""
    router = APIRouter(tags=["reports"])

    @router.get("/usage", summary="What was used and what it cost")
    def used(
        by: Annotated[Literal["key", "route", "day"], Query()] = "key",
        since: Annotated[str | None, Query(description="a day, a time, or so long ago, as in 7d")] = None,
        until: Annotated[str | None, Query(description="the same; this moment is no longer part of it")] = None,
    ) -> Usage:
        return Usage(**usage(context, by, since, until))

    @router.get("/usage/reconcile", summary="Whether the ledger adds up")
    def reconciled() -> Reconciliation:
        report = reconcile(context.database, context.home / "gateway" / "ledger", context.disk)
        return Reconciliation(
            balanced=report.balanced,
            lines=[asdict(line) for line in report.lines],
            problems=list(report.problems),
            waiting=list(report.waiting),
        )

    @router.get("/audit", summary="Who changed what, newest first")
    def audited(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[str | None, Query(description="the id of the last entry seen")] = None,
    ) -> list[AuditEntry]:
        return [
            AuditEntry(id=one.id, at=one.at, who=one.who, action=one.action, subject=one.subject, detail=dict(one.detail))
            for one in entries(context.database, limit=limit, before=before)
        ]

    @router.get("/health", summary="Whether the base answers")
    def health() -> Health:
        stopped = any(stop.kind == "all" for stop in list_stops(context.database))
        return Health(status="ok", epoch=stored_epoch(context.database), stopped=stopped)

    return router
