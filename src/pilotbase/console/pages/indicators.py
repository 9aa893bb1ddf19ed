"""Indicators: penetration beside the programme's lines, its projection, and what became of the cases."""

from collections.abc import Mapping
from typing import Any

from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.series_chart import series_chart
from pilotbase.domain.indicator import Indicator, Point
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows import indicators
from pilotbase.flows.indicators import Series

__all__ = ["PAGES"]

_PATH = "/console/indicators"
_WORDS = ("title", "numerator", "denominator", "population", "source")


def _list(visit: Visit) -> Shown:
    found, more = indicators.list_series(visit.context, before=visit.query.get("before", "").strip())
    older = f"{_PATH}?before={found[-1].indicator.id}" if more else ""
    values = {
        "rows": [_drawn(visit, one) for one in found],
        "older": older,
        "cases": indicators.cases(visit.context),
        "stages": _stages(visit),
    }
    return Shown(template="indicators.html.j2", values=values)


def _one(visit: Visit) -> Shown:
    found = indicators.series(visit.context, visit.place.get("indicator", ""))
    return Shown(template="indicator.html.j2", values={**_drawn(visit, found), "bases": _bases(visit)})


def _new(visit: Visit) -> Shown:
    return Shown(template="indicator_new.html.j2", values={"bases": _bases(visit)})


def _declare(visit: Visit, form: Mapping[str, str]) -> To:
    basis = form.get("basis", "census")
    made = Indicator(
        id="",
        **{word: form.get(word, "").strip() for word in _WORDS},
        basis=basis,  # type: ignore[arg-type]
        created=visit.context.clock.now(),
    )
    names = _names(visit)
    lines = [
        visit.t("%(field)s is missing, or longer than 400 characters") % {"field": names.get(str(one.path[0]), one.path[0])}
        for one in made.problems()
    ]
    if lines:
        hint = visit.t("A figure without a declared denominator and population is not shown here.")
        raise InvalidInput(visit.t("This indicator cannot be kept"), lines, hint=hint)
    kept = indicators.declare(visit.context, visit.member, made)
    return To(path=f"{_PATH}/{kept.id}", note=visit.t("The indicator is declared. Record its counts below."))


def _record(visit: Visit, form: Mapping[str, str]) -> To:
    numbers = {word: _count(visit, form, word) for word in ("numerator", "denominator")}
    now = visit.context.clock.now()
    point = Point(period=form.get("period", "").strip().upper(), **numbers, recorded=now)
    found = indicators.series(visit.context, visit.place.get("indicator", "")).indicator
    words = {
        "period": visit.t("The period is one that has ended: 2026, 2026-Q3 or 2026-06"),
        "denominator": visit.t("The denominator is more than 0"),
        "numerator": visit.t("The numerator is not more than the denominator"),
    }
    lines = [words.get(str(one.path[0]), one.message) for one in point.problems(now.date())]
    if lines:
        raise InvalidInput(visit.t("These counts cannot be kept"), lines)
    indicators.record(visit.context, visit.member, found.id, point)
    return To(path=f"{_PATH}/{found.id}", note=visit.t("The counts of %(period)s are recorded.") % {"period": point.period})


def _count(visit: Visit, form: Mapping[str, str], word: str) -> int:
    text = form.get(word, "").strip().replace(",", "").replace("，", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        message = visit.t("`%(text)s` is no whole number") % {"text": text[:40]}
        raise UserError(message, hint=_names(visit)[word], status=422)
    return int(text)


def _drawn(visit: Visit, found: Series) -> dict[str, Any]:
    return {"series": found, "chart": series_chart(found, found.indicator.id, visit.t)}


def _bases(visit: Visit) -> list[tuple[str, str]]:
    return [("census", visit.t("the whole population")), ("sample", visit.t("a sample of it"))]


def _names(visit: Visit) -> Mapping[str, str]:
    t = visit.t
    return {
        "title": t("Name"), "numerator": t("Numerator"), "denominator": t("Denominator"), "population": t("Population"),
        "source": t("Source"), "basis": t("What is counted"),
    }  # fmt: skip


def _stages(visit: Visit) -> Mapping[str, str]:
    t = visit.t
    return {
        "submitted": t("Submitted"), "screened": t("Screened"), "matched": t("Matched"), "admitted": t("Admitted"),
        "provisioned": t("Provisioned"), "verifying": t("Verifying"), "verdict": t("First verdict"), "passed": t("Passed"),
        "published": t("Result published"), "promoted": t("Promoted"),
    }  # fmt: skip


PAGES: tuple[Page, ...] = (
    Page(name="indicators", path=_PATH, title="Indicators", permit="indicators.read", show=_list, menu=60),
    Page(
        name="indicator-new",
        path=f"{_PATH}/new",
        title="A new indicator",
        permit="indicators.write",
        show=_new,
        acts={"declare": Act(permit="indicators.write", do=_declare)},
    ),
    Page(
        name="indicator",
        path=f"{_PATH}/{{indicator}}",
        title="Indicator",
        permit="indicators.read",
        show=_one,
        acts={"record": Act(permit="indicators.write", do=_record)},
    ),
)
