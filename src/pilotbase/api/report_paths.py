"""`/api/v1/usage`, `/api/v1/audit` and `/api/v1/health`: what is only looked at."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from pilotbase.api.access import needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.shapes.reports import AuditEntry, Health, Reconciliation, Usage
from pilotbase.context import Context
from pilotbase.flows.usage import usage
from pilotbase.gateway.audit import entries, stored_epoch
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.stops import list_stops

__all__ = ["paths"]


def paths(context: Context) -> APIRouter:
    """The reports."""
    router = APIRouter(tags=["reports"])

    @router.get("/usage", summary="What was used and what it cost", openapi_extra=needs("usage.read"))
    def used(
        by: Annotated[Literal["key", "route", "day"], Query()] = "key",
        since: Annotated[str | None, Query(description="a day, a time, or so long ago, as in 7d")] = None,
        until: Annotated[str | None, Query(description="the same; this moment is no longer part of it")] = None,
    ) -> Usage:
        return Usage(**usage(context, by, since, until))

    @router.get("/usage/reconcile", summary="Whether the ledger adds up", openapi_extra=needs("usage.read"))
    def reconciled() -> Reconciliation:
        report = reconcile(context.database, context.home / "gateway" / "ledger", context.disk)
        return Reconciliation(
            balanced=report.balanced,
            lines=[asdict(line) for line in report.lines],
            problems=list(report.problems),
            waiting=list(report.waiting),
        )

    @router.get("/audit", summary="Who changed what, newest first", openapi_extra=needs("audit.read"))
    def audited(
        paging: Paged,
        who: Annotated[str, Query(description="what it begins with, as in member:li", max_length=200)] = "",
        action: Annotated[str, Query(description="what it begins with, as in release.", max_length=200)] = "",
        subject: Annotated[str, Query(description="what it begins with", max_length=200)] = "",
    ) -> Listed[AuditEntry]:
        found = entries(
            context.database,
            limit=paging.limit + 1,
            before=paging.before or None,
            who=who,
            action=action,
            subject=subject,
        )
        return paging.page(
            found,
            lambda one: (one.id,),
            lambda one: AuditEntry(
                id=one.id, at=one.at, who=one.who, action=one.action, subject=one.subject, detail=dict(one.detail)
            ),
        )

    @router.get("/health", summary="Whether the base answers", openapi_extra=needs("home.read"))
    def health() -> Health:
        stopped = any(stop.kind == "all" for stop in list_stops(context.database))
        return Health(status="ok", epoch=stored_epoch(context.database), stopped=stopped)

    return router
