"""Incidents: reported, contained, resolved, told to others."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pilotbase.api.shapes.closed import CLOSED

__all__ = ["Containment", "ExportOut", "IncidentLine", "IncidentOut", "Known", "ReportWanted", "Resolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentLine:
    """An incident in a list. `severity` goes from 1 (worst) to 4, `title` by language (`en`, `zh`)."""

    id: str
    route: str
    kind: str
    severity: int
    state: str
    version: int
    title: dict[str, str]
    detected: str
    contained: str | None
    resolved: str | None
    closed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOut:
    """One incident. `document` is that of `pilotbase incident show --json`: all that is on record."""

    about: IncidentLine
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an incident; what is null stays as it is. Techniques as in `AML.TA0011/AML.T0029=flooded`."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    severity: int | None = None
    title: str | None = None
    title_zh: str | None = None
    summary: str | None = None
    summary_zh: str | None = None
    requests: int | None = None
    people: int | None = None
    group: str | None = None
    harms: list[str] | None = None
    techniques: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWanted:
    """A new incident on a route. `first_bad` is a request of the ledger; `since` a time or so long ago, as in `2h`.

    Of a near miss no name is recorded.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    route: str
    kind: Literal["incident", "near-miss", "hazard"] = "incident"
    first_bad: str | None = None
    since: str | None = None
    release: str | None = None
    alert: str | None = None
    audit: str | None = None
    known: Known | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Containment:
    """What was done, so that no further harm comes of it."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    action: Literal["rollback", "throttle", "disable", "human-takeover", "other"]
    note: str = ""
    known: Known | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What was wrong is mended."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    cause: str = ""
    note: str = ""
    known: Known | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOut:
    """An incident for others, without names. `notes` say what its receiver will miss."""

    form: Literal["json", "csv", "atlas", "aiid"]
    text: str
    notes: list[str]
