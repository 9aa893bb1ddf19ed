"""An incident: what went wrong, how much of it, what was done, and which case keeps it from coming back unseen.

Its way is open -> contained -> resolved -> closed. Each step here is a pure function: an incident and what is said of it in,
the next incident out, and the same one where nothing is new. The fields are those of the AI Incident Database and of MITRE
ATLAS case studies, with the kinds of the OECD (hazard and incident); the four levels are those of China's Emergency Response
Law, article 3.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from pilotbase.domain.scenario import Titles
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError

__all__ = [
    "ACTIONS",
    "ANONYMOUS",
    "KINDS",
    "STATES",
    "Action",
    "Affected",
    "Detection",
    "Entry",
    "FirstBad",
    "Incident",
    "Regression",
    "Subject",
    "Technique",
    "Times",
    "amended",
    "check_close",
    "closed",
    "contained",
    "opened",
    "preparing",
    "resolved",
]

Kind = Literal["hazard", "near-miss", "incident", "exercise"]
State = Literal["open", "contained", "resolved", "closed"]
Act = Literal["rollback", "throttle", "disable", "human-takeover", "other"]

KINDS: tuple[str, ...] = get_args(Kind)
STATES: tuple[str, ...] = get_args(State)
ACTIONS: tuple[str, ...] = get_args(Act)
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBad:
    """The first request that went wrong, and when. Either may be unknown."""

    request: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What noticed it: an alert by its id, a person by name (empty: nobody is named), or an audit by its reference."""

    by: Literal["alert", "user", "audit"]
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """How many requests and people it met, as far as it is known, and in words which group."""

    requests: int | None = None
    people: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """One step of an attack in the words of MITRE ATLAS: ids such as `AML.TA0011` and `AML.T0029`, and what happened."""

    tactic: str
    technique: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What was done about it."""

    act: Act
    at: datetime
    who: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What failed: digests as `sha256:...`, packs as `NAME@VERSION`; empty where unknown."""

    release: str = ""
    scenario: str = ""
    candidate: str = ""
    fingerprint: str = ""
    dossier: str = ""
    packs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """Cases that were added to a pilot's data, by id, and the data file's digests before and after.

    Without `after` they are about to be added: written down first, so that a crash leaves a trace to go on from.
    """

    pilot: str
    data: str
    cases: tuple[str, ...]
    before: str
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the history, which only grows."""

    at: datetime
    who: str
    what: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds: from the first bad request to detection, and from detection to containment and to resolution."""

    detect: float | None
    contain: float | None
    resolve: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. Moments are in UTC. `same` names the cause: while one of a cause is open or contained, no other is opened.

    `id` is empty until it is stored. Raises ValueError for a kind, severity or state that there is not: a caller's mistake.
    """

    route: str
    kind: Kind
    severity: int
    detected: datetime
    detected_by: Detection
    title: Titles
    id: str = ""
    summary: Titles = field(default_factory=Titles)
    state: State = "open"
    version: int = 1
    same: str = ""
    subject: Subject = field(default_factory=Subject)
    first_bad: FirstBad = field(default_factory=FirstBad)
    affected: Affected = field(default_factory=Affected)
    harms: tuple[str, ...] = ()
    techniques: tuple[Technique, ...] = ()
    actions: tuple[Action, ...] = ()
    cause: str = ""
    contained: datetime | None = None
    resolved: datetime | None = None
    closed: datetime | None = None
    regressions: tuple[Regression, ...] = ()
    pending: Regression | None = None
    history: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.state not in STATES or self.severity not in SEVERITIES:
            raise ValueError(f"no incident is {self.kind!r}, {self.state!r} and of severity {self.severity!r}")
        if not self.title.text("en").strip():
            raise ValueError("an incident needs a title")

    @property
    def times(self) -> Times:
        """How long each step took; None where it has not happened, or where the clock went back meanwhile."""
        return Times(
            detect=_seconds(self.first_bad.at, self.detected),
            contain=_seconds(self.detected, self.contained),
            resolve=_seconds(self.detected, self.resolved),
        )

    @property
    def cases(self) -> tuple[str, ...]:
        """The ids of its regression cases."""
        return tuple(case for regression in self.regressions for case in regression.cases)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


def opened(incident: Incident, *, who: str, now: datetime) -> Incident:
    """The incident with the first line of its history."""
    return _noted(incident, "opened", who=who, now=now)


def contained(incident: Incident, action: Action) -> Incident:
    """The harm goes on no longer, because of `action`. A further action is added to the record; the moment stays the first one.

    The same action told twice changes nothing. UserError (status 409) where the incident is closed and the action is new.
    """
    if any(known.act == action.act and known.note == action.note for known in incident.actions):
        return incident
    if incident.state == "closed":
        raise _refused(incident, "it is closed, and its record is final", "open another one for what came after")
    after = replace(incident, actions=(*incident.actions, action))
    if incident.state == "open":
        after = replace(after, state="contained", contained=_moment(incident, action.at))
    return _noted(after, f"contained: {action.act}", who=action.who, now=action.at, note=action.note)


def resolved(incident: Incident, *, who: str, now: datetime, cause: str = "", note: str = "") -> Incident:
    """What was wrong is mended. Told again, it adds a cause where there was none. UserError (409) where it is not contained."""
    if incident.state in ("resolved", "closed"):
        return amended(incident, {"cause": cause} if cause and not incident.cause else {}, who=who, now=now)
    if incident.state == "open":
        hint = f"say what was done first: pilotbase incident contain {incident.id} --action {'|'.join(ACTIONS)}"
        raise _refused(incident, "it is open: nothing that contained it is recorded", hint)
    after = replace(incident, state="resolved", resolved=_moment(incident, now), cause=cause or incident.cause)
    return _noted(after, "resolved", who=who, now=now, note=note)


def check_close(incident: Incident, *, cause: str, cases: Iterable[str]) -> None:
    """UserError (status 409) with all that a close with this cause and these cases still lacks.

    An exercise needs no case: its failure was staged, and is nothing to keep from coming back.
    """
    missing = []
    if incident.state == "open":
        missing.append("it has been neither contained nor resolved")
    elif incident.state == "contained":
        missing.append("it has not been resolved")
    if not (cause or incident.cause):
        missing.append("its root cause is not told")
    if incident.kind != "exercise" and not [*cases, *incident.cases]:
        missing.append("it has no regression case, so the next trial would not catch it")
    if missing:
        raise _refused(incident, f"it cannot be closed: {'; '.join(missing)}", _way_on(incident))


def closed(incident: Incident, *, who: str, now: datetime, cause: str = "", regression: Regression | None = None) -> Incident:
    """Put to the record for good. The same close told twice changes nothing.

    UserError (status 409) where something is missing, or where it was closed with other cases.
    """
    cases = regression.cases if regression is not None else ()
    if incident.state == "closed":
        if set(cases) <= set(incident.cases):
            return incident
        raise _refused(incident, "it is closed, and its record is final", "open another one for what came after")
    check_close(incident, cause=cause, cases=cases)
    kept = incident.regressions if regression is None else (*incident.regressions, regression)
    after = replace(
        incident, state="closed", closed=_moment(incident, now), cause=cause or incident.cause, regressions=kept, pending=None
    )
    return _noted(after, "closed", who=who, now=now, note=f"regression cases: {len(after.cases)}" if after.cases else "")


def preparing(incident: Incident, regression: Regression, *, cause: str = "") -> Incident:
    """The same with the cases that are about to be added. UserError (status 409) where a close with them would be refused."""
    if incident.state == "closed":
        raise _refused(incident, "it is closed, and its record is final", "open another one for what came after")
    check_close(incident, cause=cause, cases=regression.cases)
    return incident if incident.pending == regression else replace(incident, pending=regression)


def amended(incident: Incident, facts: Mapping[str, object], *, who: str, now: datetime) -> Incident:
    """More is known: fields by name, such as `severity`, `affected` or `cause`. UserError (status 409) where it is closed."""
    changed = {name: value for name, value in facts.items() if getattr(incident, name) != value}
    if not changed:
        return incident
    if incident.state == "closed":
        raise _refused(incident, "it is closed, and its record is final", "open another one for what came after")
    return _noted(replace(incident, **changed), f"told: {', '.join(sorted(changed))}", who=who, now=now)  # type: ignore[arg-type]


def _way_on(incident: Incident) -> str:
    if incident.state == "open":
        return f"begin with: pilotbase incident contain {incident.id} --action {'|'.join(ACTIONS)}"
    if incident.state == "contained":
        return f"first: pilotbase incident resolve {incident.id} --cause TEXT"
    if incident.kind == "exercise":
        return f"say: pilotbase incident close {incident.id} --cause TEXT"
    return f"say: pilotbase incident close {incident.id} --pilot PILOT --case FILE --cause TEXT"


def _refused(incident: Incident, message: str, hint: str) -> UserError:
    return UserError(message, where=f"incident {incident.id}", hint=hint, status=409)


def _moment(incident: Incident, now: datetime) -> datetime:
    # A clock that went back must not keep a rollback from being recorded, nor put the timeline out of order.
    return max(now, incident.detected, *_moments(incident.history))


def _moments(history: Sequence[Entry]) -> list[datetime]:
    return [entry.at for entry in history[-1:]]


def _noted(incident: Incident, what: str, *, who: str, now: datetime, note: str = "") -> Incident:
    entry = Entry(at=max([now, *_moments(incident.history)]), who=who, what=what, note=note)
    return replace(incident, history=(*incident.history, entry))
