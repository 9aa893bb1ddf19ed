"""What a member does with an incident, written into the audit log beside the record of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.incident import ANONYMOUS, Incident
from pilotbase.flows.incident import reporter
from pilotbase.release import incidents
from pilotbase.store import audit

__all__ = ["audited_change", "audited_report"]


def audited_report(context: Context, report: Callable[[], Incident], *, who: str) -> Incident:
    """Open an incident. Of a near miss the log names nobody either."""
    with context.database.transaction():
        found = report()
        detail = {"route": found.route, "kind": found.kind, "severity": found.severity}
        _log(context, "incident.open", found.id, detail, reporter(found.kind, None, who))
    return found


def audited_change(context: Context, word: str, incident: str, change: Callable[[], Incident], *, who: str) -> Incident:
    """Change an incident, in one transaction with the entry; nothing is logged where nothing changed."""
    with context.database.transaction():
        before = incidents.find(context.database, incident)
        after = change()
        if after.version != before.version:
            name = ANONYMOUS if after.kind == "near-miss" else who
            _log(context, f"incident.{word}", after.id, {"state": after.state, "version": after.version}, name)
    return after


def _log(context: Context, action: str, subject: str, detail: Mapping[str, Any], who: str) -> None:
    audit.write(context.database, who=who, action=action, subject=subject, detail=detail, at=context.clock.now())
