"""Scores of numbers against a number."""

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.detect.numbers import read_number
from pilotbase.domain.gate import Check

__all__ = ["absolute_error", "squared_error", "within"]

Values = NDArray[np.float64]


def _given(rows: Rows) -> Values:
    """The number in each answer: its score, else the first number in its text or label, else NaN."""
    missing = np.flatnonzero(np.isnan(rows.score))
    if not len(missing):
        return rows.score
    found = rows.score.copy()
    for i in missing.tolist():
        text = (rows.text[i] if len(rows.text) else None) or (rows.names[i] if len(rows.names) else None)
        number = read_number(text) if text else None
        found[i] = np.nan if number is None else number
    return found


def _truth(rows: Rows, cases: CaseColumns) -> Values:
    if cases.numbers is not None:
        return cases.numbers[rows.position]
    assert cases.truth is not None  # the metric's row needs a target, and specs are checked
    names = np.array([np.nan if (v := read_number(n)) is None else v for n in cases.truth.names])
    return names[cases.truth.codes[rows.position]]


def _error(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    error = np.abs(_given(rows) - _truth(rows, cases))
    return error if check.bound is None else np.clip(error, *check.bound)


def absolute_error(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """|answer - truth|, clipped to a declared `bound`; NaN where there is no number, which fails."""
    return _error(rows, cases, check)


def squared_error(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """(answer - truth)^2, with the error clipped to a declared `bound`."""
    return _error(rows, cases, check) ** 2


def within(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where |answer - truth| <= tolerance (default 0, with a relative slack of 1e-12 for the writing of numbers)."""
    truth = _truth(rows, cases)
    tolerance = (check.tolerance or 0.0) + 1e-12 * np.abs(truth)
    with np.errstate(invalid="ignore"):
        return (np.abs(_given(rows) - truth) <= tolerance).astype(np.float64)
