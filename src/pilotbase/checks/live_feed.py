"""Live results of one rung, taken in as they settle: units of evidence per check, in the order of time.

Only a complete prefix counts (VERDICT.md section 2): a block of time is taken when everything that came in it, and before it, is
settled. What completes sooner never counts sooner.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.live import LiveCheck, badness, ledger_values, tolerated
from pilotbase.ports import Results
from pilotbase.stats.cusum import Cusum
from pilotbase.stats.detector import Detector

__all__ = ["LiveFeed"]

Values = NDArray[np.float64]


class LiveFeed:
    """The ledger's evidence on one rung that began at `start`, in blocks of `block` microseconds.

    `run_length` is the least average number of units between two false alarms of one check's detector; with `shift` (a share of
    failures above the tolerated one) it is a CUSUM tuned to that shift. `frontier` is where taking in goes on; `bad`
    holds each failure's moment and id (its original's, of a shadow).
    """

    def __init__(
        self, checks: Sequence[LiveCheck], start: int, block: int, *, run_length: float, shift: float | None = None
    ) -> None:
        self.checks = [one for one in checks if one.source == "ledger"]
        self.block = block
        self.frontier = start
        self.requests = 0
        self.failed = 0
        self.times: list[int] = []
        self.counts: list[int] = []
        self.failures: list[int] = []
        self.first_bad = ""
        self.bad: list[tuple[int, str]] = []
        self.alarms: dict[str, tuple[float, int]] = {}
        self._start = start
        self._units: dict[str, list[float]] = {one.id: [] for one in self.checks}
        self._sums: dict[str, tuple[float, int]] = {one.id: (0.0, 0) for one in self.checks}
        self._run_length = run_length
        self._shift = shift
        self._watched = {
            one.id: p0
            for one in self.checks
            if (p0 := tolerated(one)) is not None and one.mandatory and one.check.role == "decide"
        }
        self._detectors: dict[str, Detector | Cusum] = {}

    @property
    def needs_stable(self) -> bool:
        """Whether some check compares the arms."""
        return any(one.against for one in self.checks)

    def units(self, check: str) -> Values:
        """A check's units so far."""
        return np.array(self._units[check])

    def plain(self, check: str) -> float | None:
        """The mean over requests, each counting once; None without one, and for differences between the arms."""
        total, count = self._sums[check]
        return total / count if count else None

    def take(self, arm: Results, stable: Results | None, until: int, *, whole: bool) -> None:
        """Take in what came from `frontier` on. `until` is the moment up to which everything is known; without `whole` the
        results are cut off at their last one, and more are to be read.
        """
        end = self._end(arm, stable, until, whole)
        blocks = (arm.started - self._start) // self.block
        inside = arm.started < end
        if inside.any():
            numbers, places = np.unique(blocks[inside], return_inverse=True)
            self._count(arm, inside, numbers, places)
            for one in self.checks:
                values = ledger_values(one, arm)[inside]
                found = _means(values, places, len(numbers))
                if one.against:
                    found = found - self._stable(one, arm, stable, inside, numbers)
                else:
                    total, count = self._sums[one.id]
                    known = values[~np.isnan(values)]
                    self._sums[one.id] = (total + float(known.sum()), count + len(known))
                self._add(one, found[~np.isnan(found)])
        self.frontier = max(self.frontier, end)

    def _end(self, arm: Results, stable: Results | None, until: int, whole: bool) -> int:
        """The end of the last block before which nothing is open or unknown."""
        for results in (arm, stable):
            if results is not None and results.pending.any():
                until = min(until, int(results.started[results.pending].min()))
        if not whole and len(arm):
            until = min(until, int(arm.started[-1]))
        return self._start + (until - self._start) // self.block * self.block

    def _count(self, arm: Results, inside: NDArray[np.bool_], numbers: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        bad = arm.bad[inside]
        counted = ~np.isnan(bad)
        counts = np.bincount(places, weights=counted, minlength=len(numbers))
        failures = np.bincount(places, weights=np.nan_to_num(bad), minlength=len(numbers))
        for number, count, failures_ in zip(numbers.tolist(), counts.tolist(), failures.tolist(), strict=True):
            if count:
                self.times.append(self._start + number * self.block)
                self.counts.append(int(count))
                self.failures.append(int(failures_))
        self.requests += int(counted.sum())
        self.failed += int(np.nansum(bad))
        for i in np.flatnonzero(inside & (arm.bad == 1.0)).tolist():
            self.first_bad = self.first_bad or arm.ids[i]
            self.bad.append((int(arm.started[i]), arm.copy_of[i] or arm.ids[i]))

    def _stable(
        self, one: LiveCheck, arm: Results, stable: Results | None, inside: NDArray[np.bool_], numbers: NDArray[np.int64]
    ) -> Values:
        """What the stable arm did beside: on the same requests, where these are copies of them; else in the same blocks."""
        means = np.full(len(numbers), np.nan)
        if stable is None or not len(stable):
            return means
        values = ledger_values(one, stable)
        copied = {name for name, kept in zip(arm.copy_of, inside.tolist(), strict=True) if kept and name}
        blocks = (stable.started - self._start) // self.block
        if copied:
            place = dict(zip(stable.ids, range(len(stable)), strict=True))
            own = (arm.started - self._start) // self.block
            pairs = [(int(own[i]), values[place[name]]) for i, name in enumerate(arm.copy_of) if inside[i] and name in place]
            if not pairs:
                return means
            blocks = np.array([block for block, _ in pairs])
            values = np.array([value for _, value in pairs])
        at = np.searchsorted(numbers, blocks)
        known = (at < len(numbers)) & (numbers[np.minimum(at, len(numbers) - 1)] == blocks)
        found = _means(values[known], at[known], len(numbers))
        means[:] = found
        return means

    def _add(self, one: LiveCheck, units: Values) -> None:
        before = len(self._units[one.id])
        self._units[one.id].extend(units.tolist())
        bad = badness(one, units) if one.id in self._watched and one.id not in self.alarms else None
        if bad is None:
            return
        for i, value in enumerate(bad.tolist(), 1):
            detector = self._detectors.get(one.id) or self._detector(one.id)
            if detector.update(min(1.0, max(0.0, value))):
                self.alarms[one.id] = (float(detector.level), before + i)
                return

    def look_back(self, one: LiveCheck, units: Values) -> None:
        """Let a detector go over the units so far of a check that the ledger does not tell; its alarm stands with the others."""
        p0 = tolerated(one) if one.mandatory and one.check.role == "decide" else None
        bad = badness(one, units) if p0 is not None else None
        if p0 is None or bad is None or not len(bad) or one.id in self.alarms:
            return
        detector = self._made(p0, 1)
        found = detector.update_many(np.clip(bad, 0.0, 1.0))
        if found is not None:
            self.alarms[one.id] = (float(detector.level), found + 1)

    def _detector(self, check: str) -> Detector | Cusum:
        """Made when the first unit is there: how many results it holds tells how much units vary, and is no result itself."""
        found = self._made(self._watched[check], max(1, self.counts[0] if self.counts else 1))
        self._detectors[check] = found
        return found

    def _made(self, p0: float, block: int) -> Detector | Cusum:
        shift = self._shift
        if shift is not None and p0 < shift < 1.0:
            # exp(threshold) is the run length that holds for means of blocks, whatever their size.
            return Cusum(p0, shift, math.log(self._run_length))
        return Detector(p0, self._run_length, block=block)


def _means(values: Values, places: NDArray[np.int64], count: int) -> Values:
    """The mean of the values at each place; NaN where there is none."""
    known = ~np.isnan(values)
    n = np.bincount(places[known], minlength=count)
    total = np.bincount(places[known], weights=values[known], minlength=count)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
