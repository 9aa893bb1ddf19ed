"""Incidents page by page, as a reader asks for them: by state, severity, kind and route."""

from dataclasses import dataclass

import orjson

from pilotbase.context import Context
from pilotbase.domain.incident import KINDS, STATES, Incident
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError
from pilotbase.release.incidents import incident_of

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
    where: list[str] = []
    values: list[str | int] = []
    for word in ("state", "severity", "kind", "route"):
        wanted = getattr(asked, word)
        if not wanted:
            continue
        if word in allowed and wanted not in allowed[word]:
            raise UserError(f"{word}: there is no `{wanted[:40]}`", hint=f"one of {', '.join(allowed[word])}", status=422)
        where.append(f"{word} = ?")
        values.append(int(wanted) if word == "severity" else wanted)
    if asked.before:
        row = context.database.row("SELECT detected FROM incidents WHERE id = ?", (asked.before,))
        if row is None:
            raise UserError(f"there is no incident `{asked.before[:80]}`", hint="begin with the newest ones", status=404)
        where.append("(detected < ? OR (detected = ? AND id < ?))")
        values += [row["detected"], row["detected"], asked.before]
    condition = f"WHERE {' AND '.join(where)} " if where else ""
    rows = context.database.rows(
        f"SELECT document FROM incidents {condition}ORDER BY detected DESC, id DESC LIMIT ?", (*values, limit + 1)
    )
    found = tuple(incident_of(orjson.loads(row["document"])) for row in rows[:limit])
    return Listed(incidents=found, more=len(rows) > limit)
