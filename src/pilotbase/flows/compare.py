"""`pilotbase compare`: do two testers agree, or did a version change anything."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pilotbase.checks.estimators import estimate_difference
from pilotbase.errors import UserError
from pilotbase.flows.comparable import Comparable
from pilotbase.stats.estimate import Estimate

__all__ = ["CheckComparison", "Comparison", "compare_runs"]

Agreement = Literal["agree", "disagree", "undecided"]
EXIT: Mapping[Agreement, int] = {"agree": 0, "disagree": 1, "undecided": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckComparison:
    """One check on one candidate, seen by both.

    `difference` is second minus first, paired by case; None where cases cannot be paired.
    """

    candidate: str
    other: str
    check: str
    first: str
    second: str
    agreement: Agreement
    difference: Estimate | None = None
    changed: int | None = None
    paired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`same_data` and `same_candidates` say what kind of comparison this is: a second tester, or another version."""

    same_data: bool
    same_candidates: bool
    checks: tuple[CheckComparison, ...]
    agreement: Agreement
    missing: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 agree, 1 disagree, 3 undecided."""
        return EXIT[self.agreement]


def compare_runs(first: Comparable, second: Comparable, confidence: float) -> Comparison:
    """Check by check. They disagree where one says PASS and the other FAIL, and are undecided where only one of them decided,
    or has the check at all.

    Differences are paired by case where data and order are the same (`checks.estimators.estimate_difference`). Each bound is
    one-sided at `confidence`, sums whole clusters where there are any, and holds at every look where a run stopped early.
    UserError for a confidence out of range.
    """
    if not 0.5 <= confidence < 1:
        raise UserError(f"--confidence {confidence:g} is out of range", hint="use at least 0.5 and less than 1")
    pairs = _pairs(first, second)
    if not pairs:
        raise UserError(
            f"{first.name} and {second.name} have no candidate in common",
            hint=f"{', '.join(first.boards)} against {', '.join(second.boards)}; give the candidates equal ids",
        )
    checks: list[CheckComparison] = []
    missing: list[str] = []
    for a, b in pairs:
        left, right = _verdicts(first, a), _verdicts(second, b)
        missing += [f"{a}: {name}" for name in sorted(left.keys() ^ right.keys())]
        checks += [
            _check(first, second, a, b, name, left=left[name], right=right[name], confidence=confidence)
            for name in left
            if name in right
        ]
    verdicts = [_agree(_candidate(first, a), _candidate(second, b)) for a, b in pairs]
    return Comparison(
        same_data=first.order == second.order and first.data == second.data,
        same_candidates=all(first.fingerprints[a] == second.fingerprints[b] for a, b in pairs),
        checks=tuple(checks),
        agreement=_all([*(c.agreement for c in checks), *verdicts], whole=not missing),
        missing=tuple(missing),
    )


def _pairs(first: Comparable, second: Comparable) -> list[tuple[str, str]]:
    """Candidates of one id; where none is, the only judged one of each."""
    named = [
        (c["id"], c["id"]) for c in first.result["candidates"] if any(o["id"] == c["id"] for o in second.result["candidates"])
    ]
    if named:
        return named
    left, right = ([c["id"] for c in r.result["candidates"] if c["role"] == "candidate"] for r in (first, second))
    return [(left[0], right[0])] if len(left) == len(right) == 1 else []


def _candidate(run: Comparable, candidate: str) -> str:
    return str(next(c["verdict"] for c in run.result["candidates"] if c["id"] == candidate))


def _verdicts(run: Comparable, candidate: str) -> dict[str, dict[str, Any]]:
    found = next(c for c in run.result["candidates"] if c["id"] == candidate)
    return {k["id"]: k for g in found["gates"] for k in g["checks"]}


def _agree(first: str, second: str) -> Agreement:
    if first == second:
        return "agree"
    return "disagree" if {first, second} == {"pass", "fail"} else "undecided"


def _all(found: list[Agreement], *, whole: bool) -> Agreement:
    return "disagree" if "disagree" in found else "undecided" if "undecided" in found or not whole else "agree"


def _check(
    first: Comparable,
    second: Comparable,
    a: str,
    b: str,
    name: str,
    *,
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    confidence: float,
) -> CheckComparison:
    agreement = _agree(left["verdict"], right["verdict"])
    told = CheckComparison(candidate=a, other=b, check=name, first=left["verdict"], second=right["verdict"], agreement=agreement)
    if first.order != second.order or first.data != second.data:
        return told
    x, y = first.values(a, name), second.values(b, name)
    if x is None or y is None:
        return told
    both = ~np.isnan(x) & ~np.isnan(y)
    difference = (y - x)[both]
    clusters = None if first.clusters is None else first.clusters[both]
    if not len(difference) or not np.isfinite(difference).all() or np.abs(difference).max() > 1:
        return told
    stopped = len(difference) < max(first.needed(a, name), second.needed(b, name))  # where it ended was the answers' doing
    estimate = estimate_difference(difference, clusters, confidence, anytime=stopped, width=1.0)
    return replace(told, difference=estimate, changed=int(np.count_nonzero(difference)), paired=len(difference))
