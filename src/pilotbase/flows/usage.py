"""`pilotbase usage`: what was used and what it cost, from the rows of the ledger, by key, route or day."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from pilotbase.context import Context
from pilotbase.domain.quantity import Money
from pilotbase.errors import UserError
from pilotbase.flows.moment import moment

__all__ = ["By", "usage"]

By = Literal["key", "route", "day"]
_COLUMN: Mapping[str, str] = {"key": "access_key", "route": "route", "day": "day"}


def usage(context: Context, by: str, since: str | None = None, until: str | None = None) -> dict[str, Any]:
    """Sums over requests that began at `since` <= t < `until`, a row for each `by` and currency; amounts as text, exact.

    `spent` is what was settled, overruns included, `held` what requests under way have reserved. `estimated` counts the
    requests whose tokens no upstream told, `in_doubt` those that a crash cut and a policy settled.
    """
    if by not in get_args(By):
        raise UserError(f"usage by `{by[:40]}` is not kept", hint=f"one of: {', '.join(get_args(By))}", status=422)
    now = context.clock.now()
    start = moment("since", since, now, back=True) if since is not None else None
    end = moment("until", until, now, back=True) if until is not None else None
    names = {row["id"]: row["name"] for row in context.database.rows("SELECT id, name FROM access_keys")} if by == "key" else {}
    return {
        "by": by,
        "since": start.isoformat() if start else None,
        "until": end.isoformat() if end else None,
        "rows": [_told(row, by, names) for row in _rows(context, _COLUMN[by], start, end)],
    }


def _rows(context: Context, column: str, start: datetime | None, end: datetime | None) -> list[Any]:
    conditions, values = [], []
    for sign, edge in ((">=", start), ("<", end)):
        if edge is not None:
            conditions.append(f"started {sign} ?")
            values.append(int(edge.timestamp() * 1_000_000))
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return context.database.rows(
        f"SELECT {column} AS what, currency, COUNT(*) AS requests, SUM(tokens_in) AS tokens_in, SUM(tokens_out) AS tokens_out,"
        " SUM(tokens_cached) AS tokens_cached, SUM(settled + overrun) AS spent,"
        " SUM(CASE WHEN state = 'open' THEN reserved ELSE 0 END) AS held,"
        " SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END) AS under_way,"
        " SUM(CASE WHEN state = 'in-doubt' THEN 1 ELSE 0 END) AS in_doubt,"
        " SUM(CASE WHEN source = 'estimate' THEN 1 ELSE 0 END) AS estimated"
        f" FROM requests {where}GROUP BY {column}, currency ORDER BY {column}, currency",
        values,
    )


def _told(row: Any, by: str, names: Mapping[str, str]) -> dict[str, Any]:
    counts = ("requests", "under_way", "in_doubt", "estimated", "tokens_in", "tokens_out", "tokens_cached")
    return {
        by: row["what"],
        **({"name": names.get(row["what"], "")} if by == "key" else {}),
        **{word: int(row[word]) for word in counts},
        "spent": _money(row["spent"], row["currency"]),
        "held": _money(row["held"], row["currency"]),
    }


def _money(nanos: Any, currency: str) -> str | None:
    """Exact text; None where the route has no price, so no currency."""
    return str(Money(int(nanos), currency)) if currency else None
