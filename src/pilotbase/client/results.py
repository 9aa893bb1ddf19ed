"""What the base answers. Moments are ISO 8601 in UTC; documents are as the commands print them with `--json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "AuditEntry",
    "Candidate",
    "Case",
    "CaseRecord",
    "Export",
    "FailureKind",
    "Failures",
    "Health",
    "Incident",
    "IncidentRecord",
    "Job",
    "JobRecord",
    "Key",
    "Member",
    "Mistake",
    "NewKey",
    "NewMember",
    "NewRoute",
    "Organisation",
    "Pilot",
    "PilotRecord",
    "Reconciliation",
    "Release",
    "ReleaseMove",
    "ReleaseRecord",
    "Run",
    "RunRecord",
    "Stop",
    "Stopping",
    "Token",
    "Usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """A pilot in a list; `version` is its newest."""

    id: str
    name: str
    organisation: str
    who: str
    version: int
    created: str
    changed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something that is wrong with a pilot.yaml; `line` and `column` from 1, 0 where it has no place in it."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotRecord:
    """One version, `shown`, of a pilot; `files` are sizes by name, `forecast` is None until it is known."""

    about: Pilot
    shown: int
    digest: str
    spec: str
    mistakes: tuple[Mistake, ...]
    files: Mapping[str, int]
    forecast: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job in a list; `over`: nothing more will come of it. `run` is empty until there is one."""

    id: str
    kind: str
    state: str
    over: bool
    pilot: str
    digest: str
    run: str
    who: str
    attempt: int
    told: str
    stop_by: str
    created: str
    started: str | None
    ended: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job with what its process told; `verdict` is of a finished run."""

    about: Job
    resumable: bool
    verdict: str | None
    steps: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in a list; `verdict` is None until it has finished."""

    run: str
    pilot: str
    state: str
    verdict: str | None
    round: int
    created: str
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate of a run, and how many rows of evidence there are of it."""

    id: str
    fingerprint: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, with digests of its criteria and its data."""

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
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """Failures of one kind."""

    category: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What failed of a candidate, the most frequent kind first."""

    candidate: str
    kinds: tuple[FailureKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRoute:
    """A route as it is served; `warning` says what it lacks."""

    route: Mapping[str, Any]
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key without its text."""

    id: str
    name: str
    state: str
    admin: bool
    budget: str | None
    spent: tuple[str, ...]
    rpm: int | None
    tpm: int | None
    routes: tuple[str, ...] | None
    created: str
    expires: str | None
    revoked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key and its text, which is told this once: None where the base had made the key before and the answer was lost."""

    key: str | None = field(repr=False)
    about: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Traffic that is stopped."""

    kind: str
    name: str
    why: str
    who: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What was stopped or resumed, and whether that changed anything."""

    kind: str
    name: str
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release in a list; `rung` counts from 0 in `rungs`."""

    id: str
    route: str
    state: str
    over: bool
    rung: int
    rungs: tuple[str, ...]
    version: int
    started: str
    changed: str
    bearer: str
    candidate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """One release as it stands."""

    about: Release
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseMove:
    """A release after a move; `changed` is False where it was there before."""

    about: Release
    changed: bool
    incident: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pilot case in a list. `waits` names the parties that have to do something; `due` is a day."""

    id: str
    state: str
    need: str
    capability: str
    vendor: str
    owner: str
    round: int
    rounds: int
    waits: tuple[str, ...]
    due: str | None
    created: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """One case, and the steps that one may take now."""

    about: Case
    steps: tuple[str, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident in a list; `title` by language."""

    id: str
    route: str
    kind: str
    severity: int
    state: str
    version: int
    title: Mapping[str, str]
    detected: str
    contained: str | None
    resolved: str | None
    closed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """One incident with all that is on record."""

    about: Incident
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An incident for others; `notes` say what its receiver will miss."""

    form: str
    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation."""

    id: str
    name: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member; `disabled` is since when, None where the member may sign in."""

    id: str
    login: str
    name: str
    organisation: str
    roles: tuple[str, ...]
    created: str
    disabled: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A member and the first password, which is told this once: None where the base had made the member before."""

    password: str | None = field(repr=False)
    about: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A member's token without its text."""

    id: str
    name: str
    state: str
    scopes: tuple[str, ...]
    created: str
    expires: str
    used: str | None
    revoked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums, a row for each `by` and currency."""

    by: str
    since: str | None
    until: str | None
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Whether the ledger adds up."""

    balanced: bool
    lines: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what."""

    id: str
    at: str
    who: str
    action: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """That the base answers; `stopped`: all traffic is."""

    status: str
    epoch: int
    stopped: bool
