"""An admission case (中试申请): one capability on its way into one scenario, from draft to retired.

`Case` is an input of a trial, so the class has another name. Who may take which step from where is the table `STEPS`; what a step
needs and what it changes is in `domain.admission_steps`. Base roles never act for the base in a case of their own organisation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, get_args

from pilotbase.domain.account import Member, Role, may
from pilotbase.domain.trial_risk import Register

__all__ = [
    "FINAL",
    "PARTIES",
    "STATES",
    "STEPS",
    "Admission",
    "Party",
    "Proof",
    "State",
    "Step",
    "StepName",
    "acting",
    "open_steps",
    "step_named",
]

State = Literal[
    "draft", "submitted", "screened", "matched", "admitted", "provisioned", "verifying", "review", "passed", "conditional",
    "failed", "withdrawn", "published", "promoted", "retired",
]  # fmt: skip
StepName = Literal[
    "submit", "screen", "match", "revise", "agree", "countersign", "register", "admit", "provision", "begin", "run", "review",
    "pass", "condition", "fail", "again", "withdraw", "publish", "promote", "retire", "comment", "file", "due", "miss", "settle",
]  # fmt: skip
Party = Literal["vendor", "owner", "base"]

STATES: tuple[State, ...] = get_args(State)
PARTIES: tuple[Party, ...] = get_args(Party)
FINAL: frozenset[State] = frozenset(("withdrawn", "retired"))
DISCLOSED: frozenset[State] = frozenset(("published", "promoted"))
"""States in which every member may read the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that may be done to a case in the states `starts`; it leads to `to`, or with None leaves the case where it is.

    `parties` may do it. For the base one of `roles` is needed; the vendor acts by its organisation's role `vendor`, the need's
    organisation by its role `owner`.
    """

    name: StepName
    starts: tuple[State, ...]
    to: State | None
    parties: tuple[Party, ...]
    roles: tuple[Role, ...] = ()


_BEFORE: tuple[State, ...] = ("matched", "admitted", "provisioned")
_ALIVE: tuple[State, ...] = tuple(state for state in STATES if state not in FINAL)
_KNOWN: tuple[State, ...] = tuple(state for state in _ALIVE if state != "draft")
_WORKS: tuple[Role, ...] = ("operator", "engineer")

STEPS: tuple[Step, ...] = (
    Step(name="submit", starts=("draft",), to="submitted", parties=("vendor",)),
    Step(name="screen", starts=("submitted",), to="screened", parties=("base",), roles=_WORKS),
    Step(name="match", starts=("screened",), to="matched", parties=("base",), roles=_WORKS),
    Step(name="revise", starts=_BEFORE, to=None, parties=("base",), roles=_WORKS),
    Step(name="agree", starts=_BEFORE, to=None, parties=("vendor", "owner")),
    Step(name="countersign", starts=_BEFORE, to=None, parties=("base",), roles=("operator", "engineer", "reviewer")),
    Step(name="register", starts=_KNOWN, to=None, parties=("base",), roles=_WORKS),
    Step(name="admit", starts=("matched",), to="admitted", parties=("base",), roles=("operator",)),
    Step(name="provision", starts=("admitted",), to="provisioned", parties=("base",), roles=_WORKS),
    Step(name="begin", starts=("provisioned",), to="verifying", parties=("base",), roles=_WORKS),
    Step(name="run", starts=("verifying",), to=None, parties=("base",), roles=_WORKS),
    Step(name="review", starts=("verifying",), to="review", parties=("base",), roles=_WORKS),
    Step(name="pass", starts=("review",), to="passed", parties=("base",), roles=("reviewer",)),
    Step(name="condition", starts=("review",), to="conditional", parties=("base",), roles=("reviewer",)),
    Step(name="fail", starts=("review",), to="failed", parties=("base",), roles=("reviewer",)),
    Step(name="again", starts=("review", "conditional", "failed"), to="provisioned", parties=("base",), roles=_WORKS),
    Step(
        name="withdraw",
        starts=("draft", "submitted", "screened", *_BEFORE, "verifying", "review", "conditional", "failed"),
        to="withdrawn",
        parties=("vendor",),
    ),
    Step(name="publish", starts=("passed", "conditional"), to="published", parties=("base",), roles=("operator",)),
    Step(name="promote", starts=("published",), to="promoted", parties=("base",), roles=("operator",)),
    Step(
        name="retire",
        starts=("passed", "conditional", "failed", "published", "promoted"),
        to="retired",
        parties=("base",),
        roles=("operator",),
    ),
    Step(name="comment", starts=_ALIVE, to=None, parties=PARTIES, roles=("operator", "engineer", "reviewer")),
    Step(name="file", starts=_ALIVE, to=None, parties=PARTIES, roles=("operator", "engineer", "reviewer")),
    Step(name="due", starts=_KNOWN, to=None, parties=("base",), roles=_WORKS),
    Step(name="miss", starts=_KNOWN, to=None, parties=("base",), roles=_WORKS),
    Step(name="settle", starts=_KNOWN, to=None, parties=("base",), roles=("operator",)),
)
"""All that may be done, by whom, and from where. What is not here is nobody's."""

