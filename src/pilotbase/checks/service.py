"""Scores of what an answer cost, of where it lies, and the constants that counts are made of."""

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.gate import Check

__all__ = ["cost", "judged", "nothing", "outside", "tokens", "tokens_in", "tokens_out", "zero"]

Values = NDArray[np.float64]


def nothing(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """NaN for every row: this metric is measured on arrivals, not on cases."""
    return np.full(len(rows), np.nan)


def zero(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """0 for every row: it did not fail."""
    return np.zeros(len(rows))


def outside(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the label is not among the members of `require: in [...]`; an answer without a label lies outside."""
    members = {canonical_label(m) for m in check.required.members}
    return np.fromiter((name is None or name not in members for name in rows.names), dtype=np.float64, count=len(rows))


def _column(values: Values | None, rows: Rows) -> Values:
    return np.full(len(rows), np.nan) if values is None else values


def cost(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """Units of currency, all attempts included; NaN where no price is known."""
    return _column(rows.cost, rows)


def tokens_in(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """Input tokens that the endpoint counted; NaN where it did not."""
    return _column(rows.tokens_in, rows)


def tokens_out(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """Output tokens that the endpoint counted."""
    return _column(rows.tokens_out, rows)


def tokens(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """Input and output tokens."""
    return tokens_in(rows, cases, check) + tokens_out(rows, cases, check)


def judged(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the judge said yes, 0 for no; NaN where it said neither, which fails."""
    return _column(rows.judged, rows)
