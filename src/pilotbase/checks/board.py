"""All checks on one candidate: what they still need asked, when they may look, and when each is decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.plan import Column, PlannedCheck
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.scores import FAILED, PENDING, Arrivals, Repeats, ScoredColumn, from_observations
from pilotbase.checks.views import Scored, look_at
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import Verdict, decide
from pilotbase.ports import Observations
from pilotbase.stats.sequential import next_look

__all__ = ["Board", "Frozen", "Tracked"]

STEP = 4096  # positions scanned at a time for the first that is pending


@dataclass(frozen=True, slots=True)
class Frozen:
    """The prefix of a check's own cases at which it was first decided, and how."""

    n: int
    verdict: Verdict


class Tracked:
    """One check on its way: the positions it needs, how many of them are complete in order, and where it was decided."""

    __slots__ = ("frozen", "looked", "need", "plan", "ready", "ungrouped")

    def __init__(self, plan: PlannedCheck, need: NDArray[np.int64], ungrouped: int = 0) -> None:
        self.plan = plan
        self.need = need
        self.ungrouped = ungrouped
        self.ready = 0
        self.looked = 0
        self.frozen: Frozen | None = None

    @property
    def complete(self) -> bool:
        """Whether every case that it needs has been answered or has failed."""
        return self.ready == len(self.need)


