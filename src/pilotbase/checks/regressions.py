"""Cases that came from incidents: whether what failed once fails again.

They were chosen because they failed, so they are no sample of anything: they enter no rate, and are counted by themselves.
"""

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks import labels, texts
from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.domain.gate import Check

__all__ = ["regressed", "regressions"]

Values = NDArray[np.float64]
_WAYS = {"exact": texts.exact, "normalised": texts.normalised, "contains": texts.contains, "label": labels.correct}


def regressions(cases: CaseColumns) -> NDArray[np.bool_]:
    """Cases that came from an incident; none where no column names incidents."""
    return ~cases.ordinary


def regressed(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the answer is wrong, by the check's `match`.

    Without one, an answer that came as text is compared as `normalised` does, and any other (a number, a truth value, the label
    of a classifier) by its label.
    """
    if check.match is not None:
        return 1.0 - _WAYS[check.match](rows, cases, check)
    spoken = np.fromiter((t is not None for t in rows.text), dtype=bool, count=len(rows.text))
    if not spoken.any():
        return 1.0 - labels.correct(rows, cases, check)
    right = labels.correct(rows, cases, check)
    right[spoken] = texts.normalised(rows.take(spoken), cases, check)
    return 1.0 - right
