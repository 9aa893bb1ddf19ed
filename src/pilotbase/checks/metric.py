"""One row of the table of metrics: what it needs, how an answer becomes a number, and when one may look (VERDICT.md section
2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks import service
from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.domain.gate import Check

__all__ = ["Kind", "Metric", "Needs"]

Kind = Literal[
    "proportion",
    "mean",
    "loss",
    "root-mean-square",
    "f1",
    "balanced",
    "auroc",
    "count",
    "members",
    "tail",
    "throughput",
    "judged",
]
Needs = Literal["target", "positive", "number", "load", "price", "judge", "repeat", "pattern", "choices", "expected", "incident"]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row.

    `score(rows, cases, check)` gives a float for each row that did not fail. NaN leaves the row out of the denominator of a
    proportion or F1; in any other kind it is an answer that could not be read, which fails.
    `worst(rows, cases, check)` gives the same for failed rows; None where the metric has no worst value.
    `denominator(cases)` marks the cases that can enter at all, known before asking. Cases from incidents enter only where `empty`
    is given: the value of a count of them over no case at all, since at first there is none.
    """

    name: str
    title: tuple[str, str]
    kind: Kind
    looks: Literal["any", "once"]
    needs: frozenset[Needs] = frozenset()
    score: Callable[[Rows, CaseColumns, Check], Values] = service.nothing
    worst: Callable[[Rows, CaseColumns, Check], Values] | None = None
    denominator: Callable[[CaseColumns], NDArray[np.bool_]] | None = None
    lower: float | None = 0.0
    upper: float | None = 1.0
    unit: Literal["", "s", "money", "tokens", "/s"] = ""
    paired: bool = True
    quantile: float | None = None
    empty: float | None = None
    source: str = ""
