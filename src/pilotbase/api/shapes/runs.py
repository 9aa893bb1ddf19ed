"""Runs, their verdicts and failures."""

from dataclasses import dataclass

__all__ = ["CandidateFailures", "CandidateOut", "FailureKind", "RunOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateOut:
    """A candidate as it was when the run began, and how many rows of evidence there are of it by now."""

    id: str
    fingerprint: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOut:
    """One run. Digests are `sha256:...`; of `held_out` data nobody is shown a row."""

    run: str
    pilot: str
    state: str
    verdict: str | None
    round: int
    created: str
    updated: str
    scenario: str
    criteria: str
    data: str
    held_out: bool
    candidates: list[CandidateOut]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """Failures of one kind, as in `wrong: benign for malignant` or `timeout`, and how many there were."""

    category: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateFailures:
    """What failed of a candidate, the most frequent kind first. No row, no answer and no case is named."""

    candidate: str
    kinds: list[FailureKind]
