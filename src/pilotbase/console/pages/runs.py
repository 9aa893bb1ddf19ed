"""The pages of runs: the list, one run, one case, two side by side."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pilotbase.compute.jobs import newest_of_run
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.domain.account import may
from pilotbase.dossier import charts, reading
from pilotbase.dossier.figures import figure, interval, listed, mapped, number, percent, tidy
from pilotbase.dossier.words import WORDS, told, word
from pilotbase.errors import UserError
from pilotbase.flows.case import case_of
from pilotbase.flows.compare import CheckComparison
from pilotbase.flows.job_sight import seal_run
from pilotbase.flows.run_dossier import check_dossier, dossier_place
from pilotbase.flows.run_list import opened_run, pilots_with_runs, runs_page
from pilotbase.flows.run_sight import held_out, recorded_rows, run_sight
from pilotbase.flows.side_by_side import Sides, side_by_side
from pilotbase.pilots.records import RunRecord

__all__ = ["PAGES"]

LONGEST = 2_000  # characters of one input or answer
FINDINGS = 50
NEWEST = 100  # runs that are offered for comparing
VERDICTS = ("pass", "fail", "inconclusive", "none")


def _list(visit: Visit) -> Shown:
    pilot, verdict = visit.query.get("pilot", ""), visit.query.get("verdict", "")
    verdict = verdict if verdict in VERDICTS else ""
    found = runs_page(visit.context, pilot=pilot, verdict=verdict, before=visit.query.get("before", ""))
    values = {
        "runs": found.lines,
        "older": found.older,
        "later": "before" in visit.query,
        "pilots": pilots_with_runs(visit.context),
        "pilot": pilot,
        "verdict": verdict,
        "verdicts": VERDICTS,
    }
    return Shown(template="runs.html.j2", values=values)


def _run(visit: Visit) -> Shown:
    record = opened_run(visit.context, visit.place["run"])
    values: dict[str, Any] = {
        "run": record,
        "held_out": held_out(record),
        "title_told": told(tidy(record.options["document"].get("title")), visit.language),
        "sight": None,
        "trouble": None,
        "rows": {},
        "confidence": "",
        "unfit": False,
        "sealed": _sealed(visit, record),
        "job": newest_of_run(visit.context.database, record.run) if may(visit.member, "pilots.read") else None,
        "verified": None,
        **_speech(visit.language),
    }
    if record.result is None:
        return Shown(template="run.html.j2", values={**values, "rows": recorded_rows(visit.context, record)})
    try:
        confidence = _confidence(visit.query.get("confidence", ""))
    except ValueError:
        confidence, values["unfit"] = None, True
    values["confidence"] = visit.query.get("confidence", "")
    try:
        values["sight"] = _sight(tidy(run_sight(visit.context, record, confidence=confidence)), visit.language)
    except UserError as error:
        values["trouble"] = error
    if values["sealed"] and "verify" in visit.query:
        values["verified"] = check_dossier(visit.context, record.run)
    return Shown(template="run.html.j2", values=values)


def _seal(visit: Visit, form: Mapping[str, str]) -> To:
    job = seal_run(visit.context, opened_run(visit.context, visit.place["run"]).run, visit.member, visit.who)
    return To(path=f"/console/jobs/{job.id}", note=visit.t("The dossier is being made."))


def _confidence(text: str) -> float | None:
    """ValueError where it is none."""
    found = float(text) if text.strip() else None
    if found is not None and not 0.5 <= found < 1:
        raise ValueError(text)
    return found


def _sealed(visit: Visit, record: RunRecord) -> str:
    place = dossier_place(visit.context, record.run)
    return "" if place is None else place.relative_to(visit.context.home).as_posix()


def _sight(record: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What the page places, told as the dossier's page tells it."""
    candidates = reading.read_candidates(record, language)
    verdict, confirmatory, headline = reading.headline(record, candidates, language)
    levels = sorted({c.confidence for one in candidates for c in one.checks if c.confidence is not None})
    return {
        "record": record,
        "scenario": mapped(mapped(record["pilot"]).get("scenario")),
        "result": record["result"],
        "family": mapped(mapped(record["result"]).get("family")),
        "candidates": candidates,
        "verdict": verdict,
        "confirmatory": confirmatory,
        "headline": headline,
        "level": levels[0] if len(levels) == 1 else None,
        "false_pass": reading.false_pass(record, language),
    }


