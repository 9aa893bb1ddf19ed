"""What the leader sees of a release, as one document: for `status`, for `watch`, for the console."""

from collections.abc import Sequence
from typing import Any

from pilotbase.checks.live_feed import LiveFeed
from pilotbase.context import Context
from pilotbase.domain.release import Plan
from pilotbase.domain.verdict import CheckResult
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.release.steps import Exposed, Step

__all__ = ["sight_document", "status_document"]


def sight_document(
    release: Release,
    plan: Plan,
    results: Sequence[tuple[CheckResult, bool]],
    feed: LiveFeed,
    exposed: Exposed,
    step: Step,
    *,
    seconds: float,
    total: float,
    feedback: int,
    since: int,
    lag: float,
    burn: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything in JSON's types; texts in English and Chinese."""
    return {
        "state": release.state,
        "rung": release.rung,
        "since": since,
        "seconds": round(seconds, 3),
        "total": round(total, 3),
        "requests": feed.requests,
        "failed": feed.failed,
        "units": len(feed.times),
        "feedback": feedback,
        "lag": round(lag, 3),
        "checks": [_check(result, mandatory) for result, mandatory in results],
        "exposed": {
            "people": exposed.people,
            "requests": exposed.requests,
            "nanos": exposed.nanos,
            "currency": exposed.currency,
            "seconds": round(total, 1),
        },
        "burn": burn,
        "waiting": [list(one) for one in step.waiting],
        "causes": [{"kind": c.kind, "check": c.check, "told": list(c.told)} for c in step.causes],
    }


def _check(result: CheckResult, mandatory: bool) -> dict[str, Any]:
    return {
        "id": result.id,
        "metric": result.metric,
        "mandatory": mandatory,
        "role": result.role,
        "require": result.require,
        "verdict": result.verdict,
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "unit": result.unit,
        "n": result.n,
        "confidence": result.confidence,
        "method": result.method,
        "reasons": [[reason.text("en"), reason.text("zh")] for reason in result.reasons],
    }


def status_document(context: Context, release: Release, plan: Plan) -> dict[str, Any]:
    """A release with its plan in short, what was seen last and when, and what happened to it."""
    seen = records.read_sight(context.database, release.id)
    document = release.document
    return {
        "id": release.id,
        "route": release.route,
        "state": release.state,
        "rung": release.rung,
        "rungs": [str(rung) for rung in plan.rungs],
        "started": release.started.isoformat(),
        "changed": release.changed.isoformat(),
        "bearer": plan.bearer,
        "candidate": document.get("candidate_id"),
        "dossier": document.get("dossier"),
        "tie": document.get("tie"),
        "limits": {
            "people": plan.exposure.people,
            "requests": plan.exposure.requests,
            "spend": plan.exposure.spend,
            "time": plan.exposure.time,
        },
        "seen_at": seen[0].isoformat() if seen is not None else None,
        "seen": seen[1] if seen is not None else None,
        "events": [
            {"at": event.at, "who": event.who, "action": event.action, "detail": dict(event.detail)}
            for event in records.events(context.database, release.id)
        ],
    }
