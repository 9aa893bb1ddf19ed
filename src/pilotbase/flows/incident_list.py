"""Incidents page by page, as a reader asks for them: by state, severity, kind and route."""

from dataclasses import dataclass

from pilotbase.context import Context
from pilotbase.domain.incident import KINDS, STATES, Incident
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError
from pilotbase.release.incidents import list_incidents

__all__ = ["Asked", "Listed", "list_asked"]

SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which incidents are wanted; an empty word asks for all. `before`: those older than the incident of that id."""

    state: str = ""
    severity: str = ""
    kind: str = ""
    route: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page, newest first; `more` is whether there are older ones."""

    incidents: tuple[Incident, ...]
    more: bool


def list_asked(context: Context, asked: Asked, *, limit: int = SHOWN) -> Listed:
    """A page of incidents. UserError (status 422) for a word that there is not, and (404) for an unknown `before`."""
    allowed = {"state": STATES, "severity": tuple(map(str, SEVERITIES)), "kind": KINDS}
    for word, words in allowed.items():
        wanted = getattr(asked, word)
        if wanted and wanted not in words:
            raise UserError(f"{word}: there is no `{wanted[:40]}`", hint=f"one of {', '.join(words)}", status=422)
    found = list_incidents(
        context.database,
        state=asked.state or None,
        severity=int(asked.severity) if asked.severity else None,
        kind=asked.kind or None,
        route=asked.route or None,
        before=asked.before or None,
        limit=limit + 1,
    )
    return Listed(incidents=tuple(found[:limit]), more=len(found) > limit)