_BY_NAME: Mapping[str, Step] = {step.name: step for step in STEPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a dossier showed when it was verified here. `digest` is that of its record, `verdict` that on the case's candidate.

    `verified`: nothing changed, its verdicts follow from its scores, and its signer is trusted here. `signed`: the base's own
    signature on it holds. `witnessed`: when the base countersigned its criteria, None where it did not. `began`: when the run was
    begun, which is before its first call. `agreement` is how it agrees with the case's dossier, where it was compared.
    """

    digest: str
    run: str
    criteria: str
    verdict: Literal["pass", "fail", "inconclusive"]
    confirmatory: bool
    verified: bool
    signed: bool
    signer: str
    fingerprint: str
    witnessed: datetime | None = None
    began: datetime | None = None
    agreement: Literal["", "agree", "disagree", "undecided"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """One case. `need` and `capability` are entries of the catalogue, `vendor` and `owner` the organisations they belong to.

    `candidate` is the application's id in the pilot that `criteria` (a digest) are of; `agreed` are the parties that agreed to
    these, `countersigned` is when the base signed them. `round` counts from 0, at most `rounds`. `outcome` is what a reviewer
    decided in the end, `entered` is when the case came into its state. `version` rises with each step.
    """

    id: str
    need: str
    need_title: str
    capability: str
    capability_title: str
    vendor: str
    owner: str
    created: datetime
    entered: datetime
    submitted: datetime | None = None
    state: State = "draft"
    version: int = 1
    contact: str = ""
    findings: str = ""
    candidate: str = ""
    criteria: str = ""
    rounds: int = 3
    agreed: tuple[Party, ...] = ()
    countersigned: datetime | None = None
    access: str = ""
    given: str = ""
    data_day: date | None = None
    round: int = 0
    runs: tuple[tuple[int, str], ...] = ()
    proof: Proof | None = None
    outcome: Literal["", "passed", "conditional", "failed"] = ""
    conditions: str = ""
    reason: str = ""
    replication: Proof | None = None
    due: date | None = None
    due_for: str = ""
    risk: Register = field(default_factory=Register)

    def __post_init__(self) -> None:
        if self.state not in STATES or not 0 <= self.round <= self.rounds:
            raise ValueError(f"no case is {self.state!r} in round {self.round} of {self.rounds}")

    @property
    def parties(self) -> tuple[str, ...]:
        """The organisations that it belongs to. A draft is its vendor's alone."""
        return (self.vendor,) if self.state == "draft" else (self.vendor, self.owner)

    @property
    def disclosed(self) -> bool:
        """Whether every member may read its verdict."""
        return self.state in DISCLOSED

    @property
    def waits(self) -> tuple[Party, ...]:
        """Who has to do something next; nobody where nothing has to be done."""
        if self.state in FINAL or self.state in DISCLOSED:
            return ()
        if self.state == "draft":
            return ("vendor",)
        missing: tuple[Party, ...] = tuple(one for one in ("vendor", "owner") if one not in self.agreed)
        if self.state in _BEFORE and missing:
            return missing
        return ("vendor",) if self.state in ("conditional", "failed") else ("base",)

    def overdue(self, today: date) -> bool:
        """Whether what was due has not come."""
        return self.due is not None and self.due < today and self.state not in FINAL


def step_named(name: str) -> Step | None:
    """The step of that name; None where there is none."""
    return _BY_NAME.get(name)


def acting(member: Member, admission: Admission, step: Step) -> Party | None:
    """As which party a member may take a step of this case; None where the member may not."""
    if not may(member, "cases.write", admission.parties):
        return None
    own = member.organisation
    for party in step.parties:
        if party == "vendor" and "vendor" in member.roles and own == admission.vendor:
            return party
        if party == "owner" and "owner" in member.roles and own == admission.owner and admission.state != "draft":
            return party
        # Nobody judges an application of their own organisation.
        if party == "base" and own != admission.vendor and any(role in step.roles for role in member.roles):
            return party
    return None


def open_steps(member: Member, admission: Admission) -> tuple[StepName, ...]:
    """The steps that a member may take now, in the order of the table. What they need is asked when they are taken."""
    return tuple(step.name for step in STEPS if admission.state in step.starts and acting(member, admission, step) is not None)
