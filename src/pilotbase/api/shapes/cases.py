"""Pilot cases: listed, opened, and taken a step further."""

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from pilotbase.api.shapes.closed import CLOSED

__all__ = ["CaseLine", "CaseOut", "CaseWanted", "RegisterWanted", "StepWanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """A case in a list. `waits` names the parties that have to do something: `vendor`, `owner`, `base`; `due` is a day."""

    id: str
    state: str
    need: str
    capability: str
    vendor: str
    owner: str
    round: int
    rounds: int
    waits: list[str]
    due: str | None
    created: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOut:
    """One case. `steps` are those that the caller may take now, `document` is all that is on record of where it stands."""

    about: CaseLine
    steps: list[str]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseWanted:
    """A capability of the caller's organisation, and the published need that it applies for; both are ids."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    need: str
    capability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWanted:
    """The trial-risk register: limits of exposure (null: none), the bearer of the risk, the due diligence."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    people: int | None = None
    requests: int | None = None
    money: str = ""
    until: date | None = None
    bearer: str = ""
    diligence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWanted:
    """What a step is told; docs/cases.md says which step needs what. `dossier` is a run, or `file:SEQ` of a file of the case."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    text: str = ""
    contact: str = ""
    criteria: str = ""
    candidate: str = ""
    rounds: int | None = None
    access: str = ""
    day: date | None = None
    run: str = ""
    dossier: str = ""
    incident: str = ""
    register: RegisterWanted | None = None
