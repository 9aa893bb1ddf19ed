"""How a state looks: a tone, a shape, and a word. Never colour alone: people print pages, and not all see colours alike."""

from collections.abc import Mapping
from typing import Literal

__all__ = ["STATES", "look"]

Tone = Literal["good", "bad", "doubt", "busy", "calm"]

STATES: Mapping[str, tuple[Tone, str, str]] = {
    # verdicts
    "pass": ("good", "✓", "pass"),
    "fail": ("bad", "✕", "fail"),
    "inconclusive": ("doubt", "?", "inconclusive"),
    "invalid": ("bad", "✕", "invalid"),
    # runs
    "running": ("busy", "▸", "running"),
    "complete": ("good", "✓", "complete"),
    "completed": ("good", "✓", "complete"),
    "finished": ("good", "✓", "finished"),
    "interrupted": ("doubt", "!", "interrupted"),
    "stopped": ("bad", "■", "stopped"),
    "failed": ("bad", "✕", "failed"),
    # jobs
    "queued": ("calm", "○", "waiting"),
    "refused": ("bad", "✕", "refused"),
    "asking": ("busy", "▸", "asking"),
    # keys and routes
    "active": ("good", "●", "active"),
    "live": ("good", "●", "live"),
    "expired": ("calm", "○", "expired"),
    "revoked": ("bad", "✕", "revoked"),
    "disabled": ("calm", "○", "disabled"),
    # releases
    "climbing": ("busy", "▲", "climbing"),
    "paused": ("doubt", "‖", "paused"),
    "held": ("doubt", "!", "held"),
    "full": ("good", "●", "full"),
    "ended": ("good", "✓", "ended"),
    "done": ("good", "✓", "done"),
    "rolled-back": ("bad", "◀", "rolled back"),
    # incidents and alerts
    "open": ("bad", "!", "open"),
    "reported": ("bad", "!", "reported"),
    "contained": ("doubt", "◐", "contained"),
    "resolved": ("good", "✓", "resolved"),
    "closed": ("calm", "○", "closed"),
    "critical": ("bad", "✕", "critical"),
    "major": ("bad", "!", "major"),
    "minor": ("doubt", "!", "minor"),
    "page": ("bad", "!", "urgent"),
    "ticket": ("doubt", "!", "to be looked at"),
    "warning": ("doubt", "!", "warning"),
    "info": ("calm", "○", "information"),
    "near-miss": ("doubt", "!", "near miss"),
    # entries of the catalogue, and cases
    "draft": ("calm", "○", "draft"),
    "submitted": ("busy", "▸", "submitted"),
    "screened": ("busy", "▸", "screened"),
    "matched": ("busy", "▸", "matched"),
    "admitted": ("busy", "▸", "admitted"),
    "provisioned": ("busy", "▸", "provisioned"),
    "verifying": ("busy", "▸", "verifying"),
    "review": ("doubt", "◐", "in review"),
    "passed": ("good", "✓", "passed"),
    "conditional": ("doubt", "!", "passed with conditions"),
    "not passed": ("bad", "✕", "not passed"),
    "withdrawn": ("calm", "○", "withdrawn"),
    "published": ("good", "●", "published"),
    "promoted": ("good", "▲", "promoted"),
    "retired": ("calm", "○", "retired"),
    "overdue": ("bad", "!", "overdue"),
    # everything else
    "ok": ("good", "✓", "in order"),
    "yes": ("good", "✓", "yes"),
    "no": ("calm", "○", "no"),
    "unknown": ("calm", "○", "unknown"),
}


def look(state: str) -> tuple[Tone, str, str]:
    """(tone, shape, English word) of a state; one that is not known is shown by its own name."""
    return STATES.get(state.lower(), ("calm", "○", state))
