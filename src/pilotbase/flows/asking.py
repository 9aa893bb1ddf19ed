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
from pilotbase.flows.evidence import judged_labels, make_boards, open_log, transformer
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
    *,
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
            one = _Asking(prepared, board, log, executor=executor, budget=budget, progress=progress, limit=limit)
            try:
                await one.ask()
            except UserError as error:
                if error.code != 4:
                    raise
                unreachable.append(error)
                one.give_up(f"could not be reached: {error.message}")
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
        self,
        prepared: Prepared,
        board: Board,
        log: SegmentLog,
        *,
        executor: Executor,
        budget: Budget,
        progress: Progress,
        limit: int | None,
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
        spec = self.prepared.targets[self.candidate.id]
        target = plugins.load("targets", spec.kind).build(spec.options, self.prepared.contexts[self.candidate.id])
        by_id = bool(getattr(target, "by_id", False))
        for frame in self.log.read():
            self._take_in(frame, asker, by_id)
        try:
            await asker.ask(target, self.executor)
            await judge_all(self.prepared, self.board, self.log, budget=self.budget, progress=self.progress)
            await self._load(target)
        finally:
            await target.aclose()
        self.why = self.budget.why(each=0 if by_id else self.pricing.call) or ("left out by --limit" if self.limit else "")
        if by_id and not self.why:
            self.why = "recorded answers are to the cases as they were, once"

    def _take_in(self, frame: pl.DataFrame, asker: Asker, by_id: bool) -> None:
        """What a cut attempt left. Its calls count against the limits of this run; a look-up is no call."""
        rows = frame.filter(~judged_labels(self.board.variants))
        for (variant,), part in rows.group_by("variant", maintain_order=True):
            self.earlier[int(str(variant))] = self.earlier.get(int(str(variant)), 0) + part.height
        asker.take_in(rows)
        if not by_id:
            self.budget.use(frame.filter(pl.col("attempts") > 0).height, int(frame["cost"].sum() or 0))

    def give_up(self, why: str) -> None:
        """Nothing more is asked of this candidate."""
        self.why = why
        for index, variant in enumerate(self.board.variants):
            if variant.kind == "load" and not self.earlier.get(index):
                self.load_missing.setdefault(index, why)

    async def _load(self, target: Target) -> None:
        """Each load once; one that was recorded whole before a cut is kept, since nothing is written of one that was not."""
        for index, variant in enumerate(self.board.variants):
            if variant.load is None or self.earlier.get(index):
                continue
            if self.candidate.role == "reference":
                self.load_missing[index] = "a reference is not put under load"
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
        found = _account({i: n for i, n in self.board.rows.items() if n}, self.why, self.pricing.currency)
        found["load_missing"] = {str(k): v for k, v in self.load_missing.items()}
        return found
