"""What was used and what it cost: by day as a chart, by key and by route as tables, over a period to choose."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pilotbase.console.links import route_link
from pilotbase.console.page import Page, Shown, Visit
from pilotbase.errors import UserError
from pilotbase.flows.usage import usage

__all__ = ["PAGES"]

_PERIODS = (7, 30, 90)
_MOST_DAYS = 366
_MOST_ROWS = 200


def _show(visit: Visit) -> Shown:
    first, last = _period(visit)
    since, until = first.isoformat(), (last + timedelta(days=1)).isoformat()
    days = usage(visit.context, "day", since, until)["rows"]
    currencies = sorted({row["spent"].rpartition(" ")[2] for row in days if row["spent"] is not None})
    measures = {"requests": visit.t("Requests"), "tokens": visit.t("Tokens"), **{word: word for word in currencies}}
    measure = visit.query.get("show", "requests")
    measure = measure if measure in measures else "requests"
    return Shown(
        template="usage.html.j2",
        values={
            "days": list(reversed(days)),
            "link": route_link,
            "points": _points(days, measure, first, last),
            "by_key": _largest(usage(visit.context, "key", since, until)["rows"]),
            "by_route": _largest(usage(visit.context, "route", since, until)["rows"]),
            "most_rows": _MOST_ROWS,
            "periods": _PERIODS,
            "first": first,
            "last": last,
            "length": (last - first).days + 1,
            "until_today": last == visit.context.clock.now().astimezone(UTC).date(),
            "measure": measure,
            "measures": measures,
        },
    )


def _period(visit: Visit) -> tuple[date, date]:
    """The first and the last day (UTC): those that were named, or the last 30 days."""
    today = visit.context.clock.now().astimezone(UTC).date()
    days = visit.query.get("days", "30")
    length = int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 30
    last = _day(visit, "last") or today
    first = _day(visit, "first") or last - timedelta(days=min(max(length, 1), _MOST_DAYS) - 1)
    if first > last or (last - first).days >= _MOST_DAYS:
        message = visit.t("The period from %(first)s to %(last)s cannot be shown.") % {"first": first, "last": last}
        raise UserError(message, hint=visit.t("The first day comes before the last, and at most 366 days are shown."), status=422)
    return first, last


def _day(visit: Visit, word: str) -> date | None:
    text = visit.query.get(word, "").strip()
    if not text:
        return None
    try:
        found = datetime.strptime(text, "%Y-%m-%d").date()
        if not 2000 <= found.year <= 9000:
            raise ValueError
        return found
    except ValueError:
        message = visit.t("%(text)s is no day.") % {"text": text[:40]}
        raise UserError(message, hint=visit.t("Write a day as in 2027-01-31."), status=422) from None


def _points(rows: Sequence[Mapping[str, Any]], measure: str, first: date, last: date) -> list[dict[str, Any]]:
    """A bar for each day, days without requests too."""
    values: dict[str, float] = {}
    for row in rows:
        values[row["day"]] = values.get(row["day"], 0) + _value(row, measure)
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [{"name": day[5:], "at": day, "value": values.get(day, 0), "part": 0} for day in days]


def _value(row: Mapping[str, Any], measure: str) -> float:
    if measure == "requests":
        return int(row["requests"])
    if measure == "tokens":
        return int(row["tokens_in"]) + int(row["tokens_out"])
    amount, _, currency = (row["spent"] or "").rpartition(" ")
    return float(amount) if currency == measure else 0.0


def _largest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: -row["requests"])[:_MOST_ROWS]


PAGES: tuple[Page, ...] = (Page(name="usage", path="/console/gateway/usage", title="Usage", permit="usage.read", show=_show),)
