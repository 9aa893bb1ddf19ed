"""Scores of text against text, in Chinese and English."""

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.rows import CaseColumns, Rows
from pilotbase.detect.zh import fold_width, normalise
from pilotbase.domain.gate import Check

__all__ = ["choice", "contains", "exact", "normalised", "read_choice", "regex", "unwanted", "worst"]

Values = NDArray[np.float64]


def _answers(rows: Rows) -> list[str]:
    if len(rows.text):
        return [t if t is not None else (n or "") for t, n in zip(rows.text, rows.names, strict=True)]
    return [n or "" for n in rows.names]


def _expected(rows: Rows, cases: CaseColumns) -> list[str]:
    assert cases.truth is not None  # the metric's row needs a target, and specs are checked
    names = cases.truth.names
    return [names[c] if c >= 0 else "" for c in cases.truth.codes[rows.position].tolist()]


def unwanted(check: Check) -> bool:
    """Whether a check bounds its share from above, so that what it counts is unwanted."""
    return check.required.op == "<=" and (check.view is None or check.view[0] == "worst-of")


def worst(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """What a failure scores where the check itself says which way is good: 0, or 1 under `<=` (VERDICT.md section 5)."""
    return np.full(len(rows), float(unwanted(check)))


def _each(pairs: Iterable[tuple[str, str]], same: Callable[[str, str], bool]) -> Values:
    return np.fromiter((same(a, b) for a, b in pairs), dtype=np.float64)


def exact(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the answer is the truth, white space at its ends apart."""
    return _each(zip(_answers(rows), _expected(rows, cases), strict=True), lambda a, b: a.strip() == b.strip())


def normalised(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where both are the same once width, script, case, white space and outer punctuation are folded."""
    return _each(zip(_answers(rows), _expected(rows, cases), strict=True), lambda a, b: normalise(a) == normalise(b))


def contains(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the normalised answer contains the normalised truth, or `expect` where the check names it."""
    answers = _answers(rows)
    expected = [check.expect] * len(answers) if check.expect is not None else _expected(rows, cases)
    return _each(zip(answers, expected, strict=True), lambda a, b: bool(normalise(b)) and normalise(b) in normalise(a))


def regex(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where `pattern` is found in the answer (its first 100,000 characters)."""
    pattern = re.compile(check.pattern or "")
    return np.fromiter((pattern.search(a[:100_000]) is not None for a in _answers(rows)), dtype=np.float64)


def read_choice(answer: str, choices: Iterable[str]) -> str | None:
    """The choice that an answer names: the whole answer, else the last one standing alone in it; None where there is none.

    `B`, `(B)`, `答案：B。` and `The answer is B` all name B. A choice as it is spelt goes before one in another case, so that the
    article
    of `B is a good answer` is no A; and 不正确 does not name 正确.
    """
    known = list(choices)
    folded = {normalise(c): c for c in known}
    whole = normalise(answer)
    if whole in folded:
        return folded[whole]
    spelt = {fold_width(c).strip(): c for c in known}
    return _last_alone(fold_width(answer), spelt) or _last_alone(whole, folded)


def _last_alone(text: str, spelt: Mapping[str, str]) -> str | None:
    words = "|".join(re.escape(c) for c in sorted(filter(None, spelt), key=len, reverse=True))
    found = re.findall(rf"(?<![A-Za-z0-9不非])({words})(?![A-Za-z0-9])", text) if words else []
    return spelt[found[-1]] if found else None


def choice(rows: Rows, cases: CaseColumns, check: Check) -> Values:
    """1 where the choice named in the answer is the truth."""
    pairs = zip(_answers(rows), _expected(rows, cases), strict=True)
    return _each(pairs, lambda a, b: (read := read_choice(a, check.choices)) is not None and normalise(read) == normalise(b))