class Board:
    """Implements `ports.Scoreboard`. `references` are the boards of candidates that this one is compared to."""

    def __init__(
        self,
        candidate: str,
        planned: Sequence[PlannedCheck],
        variants: Sequence[Variant],
        cases: CaseColumns,
        *,
        references: Mapping[str, "Board"] | None = None,
        feeds: Iterable[PlannedCheck] = (),
    ) -> None:
        self.candidate = candidate
        self.variants = tuple(variants)
        self.cases = cases
        self.references = {} if references is None else references
        self.columns: dict[Column, ScoredColumn] = {}
        self.repeats: dict[int, Repeats] = {}
        self.arrivals: dict[int, Arrivals] = {i: Arrivals() for i, v in enumerate(variants) if v.kind == "load"}
        self._fed = [self._track(p) for p in feeds]
        self.tracked = [self._track(p) for p in planned]
        for one in (*self.tracked, *self._fed):
            self._columns_of(one.plan)
        self.rows = dict.fromkeys(range(len(variants)), 0)

    def _columns_of(self, plan: PlannedCheck) -> None:
        if self.variants[plan.column.variant].kind == "load":
            return
        for column in (plan.column, plan.other):
            if column is None or column in self.columns:
                continue
            scored = ScoredColumn(column, plan.check, self.cases.count)
            self.columns[column] = scored
            variant = self.variants[column.variant]
            if variant.kind == "repeat":
                self.repeats[column.variant] = Repeats(scored, variant.repetitions)

    def _track(self, plan: PlannedCheck) -> Tracked:
        need = self._needed(plan)
        group = self.cases.groups.get(plan.check.group or "")
        return Tracked(plan, need, 0 if group is None else int(np.count_nonzero(group.codes[need] < 0)))

    def _needed(self, plan: PlannedCheck) -> NDArray[np.int64]:
        if self.variants[plan.column.variant].kind == "load":
            return np.empty(0, dtype=np.int64)
        entering = np.ones(self.cases.count, dtype=bool) if plan.metric.empty is not None else self.cases.ordinary
        if plan.metric.denominator is not None:
            entering = entering & plan.metric.denominator(self.cases)
        return np.flatnonzero(entering)

    def reads(self, plan: PlannedCheck) -> frozenset[int]:
        """The variants of this candidate whose answers a check reads; a judged one needs plain answers first."""
        own = {plan.column.variant} | ({plan.other.variant} if plan.other is not None and plan.reference is None else set())
        return frozenset(own | {0} if any(self.variants[v].kind == "judge" for v in own) else own)

    def wanted(self, variant: int, start: int, stop: int) -> NDArray[np.bool_]:
        """See `ports.Scoreboard`. Answers that already came are not asked for again by the caller, who knows them.

        A comparison needs no case that its reference, which was asked before, has not answered.
        """
        mask = np.zeros(stop - start, dtype=bool)
        for one in self._waiting():
            if variant in self.reads(one.plan):
                low, high = np.searchsorted(one.need, (start, stop))
                mask[self._pairable(one, one.need[low:high]) - start] = True
        return mask

    def _waiting(self) -> list[Tracked]:
        """Undecided checks with a case still to come, and what comparisons need of this candidate."""
        return [t for t in (*self.tracked, *self._fed) if t.frozen is None and not t.complete]

    def _pairable(self, one: Tracked, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        if one.plan.reference is None:
            return positions
        if one.plan.reference == self.candidate:
            return positions[:0]  # never decided, and what others compare with is fed by itself
        return positions[np.not_equal(self._other(one.plan).state[positions], PENDING)]

    def add(self, seen: Observations) -> None:
        """See `ports.Scoreboard`."""
        self.rows[seen.variant] += len(seen.position)
        kind = self.variants[seen.variant].kind
        if kind == "load":
            self.arrivals[seen.variant].add(seen)
        elif kind == "repeat":
            self.repeats[seen.variant].add(seen)
        else:
            rows = from_observations(seen, self.cases, judged=kind == "judge")
            for column, scored in self.columns.items():
                if column.variant == seen.variant:
                    scored.add(rows, self.cases)

    def state(self, plan: PlannedCheck, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """PENDING, SCORED or FAILED at each of `positions`, both sides of a paired difference together."""
        state = self.columns[plan.column].state[positions]
        if plan.other is None:
            return state
        other = self._other(plan).state[positions]
        return np.where((state == PENDING) | (other == PENDING), np.uint8(PENDING), np.maximum(state, other))

    def _other(self, plan: PlannedCheck) -> ScoredColumn:
        assert plan.other is not None
        board = self.references[plan.reference] if plan.reference is not None else self
        return board.columns[plan.other]

    def value(self, plan: PlannedCheck, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The scores at `positions`; for a paired difference clean minus perturbed, or candidate minus reference."""
        value = self.columns[plan.column].value[positions]
        return value if plan.other is None else value - self._other(plan).value[positions]

    def scored(self, one: Tracked, count: int) -> Scored:
        """All that a check's estimate is a function of, over the first `count` of the cases that it needs."""
        plan, cases, positions = one.plan, self.cases, one.need[:count]
        group = cases.groups.get(plan.check.group or "")
        return Scored(
            value=self.value(plan, positions),
            classes=cases.truth.codes[positions] if cases.truth is not None else np.zeros(count, dtype=np.int32),
            positive=cases.is_positive(positions),
            clusters=None if cases.clusters is None else cases.clusters.codes[positions].astype(np.int64),
            groups=None if group is None else group.codes[positions],
            group_names=() if group is None else group.names,
            ungrouped=one.ungrouped,
        )

    def look(self) -> Sequence[str]:
        """See `ports.Scoreboard`."""
        for one in self._fed:
            self._step(one)
        return [one.plan.id for one in self.tracked if one.frozen is None and self._advance(one)]

    def _step(self, one: Tracked) -> None:
        """Move over what is complete in order."""
        while not one.complete:
            ahead = one.need[one.ready : one.ready + STEP]
            pending = np.flatnonzero(self.state(one.plan, ahead) == PENDING)
            one.ready += int(pending[0]) if len(pending) else len(ahead)
            if len(pending):
                return

    def _advance(self, one: Tracked) -> bool:
        self._step(one)
        if not one.plan.anytime or self.variants[one.plan.column.variant].kind == "load":
            return False
        while True:
            due = next_look(one.looked)
            if due > one.ready:
                if not (one.complete and one.looked < len(one.need)):
                    return False
                due = len(one.need)
            one.looked = due
            verdict = decide(one.plan.require, look_at(one.plan, self.scored(one, due)).estimate)
            if verdict != "inconclusive":
                one.frozen = Frozen(due, verdict)
                return True

    def open(self) -> bool:
        """See `ports.Scoreboard`."""
        return any(len(self._pairable(t, t.need[t.ready :])) for t in self._waiting())

    def unscorable(self, one: Tracked) -> int:
        """How many of the cases that a check's verdict would rest on have an answer or a failure, and no number, where each
        must have one.
        """
        metric = one.plan.metric
        each = metric.kind in ("loss", "root-mean-square", "mean", "auroc")
        if not each and metric.worst is not None:
            return 0
        positions = one.need[: one.frozen.n] if one.frozen else one.need
        state = self.state(one.plan, positions)
        return int(
            np.count_nonzero(np.isnan(self.value(one.plan, positions)) & ((state != PENDING) if each else (state == FAILED)))
        )

    def account(self, one: Tracked) -> tuple[int, int, int]:
        """(scored, failed, not asked) of the cases that a check needs; they add up to them."""
        state = self.state(one.plan, one.need)
        pending, failed = int((state == PENDING).sum()), int((state == FAILED).sum())
        return len(state) - pending - failed, failed, pending
