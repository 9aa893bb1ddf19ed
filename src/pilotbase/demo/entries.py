"""The demonstration's needs and capabilities in the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotbase.catalog import entries
from pilotbase.context import Context
from pilotbase.demo import contents
from pilotbase.demo.past import PastClock
from pilotbase.domain.entry import Capability, Need

__all__ = ["Listed", "add_entries"]

WHO = "demonstration"
EACH = 0.4
"""Days between two entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Ids by key."""

    needs: Mapping[str, str]
    capabilities: Mapping[str, str]


def add_entries(context: Context, organisations: Mapping[str, str], clock: PastClock) -> Listed:
    """Draft all of them, and publish those that are to be. `organisations` are ids by key."""
    needs: dict[str, str] = {}
    offered: dict[str, str] = {}
    for key, (need, published) in contents.needs(organisations, clock.now()).items():
        made = entries.create(context.database, need, who=WHO, now=clock.now())
        needs[key] = made.id
        clock.move(EACH)
        if published:
            entries.set_state(context.database, Need, made.id, "published", version=1, who=WHO, now=clock.now())
    for key, (capability, published) in contents.capabilities(organisations, clock.now()).items():
        one = entries.create(context.database, capability, who=WHO, now=clock.now())
        offered[key] = one.id
        clock.move(EACH)
        if published:
            entries.set_state(context.database, Capability, one.id, "published", version=1, who=WHO, now=clock.now())
    return Listed(needs=needs, capabilities=offered)
