"""What happened to cases, read from their records, as openness and the funnel count it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from pilotbase.catalog.case_records import Record, records
from pilotbase.catalog.cases import require
from pilotbase.domain.admission import Admission
from pilotbase.domain.journey import STAGES, Journey, Stage
from pilotbase.errors import UserError
from pilotbase.store.database import Database

__all__ = ["journey_of", "read_journeys"]

_STAGES: Final[Mapping[str, Stage]] = {**{one: one for one in STAGES if one != "verdict"}, "conditional": "passed"}
_JUDGED: Final = ("passed", "conditional", "failed")
_ENDS: Final = ("withdrawn", "retired")


def read_journeys(database: Database, *, need: str | None = None) -> Iterator[Journey]:
    """The journeys of all cases that were submitted, the oldest first; with `need`, of those for it.

    A case whose records cannot be read is left out: its page says what is wrong with them.
    """
    where, values = ("WHERE need = ?", (need,)) if need is not None else ("", ())
    for row in database.rows(f"SELECT id FROM cases {where} ORDER BY created, id", values):
        try:
            found = journey_of(require(database, row["id"]).admission, records(database, row["id"]))
        except UserError:
            continue
        if found.reached:
            yield found


def journey_of(admission: Admission, steps: Iterable[Record]) -> Journey:
    """The first moment of each stage, and of the end, from the steps of a case in order."""
    reached: dict[Stage, datetime] = {}
    ended = None
    for one in steps:
        if one.after == one.before:
            continue
        if one.after in _STAGES:
            reached.setdefault(_STAGES[one.after], one.at)
        if one.after in _JUDGED:
            reached.setdefault("verdict", one.at)
        ended = one.at if one.after in _ENDS else ended
    return Journey(
        case=admission.id,
        need=admission.need,
        capability=admission.capability,
        vendor=admission.vendor,
        owner=admission.owner,
        reached=reached,
        ended=ended,
        replicated=admission.replication is not None,
    )
