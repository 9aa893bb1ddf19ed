"""Runs and dossiers in one shape, so that either can be compared with either."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.scores import PENDING
from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.dossier.files import open_files
from pilotbase.dossier.statement import RECORD
from pilotbase.errors import UserError
from pilotbase.flows.casebook import cases_path, read_cases
from pilotbase.flows.conclude import boards_of
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.verify import dossier_boards, sound_record
from pilotbase.pilots.records import find_run

__all__ = ["Comparable", "read_comparable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """A result with the boards that its scores stand on. `order` identifies data and order; equal orders pair by position."""

    name: str
    result: Mapping[str, Any]
    boards: Mapping[str, Board]
    data: str
    order: str
    fingerprints: Mapping[str, str]

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """The cluster of each case, where there are clusters."""
        found = next(iter(self.boards.values())).cases.clusters
        return None if found is None else found.codes.astype(np.int64)

    def check(self, candidate: str, check: str) -> Tracked | None:
        """The check of that id on a candidate."""
        return next((t for t in self.boards[candidate].tracked if t.plan.id == check), None)

    def needed(self, candidate: str, check: str) -> int:
        """How many cases a check needs."""
        tracked = self.check(candidate, check)
        return 0 if tracked is None else len(tracked.need)

    def values(self, candidate: str, check: str) -> NDArray[np.float64] | None:
        """The scores of a check over all positions, NaN where a case was not asked or is not counted.

        None for a load, and for cases from incidents: they are no sample, so a difference on them has no interval.
        """
        tracked, board = self.check(candidate, check), self.boards[candidate]
        if tracked is not None and tracked.plan.metric.empty is not None:
            return None
        if tracked is None or tracked.plan.column not in board.columns or tracked.plan.other is not None:
            return None
        scored = board.columns[tracked.plan.column]
        found = np.full(board.cases.count, np.nan)
        inside = tracked.need[scored.state[tracked.need] != PENDING]
        found[inside] = scored.value[inside]
        return found


def read_comparable(context: Context, what: str) -> Comparable:
    """A dossier where `what` is a path of one, else a run of this home.

    UserError where the dossier is changed, or the run unfinished.
    """
    path = Path(what)
    return _dossier(context, path) if path.exists() and (path.is_file() or (path / RECORD).exists()) else _run(context, what)


def _run(context: Context, name: str) -> Comparable:
    record = find_run(context.database, name)
    if record.result is None:
        raise UserError(f"run {record.run} is unfinished", hint=f"go on with it: pilotbase run {record.options['spec']}")
    pilot = pilot_of(record.options["document"])
    columns = read_cases(cases_path(context, record.run), canonical_label(pilot.data.test.positive))
    boards, _ = boards_of(context, record, pilot, columns)
    data = record.options["data"]
    return Comparable(
        name=record.run,
        result=record.result,
        boards=boards,
        data=data["digest"],
        order=data["order"],
        fingerprints=record.fingerprints,
    )


def _dossier(context: Context, path: Path) -> Comparable:
    record = sound_record(context, path)
    with open_files(path) as files:
        boards, _ = dossier_boards(record, files.read)
    return Comparable(
        name=str(path),
        result=record["result"],
        boards=boards,
        data=record["data"]["digest"],
        order=record["data"]["order"],
        fingerprints={c["id"]: c["fingerprint"] for c in record["candidates"]},
    )
