"""Cases at a glance for one member: whose turn it is, what is overdue, how many there are in each stage, and where needs are."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotbase.catalog import cases
from pilotbase.catalog.entries import count_areas
from pilotbase.context import Context
from pilotbase.domain.account import Member, may
from pilotbase.domain.admission import STATES, Admission, State, open_steps
from pilotbase.domain.scenario import AREAS, Area
from pilotbase.flows.case_access import narrowed

__all__ = ["CaseOverview", "case_overview"]

MOST, READ = 20, 100
_ALWAYS: frozenset[str] = frozenset(("comment", "file", "due", "miss", "settle", "register", "revise", "withdraw", "retire"))
"""Steps that may be taken at any time, and so are nobody's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOverview:
    """`waiting`: cases in which it is this member's turn; `overdue` those whose due day has passed. `stages` counts cases in the
    order of the way, `areas` published needs in the order of the six areas.
    """

    waiting: tuple[Admission, ...]
    overdue: tuple[Admission, ...]
    stages: Mapping[State, int]
    areas: Mapping[Area, int]


def case_overview(context: Context, member: Member) -> CaseOverview:
    """What the start page tells of cases to a member who may read them; nothing to others."""
    if not may(member, "cases.read"):
        return CaseOverview(waiting=(), overdue=(), stages={}, areas={})
    database, own = context.database, narrowed(member)
    side = cases.BASE if own is None else own
    listed = cases.list_concerned(database, side, "waits", limit=READ)
    turns = [one for one in listed if any(name not in _ALWAYS for name in open_steps(member, one))]
    late = cases.list_overdue(database, context.clock.now().date(), organisation=own, limit=MOST)
    counts, needs = cases.count_states(database, own), count_areas(database)
    return CaseOverview(
        waiting=tuple(turns[:MOST]),
        overdue=tuple(late),
        stages={state: counts[state] for state in STATES if counts.get(state)},
        areas={area: needs.get(area, 0) for area in AREAS},  # type: ignore[misc]
    )
