"""The decision rule and the roll-ups."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.quantity import Require, parse_require
from pilotbase.domain.verdict import (
    CandidateResult,
    CheckResult,
    Verdict,
    decide,
    literal,
    roll_up,
    roll_up_candidate,
    roll_up_gate,
    roll_up_run,
    withhold,
)
from pilotbase.stats.estimate import Estimate, census

numbers = st.floats(-2, 2, allow_nan=False)


def _estimate(low: float | None, high: float | None, value: float | None = None) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=10, method="exact", confidence=0.95)


@given(numbers, numbers, numbers)
def test_a_verdict_follows_from_the_bounds_and_nothing_else(a: float, b: float, threshold: float) -> None:
    low, high = sorted((a, b))
    above, below = (decide(Require(op=op, value=threshold), _estimate(low, high)) for op in (">=", "<="))
    assert (above == "pass") == (low >= threshold)
    assert (above == "fail") == (high < threshold)
    assert (below == "pass") == (high <= threshold)
    assert (below == "fail") == (low > threshold)
    assert above != below or above == "inconclusive" or low == high == threshold


@given(numbers)
def test_an_absent_bound_decides_nothing(threshold: float) -> None:
    for op in (">=", "<=", "="):
        assert decide(Require(op=op, value=threshold), _estimate(None, None, 0.5)) == "inconclusive"  # type: ignore[arg-type]
    assert decide(Require(op=">=", value=threshold), _estimate(None, 3.0)) == "inconclusive"
    assert decide(Require(op="<=", value=threshold), _estimate(-3.0, None)) == "inconclusive"


def test_equality_is_decided_by_a_census_only() -> None:
    zero = parse_require("= 0")
    assert decide(zero, census(0, 5, 0.95)) == "pass"
    assert decide(zero, census(1, 5, 0.95)) == "fail"
    assert decide(zero, _estimate(0.0, 0.0, 0.0)) == "inconclusive"
    assert decide(parse_require("in [a]"), census(0, 5, 0.95)) == "inconclusive"


def test_the_literal_rule_compares_the_point() -> None:
    assert literal(parse_require(">= 0.9"), 0.9) == "pass"
    assert literal(parse_require("<= 0.9"), 0.91) == "fail"
    assert literal(parse_require("= 3"), 3.0) == "pass"
    assert literal(parse_require("in [a]"), 0.0) is None
    assert literal(parse_require(">= 0.9"), None) is None


def _check(verdict: Verdict, role: str = "decide", name: str = "k") -> CheckResult:
    return CheckResult(
        id=name, metric="accuracy", under=None, by=None, require=">= 0.9", role=role, verdict=verdict,
        literal=None, value=None, low=None,
        high=None, unit="", n=0, planned=0, failed=0, not_asked=0, method="", needed=None,
    )  # fmt: skip


@pytest.mark.parametrize("seen", list(itertools.product(["pass", "fail", "inconclusive"], repeat=3)))
def test_a_candidate_passes_only_if_all_its_mandatory_checks_pass(seen: tuple[Verdict, ...]) -> None:
    rolled = roll_up_candidate("c", "candidate", "f", [roll_up_gate("g", True, [_check(v)]) for v in seen])
    expected = "fail" if "fail" in seen else "inconclusive" if "inconclusive" in seen else "pass"
    assert rolled.verdict == roll_up(seen) == expected
    assert bool(rolled.reasons) == (expected != "pass")


def test_an_optional_gate_and_an_informing_check_never_decide() -> None:
    optional = roll_up_gate("optional", False, [_check("fail")])
    informing = roll_up_gate("mixed", True, [_check("pass"), _check("fail", role="inform")])
    assert optional.verdict == "fail"
    assert informing.verdict == "pass"
    assert roll_up_candidate("c", "candidate", "f", [optional, informing]).verdict == "pass"


def test_a_candidate_that_nothing_decides_is_inconclusive_and_says_so() -> None:
    rolled = roll_up_candidate("c", "candidate", "f", [roll_up_gate("g", True, [_check("pass", role="inform")])])
    assert rolled.verdict == "inconclusive"
    assert rolled.reasons == ("no mandatory check decides",)


def _candidate(verdict: Verdict, role: str = "candidate") -> CandidateResult:
    return CandidateResult(id="c", role=role, fingerprint="f", verdict=verdict, reasons=(), gates=())


@pytest.mark.parametrize("seen", list(itertools.product(["pass", "fail", "inconclusive"], repeat=2)))
def test_a_run_passes_if_any_candidate_passes(seen: tuple[Verdict, ...]) -> None:
    expected = "pass" if "pass" in seen else "inconclusive" if "inconclusive" in seen else "fail"
    assert roll_up_run([*map(_candidate, seen), _candidate("pass", role="reference")]) == expected


def test_a_partial_run_withholds_a_pass_and_nothing_else() -> None:
    assert withhold(_candidate("pass"), "partial").verdict == "inconclusive"
    assert withhold(_candidate("pass"), "partial").reasons == ("partial",)
    assert withhold(_candidate("fail"), "partial") == _candidate("fail")
