"""Scored columns: for each case one number and whether it is pending, scored or failed."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.metrics import metric
from pilotbase.checks.plan import Column
from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.gate import Check
from pilotbase.ports import Observations

__all__ = ["FAILED", "PENDING", "SCORED", "Arrivals", "Repeats", "ScoredColumn", "from_observations", "read_rows"]

PENDING, SCORED, FAILED = 0, 1, 2
EXAMPLES = 5  # labels outside a set that are told
_UNREAD = ("mean", "loss", "root-mean-square", "auroc", "judged")  # kinds in which no number is an answer that could not be read
_AVERAGED = ("proportion", "loss", "root-mean-square", "balanced")  # kinds whose score of a case may be the mean over its readers
Values = NDArray[np.float64]


class ScoredColumn:
    """One column over positions: `state` uint8, `value` f64 (NaN where pending, outside the metric's denominator, or without a
    worst value).

    `outside` holds, for a set membership, the labels outside the set that come first in the recorded order, each with its
    first position.
    """

    __slots__ = ("check", "column", "metric", "outside", "state", "value")

    def __init__(self, column: Column, check: Check, count: int) -> None:
        self.column = column
        self.check = check
        self.metric = metric(column.metric)
        self.state = np.zeros(count, dtype=np.uint8)
        self.value = np.full(count, np.nan)
        self.outside: dict[str, int] = {}

    def add(self, rows: Rows, cases: CaseColumns) -> None:
        """Score some rows. A row whose answer the metric cannot read fails."""
        value = np.full(len(rows), np.nan)
        good = ~rows.failed
        if good.any():
            value[good] = self._by_reader(rows if good.all() else rows.take(good), cases)
        readable = self.metric.kind not in _UNREAD or self.metric.unit != ""  # a missing count of tokens is no failed answer
        bad = rows.failed if readable else rows.failed | np.isnan(value)
        if bad.any():
            value[bad] = self._worst(rows.take(bad), cases)
        self.value[rows.position] = value
        self.state[rows.position] = np.where(bad, FAILED, SCORED)
        if self.metric.kind == "members":
            self._keep_outside(rows, np.where(cases.ordinary[rows.position], value, np.nan))

    def _worst(self, rows: Rows, cases: CaseColumns) -> Values:
        if self.metric.worst is not None:
            return self.metric.worst(rows, cases, self.check)
        if self.check.bound is not None:
            most = self.check.bound[1]
            return np.full(len(rows), most**2 if self.metric.kind == "root-mean-square" else most)
        return np.full(len(rows), np.nan)

    def _keep_outside(self, rows: Rows, value: Values) -> None:
        for i in np.flatnonzero(value == 1.0).tolist():
            name, position = "(failed)" if rows.failed[i] else rows.names[i] or "(no label)", int(rows.position[i])
            self.outside[name] = min(position, self.outside.get(name, position))
        kept = sorted(self.outside.items(), key=lambda item: (item[1], item[0]))[:EXAMPLES]
        self.outside = dict(kept)

    def _by_reader(self, rows: Rows, cases: CaseColumns) -> Values:
        """Where several readers answered a case, the mean of their scores; a metric without a score for each answer takes
        their majority.
        """
        own = self.metric.score(rows, cases, self.check)
        averaged = self.metric.kind in _AVERAGED and self.metric.name not in ("precision", "stability") and self.metric.unit == ""
        if rows.extra is None or not averaged:
            return own
        means = own.copy()
        for i, extra in enumerate(rows.extra):
            opinions = _readers(extra)
            if opinions is None:
                continue
            alone = read_rows(np.full(len(opinions), rows.position[i]), list(opinions.values()), cases)
            each = self.metric.score(alone, cases, self.check)
            if np.isnan(each).any():
                each = np.where(np.isnan(each), self._worst(alone, cases), each)
            means[i] = float(np.mean(each))
        return means


def _readers(extra: Any) -> dict[str, Any] | None:
    readers = extra.get("readers") if isinstance(extra, dict) else None
    return readers if isinstance(readers, dict) and readers else None


def read_rows(position: NDArray[np.int64], answers: Sequence[Any], cases: CaseColumns) -> Rows:
    """Rows of bare answers (labels, numbers or texts) to the cases at `position`."""
    names = [canonical_label(a) for a in answers]
    score = np.array([float(a) if isinstance(a, (int, float)) and not isinstance(a, bool) else np.nan for a in answers])
    return Rows(
        position=np.asarray(position, dtype=np.int64),
        failed=np.zeros(len(names), dtype=bool),
        label=code_labels(names, cases),
        names=names,
        score=score,
        text=[a if isinstance(a, str) else None for a in answers],
    )


def code_labels(names: Any, cases: CaseColumns) -> NDArray[np.int32]:
    """Labels as codes of the truth's names, -1 for any other. Takes a list or a Polars Series."""
    known = {} if cases.truth is None else {n: i for i, n in enumerate(cases.truth.names)}
    if isinstance(names, list):
        return np.fromiter((known.get(n, -1) if n is not None else -1 for n in names), dtype=np.int32, count=len(names))
    if not known:
        return np.full(len(names), -1, dtype=np.int32)
    coded: NDArray[np.int64] = names.replace_strict(list(known), list(range(len(known))), default=-1).fill_null(-1).to_numpy()
    return coded.astype(np.int32)


