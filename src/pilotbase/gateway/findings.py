"""What guards found in a request or its answer, noted for the log and the counts. Never the text itself."""

from collections.abc import Iterable

from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.guards import Outcome
from pilotbase.ports import Finding

__all__ = ["note", "note_outcome"]

MOST = 64


def note(x: Exchange, found: Iterable[Finding], action: str) -> None:
    """Note findings and what was done about them; the first 64 of a request."""
    for finding in found:
        if len(x.findings) >= MOST:
            return
        x.findings.append((finding.guard, finding.rule, action))


def note_outcome(x: Exchange, outcome: Outcome) -> None:
    """Note what guards said of a whole document."""
    note(x, outcome.flags, "flag")
    note(x, outcome.masked, "mask")
    if outcome.blocked is not None:
        note(x, (outcome.blocked,), "block")