def _speech(language: str) -> dict[str, Any]:
    """The words and charts that the dossier's page has too, in the reader's language."""
    return {
        "w": partial(word, language=language),
        "told": partial(told, language=language),
        "named": partial(_named, language=language),
        "category": partial(reading.category, language=language),
        "interval_chart": partial(charts.interval_chart, language=language),
        "group_chart": partial(charts.group_chart, language=language),
        "group_span": charts.group_span,
        "histogram": partial(charts.histogram, language=language),
        "calibration_chart": partial(charts.calibration_chart, language=language),
        "figure_of": number,
        "percent_of": percent,
        "interval_of": interval,
        "fields": mapped,
        "listed": listed,
        "short": _short,
        "most": FINDINGS,
    }


def _named(key: str, value: Any, *, language: str) -> str:
    known = f"{key}-{value}"
    return word(known, language) if known in WORDS else str(value or word("unknown", language))


def _short(value: Any) -> str:
    text = "—" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _case(visit: Visit) -> Shown:
    record = opened_run(visit.context, visit.place["run"])
    case = visit.query.get("id", "")
    values: dict[str, Any] = {"run": record, "case": tidy(case), "calls": [], "trouble": None, "held_out": held_out(record)}
    values |= _speech(visit.language)
    if held_out(record):
        return Shown(template="case.html.j2", values=values, status=403)
    try:
        values["calls"] = tidy(case_of(visit.context, record, case)) if case else []
    except UserError as error:
        return Shown(template="case.html.j2", values={**values, "trouble": error}, status=error.status)
    return Shown(template="case.html.j2", values=values)


def _compare(visit: Visit) -> Shown:
    asked = {name: visit.query.get(name, "") for name in ("first", "second", "a", "b", "confidence")}
    asked["confidence"] = asked["confidence"] or "0.95"
    newest = [one.run for one in runs_page(visit.context, limit=NEWEST).lines]
    values: dict[str, Any] = {"asked": asked, "newest": newest, "trouble": None, "unfit": False, "found": None, "rows": ()}
    values |= _speech(visit.language)
    if not asked["first"] or not asked["second"]:
        return Shown(template="compare.html.j2", values=values)
    try:
        confidence = _confidence(asked["confidence"]) or 0.95
    except ValueError:
        return Shown(template="compare.html.j2", values={**values, "unfit": True}, status=422)
    try:
        sides = side_by_side(
            visit.context, asked["first"], asked["second"], candidate=asked["a"], other=asked["b"], confidence=confidence
        )
    except UserError as error:
        return Shown(template="compare.html.j2", values={**values, "trouble": error}, status=error.status)
    rows, axis = _rows(sides, visit.language)
    return Shown(template="compare.html.j2", values={**values, "found": sides.comparison, "rows": rows, "axis": axis})


def _rows(sides: Sides, language: str) -> tuple[list[dict[str, Any]], tuple[float, float]]:
    """A row for each check, and the axis that the differences share, with zero in its middle."""
    left, right = (_views(side, language) for side in (sides.first, sides.second))
    rows, ends = [], []
    for c in sides.comparison.checks:
        difference = _difference(c)
        rows.append({"told": c, "first": left[c.candidate, c.check], "second": right[c.other, c.check], "difference": difference})
        ends += [figure(end) for end in (difference or {}).values()]
    reach = max((abs(end) for end in ends if end is not None), default=0.0) or 0.01
    return rows, (-1.1 * reach, 1.1 * reach)


def _views(result: Mapping[str, Any], language: str) -> dict[tuple[str, str], reading.CheckView]:
    read = reading.read_candidates({"result": tidy(result)}, language)
    return {(one.id, check.id): check for one in read for check in one.checks}


def _difference(told_check: CheckComparison) -> dict[str, Any] | None:
    found = told_check.difference
    return None if found is None else {"group": told_check.check, "value": found.value, "low": found.low, "high": found.high}


PAGES: tuple[Page, ...] = (
    Page(name="runs", path="/console/runs", title="Runs", permit="runs.read", show=_list, menu=20),
    Page(name="compare", path="/console/compare", title="Compare runs", permit="runs.read", show=_compare),
    Page(
        name="run",
        path="/console/runs/{run}",
        title="Run",
        permit="runs.read",
        show=_run,
        acts={"seal": Act(permit="runs.start", do=_seal)},
    ),
    Page(name="case", path="/console/runs/{run}/case", title="Case", permit="runs.read", show=_case),
)
