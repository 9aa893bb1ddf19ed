"""Rates read through a judge."""

from typing import Any

import pytest
from tests.fakes.boards import answers, board, cases, conclude, pilot

from pilotbase.checks.conclude import Calibration
from pilotbase.domain.gate import Check, JudgeSpec
from pilotbase.domain.verdict import CheckResult
from pilotbase.stats.judge import rogan_gladen

JUDGE = JudgeSpec(url="http://judge", model="m", rubric="good?")
GOOD = Calibration(true_positive=95, positives=100, true_negative=96, negatives=100)


def _judged(
    said: list[Any], found: Calibration | None, *, require: str = ">= 0.7", failed: Any = (), planned: int = 200, **rest: Any
) -> CheckResult:
    columns = cases(["a"] * planned, **rest)
    made = board(pilot(Check(metric="rubric", require=require, judge=JUDGE), cluster="k" if rest else None), columns)
    made.add(answers(range(len(said)), ["text"] * len(said)))
    made.add(answers(range(len(said)), said, variant=1, failed=failed))
    return conclude(made, judges={} if found is None else {1: found})


def test_a_judge_whose_error_was_not_measured_informs_and_decides_nothing() -> None:
    found = _judged(["yes"] * 190 + ["no"] * 10, None)
    assert (found.verdict, found.value, found.low, found.high) == ("inconclusive", 0.95, None, None)
    assert [r.code for r in found.reasons] == ["judge-uncalibrated"]


def test_a_measured_judge_is_corrected_with_both_uncertainties() -> None:
    found = _judged(["yes"] * 180 + ["no"] * 20, GOOD)
    expected = rogan_gladen(180, 200, 95, 100, 96, 100, 0.95)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.verdict, found.literal) == ("pass", "pass")
    assert [r.code for r in found.reasons] == ["met", "judge-corrected"]
    assert _judged(["yes"] * 60 + ["no"] * 140, GOOD).verdict == "fail"
    assert _judged(["yes"] * 140 + ["no"] * 60, GOOD).verdict == "inconclusive"


def test_a_weak_judge_proves_nothing() -> None:
    weak = Calibration(true_positive=55, positives=100, true_negative=50, negatives=100)
    for poor in (weak, Calibration(true_positive=0, positives=0, true_negative=9, negatives=9)):
        found = _judged(["yes"] * 200, poor)
        assert (found.verdict, found.low, [r.code for r in found.reasons]) == ("inconclusive", None, ["judge-weak"])


@pytest.mark.parametrize(("require", "value"), [(">= 0.7", 0.0), ("<= 0.2", 1.0)])
def test_what_the_judge_could_not_read_counts_against_the_candidate(require: str, value: float) -> None:
    found = _judged(["unparseable"] * 100 + [None] * 100, None, require=require, failed=range(150, 200))
    assert (found.value, found.failed) == (value, 200)
    assert [(r.code, r.figures.get("count")) for r in found.reasons] == [("judge-uncalibrated", None), ("judge-failed", 200)]


def test_unjudged_answers_leave_the_check_open() -> None:
    found = _judged(["yes"] * 150, GOOD)
    assert (found.verdict, found.not_asked, found.n) == ("inconclusive", 50, 150)
    assert [r.code for r in found.reasons] == ["not-asked"]


def test_a_judged_rate_over_clusters_is_only_told() -> None:
    found = _judged(["yes"] * 200, GOOD, clusters=[str(i % 40) for i in range(200)])
    assert (found.verdict, [r.code for r in found.reasons]) == ("inconclusive", ["judge-clustered"])


def test_a_judged_check_needs_plain_answers_and_their_records() -> None:
    made = board(pilot(Check(metric="rubric", require=">= 0.7", judge=JUDGE)), cases(["a"] * 5))
    assert made.wanted(0, 0, 5).all()
    made.add(answers(range(5), ["text"] * 5))
    made.add(answers(range(5), ["yes"] * 5, variant=1))
    assert [r.code for r in conclude(made, answered={0: 4, 1: 5}).reasons] == ["count-mismatch"]
