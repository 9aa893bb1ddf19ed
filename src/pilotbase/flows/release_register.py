"""A release as those who look on in a browser see it: its status, its trial-risk register, and the list of all releases."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.domain.quantity import Money, parse_duration
from pilotbase.domain.release import Exposure, Plan
from pilotbase.errors import UserError
from pilotbase.flows.release_moves import plan_of
from pilotbase.flows.release_words import describe_release
from pilotbase.release import incidents, records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.deliveries import deliveries_of
from pilotbase.release.records import Release

__all__ = ["Listed", "list_known", "register_of", "require_release"]

SHOWN = 50
NEAR = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the list: a release, its plan, and what of its limits is used (`exposure_of`; empty where nothing was seen)."""

    release: Release
    plan: Plan
    exposure: tuple[dict[str, Any], ...]


def require_release(context: Context, name: str) -> Release:
    """A release by its id. UserError (status 404) where there is none."""
    found = records.find(context.database, name)
    if found is None:
        raise UserError(f"there is no release `{name[:80]}`", hint="take one from the list of releases", status=404)
    return found


def list_known(context: Context, *, route: str | None = None) -> list[Listed]:
    """Those under way first, then the newest of those that are over, `SHOWN` of each at most."""
    database = context.database
    open_ = records.list_releases(database, route=route, open_only=True, limit=SHOWN)
    newest = records.list_releases(database, route=route, limit=SHOWN)
    found = [*open_, *(one for one in newest if one.over)]
    seen = _exposed(context, [one.id for one in found])
    plans = [plan_of(one) for one in found]
    return [
        Listed(release=one, plan=plan, exposure=exposure_of(plan.exposure, seen[one.id]) if one.id in seen else ())
        for one, plan in zip(found, plans, strict=True)
    ]


def register_of(context: Context, release: Release) -> dict[str, Any]:
    """`describe_release` with what is risked of what may be, every alert with its deliveries, the near misses and incidents of
    the release's route, looks for drift, and until when sampled bodies are kept.
    """
    document = describe_release(context, release)
    plan = plan_of(release)
    seen = document["seen"] or {}
    stored = incidents.list_incidents(context.database, route=release.route, limit=10 * NEAR)
    near = incidents.list_incidents(context.database, route=release.route, kind="near-miss", limit=NEAR)
    return {
        **document,
        "version": release.version,
        "exposure": exposure_of(plan.exposure, seen.get("exposed") or {}),
        "alerts": _alerts(context, release),
        "near_misses": [incidents.document_of(one) for one in near],
        "incidents": [incidents.document_of(one) for one in stored if one.subject.release == release.id][:NEAR],
        "looks": [event for event in document["events"] if event["action"] == "drift"],
        "drift": {"every": plan.drift.every, "action": plan.drift.action} if plan.drift is not None else None,
        "samples": _samples(context, release, plan),
    }


def exposure_of(limits: Exposure, seen: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """What was risked: people, requests, money and time, each with its limit (None: none) and the share of it that is used.

    Amounts of money are texts with their currency, time is in seconds.
    """
    money = limits.money
    nanos = int(seen.get("nanos", 0))
    currency = seen.get("currency") or (money.currency if money is not None else "")
    spent = str(Money(nanos, currency)) if currency else "0"
    people, requests = int(seen.get("people", 0)), int(seen.get("requests", 0))
    seconds = float(seen.get("seconds", 0.0))
    rows: tuple[tuple[str, Any, Any, float, float | None], ...] = (
        ("people", people, limits.people, people, limits.people),
        ("requests", requests, limits.requests, requests, limits.requests),
        ("money", spent, str(money) if money is not None else None, nanos, money.nanos if money is not None else None),
        ("time", seconds, limits.seconds, seconds, limits.seconds),
    )
    return tuple(
        {"word": word, "now": now, "most": most, "share": used / of if of else None} for word, now, most, used, of in rows
    )


def _exposed(context: Context, names: list[str]) -> dict[str, dict[str, Any]]:
    """What was seen last of the exposure of each release that was seen at all."""
    if not names:
        return {}
    marks = ", ".join("?" * len(names))
    rows = context.database.rows(f"SELECT release_id, document FROM release_sights WHERE release_id IN ({marks})", names)
    return {row["release_id"]: orjson.loads(row["document"]).get("exposed") or {} for row in rows}


def _alerts(context: Context, release: Release) -> list[dict[str, Any]]:
    """The newest alerts, those that are open first."""
    stored = list_alerts(context.database, release=release.id, limit=SHOWN)
    return [
        {
            "id": one.id,
            "at": one.at,
            "last": one.last,
            "count": one.count,
            "state": one.state,
            "severity": one.alert.severity,
            "kind": one.alert.kind,
            "title": [one.alert.title, one.alert.title_zh],
            "first_bad": one.alert.first_bad,
            "deliveries": [
                {"channel": d.place, "state": d.state, "tries": d.tries, "said": d.said}
                for d in deliveries_of(context.database, one.messages)
            ],
        }
        for one in sorted(stored, key=lambda one: one.state != "open")
    ]


def _samples(context: Context, release: Release, plan: Plan) -> dict[str, Any]:
    """How many sampled bodies are kept, and when the last of them is removed."""
    row = context.database.row("SELECT COUNT(*) AS n, MAX(at) AS last FROM samples WHERE release_id = ?", (release.id,))
    assert row is not None, "a count is one row"
    until = None
    if row["last"] is not None:
        last = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(row["last"]))
        until = (last + timedelta(seconds=parse_duration(plan.evidence.keep))).isoformat(timespec="seconds")
    return {"kept": int(row["n"]), "keep": plan.evidence.keep, "until": until}
