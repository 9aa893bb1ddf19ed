"""Scores of labels and of scores against a class."""

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.domain.gate import Check

__all__ = [
    "brier",
    "cell",
    "cell_failed",
    "correct",
    "negatives",
    "not_positive",
    "one",
    "positives",
    "precise",
    "precise_failed",
    "ranked_last",
    "score",
    "wrong",
]

Values = NDArray[np.float64]
TP, FP, FN, TN = 0.0, 1.0, 2.0, 3.0


def positives(cases: CaseColumns) -> NDArray[np.bool_]:
    """Cases of the positive class."""
    return cases.is_positive(np.arange(cases.count))


def negatives(cases: CaseColumns) -> NDArray[np.bool_]:
    """Cases of every other class."""
    return ~positives(cases)


def _truth(rows: Rows, cases: CaseColumns) -> NDArray[np.int32]:
    assert cases.truth is not None  # the metric's row needs a target, and specs are checked
    return cases.truth.codes[rows.position]


def correct(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the label is the truth. A label that no case has is wrong, also where the truth is missing."""
    return np.where(rows.label >= 0, rows.label == _truth(rows, cases), False).astype(np.float64)


def not_positive(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the label is another class than the positive: a true negative among negatives.

    A label that no case has is no answer that could be read, and so a false positive (VERDICT.md section 5).
    """
    return np.where(rows.label >= 0, rows.label != cases.positive, False).astype(np.float64)


def wrong(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """0 for every row."""
    return np.zeros(len(rows))


def one(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 for every row."""
    return np.ones(len(rows))


def _called(rows: Rows, cases: CaseColumns, truly: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What counts as called positive: the positive label, and for a negative also a label that no case has (as if it failed)."""
    return np.where(rows.label < 0, ~truly, rows.label == cases.positive)


def precise(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 for true positives, 0 for false positives, NaN (not in the denominator) for what was not called positive."""
    truly = cases.is_positive(rows.position)
    return np.where(_called(rows, cases, truly), truly, np.nan)


def precise_failed(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """A failed negative is a false positive; a failed positive a false negative, which precision does not count."""
    return np.where(cases.is_positive(rows.position), np.nan, 0.0)


def cell(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """The cell of the confusion table."""
    truly = cases.is_positive(rows.position)
    return np.where(_called(rows, cases, truly), np.where(truly, TP, FP), np.where(truly, FN, TN))


def cell_failed(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """A failed positive is a false negative, a failed negative a false positive."""
    return np.where(cases.is_positive(rows.position), FN, FP)


def score(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """The score as given; NaN where there is none, which fails."""
    return rows.score


def ranked_last(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """Minus infinity for positives, plus infinity for the others: the worst place in the ranking."""
    return np.where(cases.is_positive(rows.position), -np.inf, np.inf)


def brier(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """(probability of the positive class - truth)^2; NaN where the score is no probability, which fails."""
    squared = (rows.score - cases.is_positive(rows.position)) ** 2
    valid = (rows.score >= 0) & (rows.score <= 1)
    return np.where(valid, squared, np.nan)
