"""Asking one candidate: what is still wanted, in the recorded order, recorded before it is counted."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.domain.variant import Variant
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.observe import Pricing, frame_columns, from_frame, from_rows, reply_row
from pilotbase.pilots.progress import Progress, Step
from pilotbase.ports import Cases, EvidenceLog, Executor, Scoreboard, Target

__all__ = ["Asker", "Transformer"]

Transformer = Callable[[Variant, pl.DataFrame, int], pl.DataFrame]
WINDOW = 512  # rows whose inputs are held at a time
FLUSH, MOST_FLUSH = 16, 128  # replies scored together; a look sees each prefix all the same
SYNC_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One call to be made."""

    variant: int
    position: int
    repetition: int


class Asker:
    """Asks one candidate all that its scoreboard wants, into its log. Used once.

    `finished` starts as what the log already holds, so that a run goes on where it was cut.
    """

    def __init__(
        self,
        *,
        candidate: str,
        cases: Cases,
        board: Scoreboard,
        log: EvidenceLog,
        transform: Transformer,
        positive: str | None,
        pricing: Pricing,
        budget: Budget,
        progress: Progress,
        cutoff: int,
    ) -> None:
        self.candidate = candidate
        self.cases = cases
        self.board = board
        self.log = log
        self.transform = transform
        self.positive = positive
        self.pricing = pricing
        self.budget = budget
        self.progress = progress
        self.cutoff = cutoff
        self.failed = 0
        self.spent = 0
        self.done = 0
        self.decided = 0
        self._pending: list[dict[str, Any]] = []
        self._under_way = 0
        self._places: dict[int, Place] = {}
        self._next_key = 0
        self._changed = True
        self._synced = 0.0
        self.finished: dict[int, NDArray[np.bool_]] = {}
        for index, variant in enumerate(board.variants):
            if variant.kind in ("plain", "transform", "repeat"):
                self.finished[index] = np.zeros((cases.count, variant.repetitions), dtype=bool)

    def take_in(self, frame: pl.DataFrame) -> None:
        """Rows that a cut attempt recorded, less judgements of labelled answers, which are not the candidate's."""
        for seen in from_frame(frame):
            self.board.add(seen)
            if seen.variant in self.finished:
                assert seen.repetition is not None
                self.finished[seen.variant][seen.position, seen.repetition] = True
                self.done += len(seen.position)
                self.failed += int(seen.failed.sum())
        self.decided += len(self.board.look())

    async def ask(self, target: Target, executor: Executor) -> None:
        """Ask until nothing is wanted or the budget is spent."""
        if getattr(target, "by_id", False):
            self._look_up(target)
        elif getattr(target, "frame", 0):
            await self._ask_frames(target)
        else:
            await executor.run(target, self._batches(target.batch), self._record)
        self._flush()
        self.log.sync()

    def _look_up(self, target: Any) -> None:
        """Recorded answers, by case id: nothing is called, so nothing is counted as a call."""
        ids = self.cases.ids
        for start in range(0, self.cutoff, WINDOW):
            stop = min(start + WINDOW, self.cutoff)
            positions = [p for p in range(start, stop) if not self.finished[0][p, 0]]
            if positions:
                replies = target.answers([ids[p] for p in positions])
                self._keep([Place(variant=0, position=p, repetition=0) for p in positions], replies, paid=False)

    def _batches(self, size: int) -> Iterator[Sequence[Ask]]:
        size = max(1, size)
        batch: list[Ask] = []
        for place, inputs in self._wanted():
            if self.budget.left(self._under_way, each=self.pricing.call) <= len(batch):
                break
            key = self._next_key
            self._next_key += 1
            self._places[key] = place
            batch.append(Ask(key=key, inputs=inputs, repetition=place.repetition))
            if len(batch) == size:
                self._under_way += len(batch)
                yield batch
                batch = []
        if batch:
            self._under_way += len(batch)
            yield batch

    def _wanted(self) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        """Places to ask with their inputs, in order; what has been decided meanwhile is passed over."""
        for start in range(0, self.cutoff, WINDOW):
            stop = min(start + WINDOW, self.cutoff)
            if not self.board.open():
                return
            inputs: pl.DataFrame | None = None
            for variant, finished in self.finished.items():
                open_ = ~finished[start:stop]
                if not (self.board.wanted(variant, start, stop)[:, None] & open_).any():
                    continue
                inputs = self.cases.inputs(start, stop) if inputs is None else inputs
                yield from self._places_in(variant, start, stop, self._changed_inputs(variant, inputs, start), open_)

    def _changed_inputs(self, variant: int, inputs: pl.DataFrame, start: int) -> pl.DataFrame:
        how = self.board.variants[variant]
        return self.transform(how, inputs, start) if how.kind == "transform" else inputs

    def _places_in(
        self, variant: int, start: int, stop: int, frame: pl.DataFrame, open_: NDArray[np.bool_]
    ) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        rows = frame.to_dicts()
        after = 0
        while after < len(rows):
            mask = self.board.wanted(variant, start, stop)[:, None] & open_
            mask[:after] = False
            self._changed = False
            last, after = -1, len(rows)
            for row, repetition in np.argwhere(mask).tolist():
                if self._changed and row != last:  # something was decided meanwhile: see what is still wanted
                    after = row
                    break
                last = row
                yield Place(variant=variant, position=start + row, repetition=repetition), rows[row]

    def _record(self, asks: Sequence[Ask], replies: Sequence[Reply]) -> None:
        places = [self._places.pop(a.key) for a in asks]
        self._under_way -= len(places)
        self._keep(places, replies)
        self.budget.use(len(places), 0)
        now = asyncio.get_running_loop().time()
        if now - self._synced > SYNC_SECONDS:  # group commit: a power cut loses at most this much
            self._synced = now
            self.log.sync()
            self._flush()

    def _keep(self, places: Sequence[Place], replies: Sequence[Reply], *, paid: bool = True) -> None:
        for place, reply in zip(places, replies, strict=True):
            row = reply_row(place.variant, place.position, place.repetition, reply, self.positive, self.pricing)
            self.log.append(row)
            self.finished[place.variant][place.position, place.repetition] = True
            self._pending.append(row)
            self.failed += row["failure"] is not None
            if row["cost"]:
                self.spent += row["cost"]
                self.budget.use(0, row["cost"] if paid else 0)
        self.done += len(places)
        # Looks lie 2 % of the cases apart, so that scoring more often than each 1 % would decide nothing sooner.
        if len(self._pending) >= min(MOST_FLUSH, max(FLUSH, self.done // 100)):
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        by_variant: dict[int, list[dict[str, Any]]] = {}
        for row in pending:
            by_variant.setdefault(row["variant"], []).append(row)
        for rows in by_variant.values():
            self.board.add(from_rows(rows))
        if pending:
            self._after()

    def _after(self) -> None:
        decided = self.board.look()
        self.decided += len(decided)
        self._changed = self._changed or bool(decided)
        self.progress.step(
            Step(
                candidate=self.candidate,
                phase="asking",
                done=self.done,
                total=self._total(),
                failed=self.failed,
                spent=self.spent,
                currency=self.pricing.currency,
                decided=self.decided,
                checks=len(getattr(self.board, "tracked", ())),
                board=self.board,
            )
        )

    def _total(self) -> int:
        return sum(int(v.shape[1]) for v in self.finished.values()) * self.cutoff

    async def _ask_frames(self, target: Any) -> None:
        """Whole frames of inputs at a time; rows that nothing wants are left out of them."""
        size = target.frame
        for start in range(0, self.cutoff, size):
            stop = min(start + size, self.cutoff)
            if not self.board.open():
                return
            for variant, finished in self.finished.items():
                for repetition in range(finished.shape[1]):
                    mask = self.board.wanted(variant, start, stop) & ~finished[start:stop, repetition]
                    if not mask.any():
                        continue
                    left = self.budget.left(each=self.pricing.call)
                    if not left:
                        return
                    mask &= np.cumsum(mask) <= left
                    await self._ask_frame(target, variant, repetition, start, stop, mask)

    async def _ask_frame(
        self, target: Any, variant: int, repetition: int, start: int, stop: int, mask: NDArray[np.bool_]
    ) -> None:
        frame = self._changed_inputs(variant, self.cases.inputs(start, stop), start)
        positions = np.arange(start, stop)
        if not mask.all():
            frame, positions = frame.filter(pl.Series(mask)), positions[mask]
        reply = await target.invoke_frame(frame)
        rows = frame_columns(variant, positions, reply, self.pricing)
        if repetition:
            rows = rows.with_columns(repetition=pl.lit(repetition, dtype=pl.UInt32))
        self.log.append_columns(rows)
        self.finished[variant][positions, repetition] = True
        cost = int(rows["cost"].sum() or 0) if "cost" in rows.columns else 0
        self.budget.use(len(positions), cost)
        self.spent += cost
        self.done += len(positions)
        for seen in from_frame(_complete(rows)):
            self.failed += int(seen.failed.sum())
            self.board.add(seen)
        self._after()


def _complete(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns that a frame's reply never has, as nulls."""
    missing = {
        "extra": pl.String,
        "cost": pl.Int64,
        "tokens_in": pl.Int64,
        "tokens_out": pl.Int64,
        "ttft": pl.Float64,
        "scheduled": pl.Float64,
    }
    return rows.with_columns(
        pl.lit(None, dtype=t).alias(c) for c, t in (*missing.items(), ("late", pl.Float64)) if c not in rows.columns
    )
