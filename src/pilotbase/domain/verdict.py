"""Verdicts: the decision rule, the results per check, gate, candidate and run, and how they roll up (VERDICT.md 1, 8)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pilotbase.domain.quantity import Require
from pilotbase.domain.reason import Reason
from pilotbase.stats.estimate import Estimate

__all__ = [
    "EXIT_CODES",
    "CandidateResult",
    "CheckResult",
    "Family",
    "GateResult",
    "RunResult",
    "Verdict",
    "decide",
    "literal",
    "roll_up",
    "roll_up_candidate",
    "roll_up_gate",
    "roll_up_run",
    "withhold",
]

Verdict = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: Mapping[str, int] = {"pass": 0, "inconclusive": 3, "fail": 1}
"""What a command that ends with a verdict exits with."""


def decide(require: Require, estimate: Estimate) -> Verdict:
    """VERDICT.md section 1: `>= t` passes if low >= t and fails if high < t; `<= t` the other way; else inconclusive.

    `=` decides only on a census, where low = high = value.
    """
    low, high, t = estimate.low, estimate.high, require.value
    if require.op == ">=":
        if low is not None and low >= t:
            return "pass"
        return "fail" if high is not None and high < t else "inconclusive"
    if require.op == "<=":
        if high is not None and high <= t:
            return "pass"
        return "fail" if low is not None and low > t else "inconclusive"
    if require.op == "=" and estimate.method == "census" and estimate.value is not None:
        return "pass" if estimate.value == t else "fail"
    return "inconclusive"


def literal(require: Require, value: float | None) -> Verdict | None:
    """The point rule on the complete planned sample; None where there is no value."""
    if value is None or require.op == "in":
        return None
    kept = {">=": value >= require.value, "<=": value <= require.value, "=": value == require.value}[require.op]
    return "pass" if kept else "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check on one candidate. `planned = scored + failed + not_asked`, in cases of the metric's own denominator."""

    id: str
    metric: str
    under: str | None
    by: str | None
    require: str
    role: str
    verdict: Verdict
    literal: Verdict | None
    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    planned: int
    failed: int
    not_asked: int
    method: str
    needed: int | None
    reasons: tuple[Reason, ...] = ()
    confidence: float = 0.95
    parts: tuple[dict[str, Any], ...] = ()  # the groups of a gap, with their own estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    gate: str
    mandatory: bool
    verdict: Verdict
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult:
    id: str
    role: str
    fingerprint: str
    verdict: Verdict
    reasons: tuple[str, ...]
    gates: tuple[GateResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What was tried: K candidates, round R on this scenario and data, and the alpha left for each check."""

    candidates: int
    round: int
    alpha: float
    corrected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The whole: `exit_code` is 0, 3 or 1 for pass, inconclusive or fail."""

    run: str
    pilot: str
    verdict: Verdict
    status: Literal["complete", "partial", "interrupted"]
    confirmatory: bool
    exploratory_because: tuple[str, ...]
    confidence: float
    family: Family
    candidates: tuple[CandidateResult, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


def roll_up(verdicts: Iterable[Verdict]) -> Verdict:
    """All must pass: FAIL if any fails, else INCONCLUSIVE if any is, else PASS. Nothing at all is INCONCLUSIVE."""
    seen = set(verdicts)
    if "fail" in seen:
        return "fail"
    return "inconclusive" if "inconclusive" in seen or not seen else "pass"


def roll_up_gate(gate: str, mandatory: bool, checks: Sequence[CheckResult]) -> GateResult:
    """A gate of deciding checks; one with none but informing checks decides nothing and counts as passed."""
    deciding = [c.verdict for c in checks if c.role == "decide"]
    return GateResult(gate=gate, mandatory=mandatory, verdict=roll_up(deciding) if deciding else "pass", checks=tuple(checks))


def roll_up_candidate(candidate: str, role: str, fingerprint: str, gates: Sequence[GateResult]) -> CandidateResult:
    """FAIL if any mandatory check fails, else INCONCLUSIVE if any is, else PASS; the reasons name the checks that decided."""
    deciding = [c for g in gates if g.mandatory for c in g.checks if c.role == "decide"]
    verdict = roll_up(c.verdict for c in deciding)
    if not deciding:
        reasons: tuple[str, ...] = ("no mandatory check decides",)
    else:
        shown = (c for c in deciding if c.verdict == verdict and verdict != "pass")
        reasons = tuple(f"{c.id}: {'; '.join(r.text() for r in c.reasons) or c.verdict}" for c in shown)
    return CandidateResult(id=candidate, role=role, fingerprint=fingerprint, verdict=verdict, reasons=reasons, gates=tuple(gates))


def roll_up_run(candidates: Sequence[CandidateResult]) -> Verdict:
    """PASS if a candidate passes, else INCONCLUSIVE if any is, else FAIL. References are not judged."""
    judged = {c.verdict for c in candidates if c.role == "candidate"}
    if "pass" in judged:
        return "pass"
    return "inconclusive" if "inconclusive" in judged or not judged else "fail"


def withhold(result: CandidateResult, reason: str) -> CandidateResult:
    """A partial run cannot PASS as a whole: pass becomes inconclusive, with the reason."""
    if result.verdict != "pass":
        return result
    return replace(result, verdict="inconclusive", reasons=(*result.reasons, reason))
