"""Drift on live samples: one look at every window of so many, against the pilot's own inputs and outputs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.alert import Alert
from pilotbase.domain.release import Plan
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.live_evidence import arm_of
from pilotbase.flows.live_judging import Inside
from pilotbase.flows.live_reading import declared_of, read_sample
from pilotbase.flows.live_reference import OUTPUTS
from pilotbase.flows.release_moves import plan_of
from pilotbase.release import records
from pilotbase.release.alerts import raise_alert
from pilotbase.release.drift import LEAST_ROWS, compare
from pilotbase.release.drift_reference import read_reference
from pilotbase.release.drift_report import DriftReport
from pilotbase.release.records import Event, Release
from pilotbase.release.steps import Cause

__all__ = ["drift_causes", "watch_drift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of samples that is due to be looked at, with what the pilot saw."""

    release: Release
    plan: Plan
    look: int
    rows: list[dict[str, Any]]
    reference: Mapping[str, Any]


def drift_causes(context: Context, release: Release, plan: Plan) -> list[Cause]:
    """Causes to go back that earlier looks gave, where the plan wants that of drift."""
    if plan.drift is None or plan.drift.action != "rollback":
        return []
    return [_cause(look.detail) for look in _looks(context, release) if look.detail.get("drifted")]


async def watch_drift(context: Context, inside: Inside) -> int:
    """Look at every window that is due, once each; how many. The tests take seconds: they run beside the database's thread."""
    count = 0
    for window in await inside(lambda: _due(context)):
        report = await asyncio.to_thread(_compare, window)
        await inside(partial(_keep, context, window, report))
        count += 1
    return count


def _due(context: Context) -> list[Window]:
    """Where another whole window of samples is there. Looks are numbered over the whole release: alpha is split over them all."""
    found = []
    for release in records.list_releases(context.database, open_only=True):
        plan = plan_of(release)
        if plan.drift is None or release.state == "held":
            continue
        looks = _looks(context, release)
        since = looks[-1].detail["last"] if looks else 0
        arm = arm_of(release, plan)
        # Counted first: this is asked every second, and the bodies of a window that is not whole would be read for nothing.
        row = context.database.row(
            "SELECT COUNT(*) AS n FROM samples WHERE release_id = ? AND arm = ? AND answered IS NOT NULL AND at > ?",
            (release.id, arm, since),
        )
        reference = records.read_reference(context.database, release.id) if row and row["n"] >= plan.drift.every else None
        if reference is None:
            continue
        rows = context.database.rows(
            "SELECT s.*, COALESCE(r.person, '') AS person FROM samples s LEFT JOIN requests r ON r.id = s.request"
            " WHERE s.release_id = ? AND s.arm = ? AND s.answered IS NOT NULL AND s.at > ? ORDER BY s.at, s.request LIMIT ?",
            (release.id, arm, since, plan.drift.every),
        )
        kept = [dict(row) for row in rows]
        found.append(Window(release=release, plan=plan, look=len(looks) + 1, rows=kept, reference=reference))
    return found


def _compare(window: Window) -> DriftReport:
    assert window.plan.drift is not None
    reference = read_reference(window.reference)
    found = _columns(window.release, window.rows)
    for column in reference.columns:
        if column.kind == "numeric" and column.name in found:
            found[column.name] = [_numeric(value) for value in found[column.name]]
    return compare(
        reference,
        found,
        confidence=window.plan.drift.confidence,
        look=window.look,
        clusters=_people(window.rows),
    )


def _keep(context: Context, window: Window, report: DriftReport) -> None:
    """Write a look down, once, and warn where it found drift."""
    release = window.release
    detail = _detail(report, window.rows)
    with context.database.transaction():
        if len(_looks(context, release)) >= window.look:
            return
        moment = context.clock.now()
        records.note(context.database, release.id, who="pilotbase", action="drift", detail=detail, now=moment)
        if report.drifted:
            cause = _cause(detail)
            alert = Alert(
                kind="drift",
                severity=4,
                route=release.route,
                title=cause.told[0],
                title_zh=cause.told[1],
                release=release.id,
                about=report.drifted[0].feature,
                evidence={"tests": detail["drifted"]},
            )
            raise_alert(context.database, alert, window.plan.alerts, moment)


def _looks(context: Context, release: Release) -> Sequence[Event]:
    return records.events(context.database, release.id, action="drift")


def _people(rows: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Whose each row is, where enough people are told apart: rows of one person are not independent. None where they are not."""
    people = [str(row["person"]) for row in rows]
    return people if len(set(people)) >= LEAST_ROWS else None


def _columns(release: Release, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    declared = declared_of(pilot_of(release.document["pilot"]), release.document["candidate_id"])
    said = [read_sample(row, declared) for row in rows]
    found: dict[str, list[Any]] = {name: [one.inputs.get(name) for one in said] for name in declared.columns}
    found[OUTPUTS[0]] = [one.label for one in said]
    found[OUTPUTS[1]] = [one.score for one in said]
    found[OUTPUTS[2]] = [one.text for one in said]
    return found


def _numeric(value: Any) -> Any:
    """A number that came as text: a client's message carries it so, and the pilot's file did not."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None


def _detail(report: DriftReport, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "look": report.look,
        "rows": report.rows,
        "alpha": report.alpha,
        "first": rows[0]["at"],
        "last": rows[-1]["at"],
        "tests": len(report.findings),
        "drifted": [
            {"feature": f.feature, "test": f.test, "adjusted": f.adjusted, "english": f.english, "chinese": f.chinese}
            for f in report.drifted
        ],
    }


def _cause(detail: Mapping[str, Any]) -> Cause:
    first = detail["drifted"][0]
    return Cause(
        kind="drift",
        told=(f"drift: {first['english']}", f"漂移：{first['chinese']}"),
        figures={"feature": first["feature"], "test": first["test"], "adjusted": first["adjusted"], "look": detail["look"]},
    )
