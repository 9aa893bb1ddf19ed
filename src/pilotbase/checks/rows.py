"""Cases and answers as columns, the one shape in which checks score them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.ports import Coded

__all__ = ["CaseColumns", "Rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseColumns:
    """What is known of the cases before anything is asked, over positions in the recorded order.

    `truth` holds canonical labels, `numbers` the truth as f64 where it is numeric; `positive` is the code of the positive
    class, -1 where there
    is none. `incidents` names the incident that a case came from, -1 for ordinary cases; None where no such column is declared.
    """

    count: int
    ids: Sequence[str]
    truth: Coded | None = None
    numbers: NDArray[np.float64] | None = None
    positive: int = -1
    groups: Mapping[str, Coded] = field(default_factory=dict)
    clusters: Coded | None = None
    incidents: Coded | None = None

    @property
    def ordinary(self) -> NDArray[np.bool_]:
        """Cases that were not chosen because they had failed: those of every rate."""
        return np.ones(self.count, dtype=bool) if self.incidents is None else self.incidents.codes < 0

    @property
    def regressions(self) -> int | None:
        """How many cases come from incidents; None where no column names them."""
        return None if self.incidents is None else int((self.incidents.codes >= 0).sum())

    @property
    def cluster_count(self) -> int | None:
        """How many clusters the ordinary cases lie in; None where there are none."""
        if self.clusters is None or self.incidents is None:
            return None if self.clusters is None else len(self.clusters.names)
        return len(np.unique(self.clusters.codes[self.ordinary]))

    def is_positive(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these cases are of the positive class."""
        if self.truth is None or self.positive < 0:
            return np.zeros(len(positions), dtype=bool)
        return np.equal(self.truth.codes[positions], self.positive)


@dataclass(slots=True, kw_only=True)
class Rows:
    """Answers to some cases, as columns of one length; absent columns are None.

    `position` int64; `label` codes of `CaseColumns.truth.names` (-1 for another label or none); `names` the labels as given.
    """

    position: NDArray[np.int64]
    failed: NDArray[np.bool_]
    label: NDArray[np.int32]
    names: Sequence[str | None]
    score: NDArray[np.float64]
    text: Sequence[str | None]
    cost: NDArray[np.float64] | None = None
    tokens_in: NDArray[np.float64] | None = None
    tokens_out: NDArray[np.float64] | None = None
    judged: NDArray[np.float64] | None = None
    extra: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.position)

    def take(self, mask: NDArray[np.bool_]) -> "Rows":
        """The rows where `mask` is true."""
        kept = np.flatnonzero(mask)
        places = kept.tolist()

        def cut(column: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            return None if column is None else column[kept]

        def pick(column: Sequence[Any]) -> Sequence[Any]:
            return [column[i] for i in places] if len(column) else column

        return Rows(
            position=self.position[kept],
            failed=self.failed[kept],
            label=self.label[kept],
            names=pick(self.names),
            score=self.score[kept],
            text=pick(self.text),
            cost=cut(self.cost),
            tokens_in=cut(self.tokens_in),
            tokens_out=cut(self.tokens_out),
            judged=cut(self.judged),
            extra=None if self.extra is None else pick(self.extra),
        )
