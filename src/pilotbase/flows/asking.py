"""Asking every candidate of a run: cases, judges, loads; what was asked is accounted for."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pilotbase import plugins
from pilotbase.checks.board import Board
from pilotbase.checks.plan import PlannedCheck
from pilotbase.context import Context
from pilotbase.domain.variant import Variant
from pilotbase.errors import UserError
from pilotbase.flows.evidence import make_boards, open_log, transformer
from pilotbase.flows.judging import judge_all
from pilotbase.flows.prepare import Prepared
from pilotbase.pilots.ask import Asker
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.load import run_load, schedule
from pilotbase.pilots.observe import Pricing
from pilotbase.pilots.progress import Progress
from pilotbase.pilots.records import RunRecord
from pilotbase.ports import Executor, Target
from pilotbase.store.segments import SegmentLog

__all__ = ["ask_all"]


async def ask_all(
    context: Context,
    record: RunRecord,
    prepared: Prepared,
    planned: Sequence[PlannedCheck],
    variants: Sequence[Variant],
    executor: Executor,
    limit: int | None,
    only: Sequence[str],
    budget: Budget,
    progress: Progress,
) -> dict[str, Any]:
    """Ask all candidates in order. The account: for each, what was answered by variant, and why the rest was not.

    A candidate that cannot be reached leaves its checks inconclusive; if none can, UserError with code 4.
    """
    boards = make_boards(prepared.pilot, planned, variants, prepared.columns)
    account: dict[str, Any] = {}
    unreachable: list[UserError] = []
    for name, board in boards.items():
        if only and name not in only:
            account[name] = _account({}, "left out by --only", None)
            continue
        with open_log(context, record.run, name) as log:
            one = _Asking(prepared, board, log, executor, budget, progress, limit)
            try:
                await one.ask()
            except UserError as error:
                if error.code != 4:
                    raise
                unreachable.append(error)
                one.why = f"could not be reached: {error.message}"
                progress.note(f"{name}: {one.why}")
            log.seal()
            account[name] = one.account()
    asked = [n for n in boards if not only or n in only]
    if unreachable and len(unreachable) == len(asked):
        raise UserError("no candidate could be reached", hint="\n  ".join(str(e) for e in unreachable), code=4)
    return account


def _account(answered: Mapping[int, int], why: str, currency: str | None) -> dict[str, Any]:
    return {"answered": {str(k): v for k, v in answered.items()}, "why": why, "currency": currency, "load_missing": {}}


class _Asking:
    """One candidate's turn."""

    def __init__(
        self, prepared: Prepared, board: Board, log: SegmentLog, executor: Executor, budget: Budget, progress: Progress, limit: int | None
    ) -> None:
        self.prepared = prepared
        self.board = board
        self.log = log
        self.executor = executor
        self.budget = budget
        self.progress = progress
        self.candidate = prepared.candidate(board.candidate)
        self.pricing = Pricing(self.candidate.price)
        self.limit = limit
        self.why = ""
        self.load_missing: dict[int, str] = {}
        self.earlier: dict[int, int] = {}

    async def ask(self) -> None:
        cases = self.prepared.cases
        asker = Asker(
            candidate=self.candidate.id,
            cases=cases,
            board=self.board,
            log=self.log,
            transform=transformer(cases, self.prepared.pilot.seed, self.prepared.pilot.data.test.media),
            positive=self.prepared.positive,
            pricing=self.pricing,
            budget=self.budget,
            progress=self.progress,
            cutoff=min(cases.count, self.limit or cases.count),
        )
        for frame in self.log.read():
            self._take_in(frame, asker)
        spec = self.prepared.targets[self.candidate.id]
        target = plugins.load("targets", spec.kind).build(spec.options, self.prepared.contexts[self.candidate.id])
        try:
            await asker.ask(target, self.executor)
            await judge_all(self.prepared, self.board, self.log, self.budget, self.progress, self.candidate.id)
            await self._load(target)
        finally:
            await target.aclose()
        self.why = self.budget.why or ("left out by --limit" if self.limit else "")

    def _take_in(self, frame: pl.DataFrame, asker: Asker) -> None:
        """What a cut attempt left. Calls that it made count against the limits of this run."""
        for (variant,), part in frame.group_by("variant", maintain_order=True):
            self.earlier[int(str(variant))] = self.earlier.get(int(str(variant)), 0) + part.height
        asker.take_in(frame)
        self.budget.use(frame.height, int(frame["cost"].sum() or 0))

    async def _load(self, target: Target) -> None:
        """Each load once; one that was recorded whole before a cut is kept, since nothing is written of one that was not."""
        for index, variant in enumerate(self.board.variants):
            if variant.load is None or self.candidate.role == "reference":
                continue
            if self.earlier.get(index):
                continue
            if getattr(target, "by_id", False):
                self.load_missing[index] = "recorded answers cannot be put under load"
                continue
            why = await run_load(
                index,
                variant.load,
                schedule(variant.load, self.prepared.pilot.seed, str(index)),
                target=target,
                cases=self.prepared.cases,
                board=self.board,
                log=self.log,
                positive=self.prepared.positive,
                pricing=self.pricing,
                budget=self.budget,
                progress=self.progress,
                candidate=self.candidate.id,
            )
            if why:
                self.load_missing[index] = why

    def account(self) -> dict[str, Any]:
        """What was recorded, by variant, as this process counted it."""
        rows = {i: n for i, n in self.board.rows.items() if n}
        for index in self.board.arrivals:
            rows.setdefault(index, self.earlier.get(index, 0))
        found = _account(rows, self.why, self.pricing.currency)
        found["load_missing"] = {str(k): v for k, v in self.load_missing.items()}
        return found
