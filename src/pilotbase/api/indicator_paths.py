"""`/api/v1/indicators` and `/api/v1/funnel`. A definition is never changed; counts may be, and the audit log keeps what they were."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.indicators import (
    CountsWanted,
    FunnelOut,
    FunnelStep,
    IndicatorLine,
    IndicatorOut,
    IndicatorWanted,
    PointOut,
)
from pilotbase.api.shapes.telling import told
from pilotbase.catalog.indicators import list_indicators
from pilotbase.context import Context
from pilotbase.domain.indicator import Indicator, Point
from pilotbase.flows import indicators

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """Shares with what they are shares of, and what became of the cases."""
    router = APIRouter(tags=["indicators"])
    _reads(router, context)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    @router.get("/indicators", summary="What is counted, newest first", openapi_extra=needs("indicators.read"))
    def listed(paging: Paged) -> Listed[IndicatorLine]:
        found = list_indicators(context.database, before=paging.before or None, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.id,), lambda one: told(IndicatorLine, one))

    @router.get("/indicators/{indicator}", summary="One with its points and projections", openapi_extra=needs("indicators.read"))
    def show(indicator: str) -> IndicatorOut:
        found = indicators.series(context, indicator)
        points = tuple(told(PointOut, point, share=share) for point, share in found.points)
        return told(IndicatorOut, found.indicator, points=points, projected=found.projected)

    @router.get("/funnel", summary="How far cases come, how fast, and what came of them", openapi_extra=needs("indicators.read"))
    def funnel() -> FunnelOut:
        found = indicators.cases(context)
        return told(FunnelOut, found, steps=tuple(told(FunnelStep, one) for one in found.steps))


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    @router.post("/indicators", status_code=201, summary="Declare what is counted", openapi_extra=needs("indicators.write"))
    def declare(
        wanted: IndicatorWanted, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, once(context, admit)]
    ) -> IndicatorLine:
        def work() -> IndicatorLine:
            made = Indicator(id="", **asdict(wanted), created=context.clock.now())
            return told(IndicatorLine, indicators.declare(context, caller.acting, made, who=caller.who))

        return repeated(work, status=201)

    @router.put(
        "/indicators/{indicator}/points/{period}",
        summary="Record the counts of a period, or correct them",
        openapi_extra=needs("indicators.write"),
    )
    def record(indicator: str, period: str, wanted: CountsWanted, caller: Annotated[Caller, Depends(admit)]) -> PointOut:
        point = Point(period=period, **asdict(wanted), recorded=context.clock.now())
        indicators.record(context, caller.acting, indicator, point, who=caller.who)
        kept = indicators.series(context, indicator).points
        return next(told(PointOut, one, share=share) for one, share in kept if one.period == period)