def from_observations(seen: Observations, cases: CaseColumns, *, judged: bool = False) -> Rows:
    """Recorded answers as rows to score; `judged` where they are a judge's, whose labels are yes and no."""
    return Rows(
        position=seen.position,
        failed=seen.failed,
        label=code_labels(seen.label, cases),
        names=seen.label,
        score=seen.score,
        text=seen.text if seen.text is not None else (),
        cost=seen.cost,
        tokens_in=seen.tokens_in,
        tokens_out=seen.tokens_out,
        judged=_yes(seen.label) if judged else None,
        extra=seen.extra,
    )


def _yes(names: Any) -> Values:
    return np.array([{"yes": 1.0, "no": 0.0}.get(v, np.nan) for v in names], dtype=np.float64)


class Repeats:
    """Repeated answers: a case is stable (1) where all are the same, 0 where they differ or one failed."""

    __slots__ = ("digests", "filled", "repetitions", "scored")

    def __init__(self, scored: ScoredColumn, repetitions: int) -> None:
        self.scored = scored
        self.repetitions = repetitions
        self.digests = np.zeros((len(scored.state), repetitions), dtype=np.uint64)
        self.filled = np.zeros((len(scored.state), repetitions), dtype=np.uint8)

    def add(self, seen: Observations) -> None:
        """Take in some repetitions; a case is scored once all of them came."""
        assert seen.repetition is not None
        for i, (p, r) in enumerate(zip(seen.position.tolist(), seen.repetition.tolist(), strict=True)):
            self.filled[p, r] = FAILED if seen.failed[i] else SCORED
            self.digests[p, r] = 0 if seen.failed[i] else _digest(seen, i)
        touched = np.unique(seen.position)
        done = touched[(self.filled[touched] != PENDING).all(axis=1)]
        failed = (self.filled[done] == FAILED).any(axis=1)
        same = (self.digests[done] == self.digests[done, :1]).all(axis=1)
        self.scored.value[done] = same & ~failed
        self.scored.state[done] = np.where(failed, FAILED, SCORED)


def _digest(seen: Observations, i: int) -> int:
    text = seen.text[i] if seen.text is not None else None
    said = text if text is not None else seen.label[i]
    if said is None:
        said = repr((float(seen.score[i]), seen.extra[i] if seen.extra is not None else None))
    return int.from_bytes(hashlib.blake2b(said.strip().encode("utf-8", "replace"), digest_size=8).digest(), "big")


class Arrivals:
    """What happened to each arrival of a load, in order of the schedule; seconds are infinite for failures."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[dict[str, Values]] = []

    def add(self, seen: Observations) -> None:
        """Take in some arrivals."""
        assert seen.scheduled is not None and seen.seconds is not None
        nan = np.full(len(seen.position), np.nan)
        failed = seen.failed
        self._parts.append(
            {
                "scheduled": seen.scheduled,
                "latency": np.where(failed, np.inf, seen.seconds),
                "ttft": np.where(failed, np.inf, nan if seen.ttft is None else seen.ttft),
                "late": np.zeros(len(nan)) if seen.late is None else np.nan_to_num(seen.late),
                "failed": failed.astype(np.float64),
            }
        )

    def column(self, name: str) -> Values:
        """One of scheduled, latency, ttft, late, failed; in order of the schedule."""
        if not self._parts:
            return np.empty(0)
        moments, latency = (np.concatenate([p[key] for p in self._parts]) for key in ("scheduled", "latency"))
        order = np.lexsort((latency, moments))  # ties too stand in one order, whatever order they were added in
        return np.concatenate([p[name] for p in self._parts])[order]
