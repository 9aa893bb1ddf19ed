"""Pilots that members keep on the base, and the jobs on them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pilotbase.api.shapes.closed import CLOSED
from pilotbase.domain.job import JobKind, JobState
from pilotbase.flows.uploaded import Mistake

__all__ = ["FilesWanted", "JobLine", "JobOut", "NewFilesWanted", "PilotLine", "PilotOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesWanted:
    """Files of a new pilot as texts by name; `pilot.yaml` is one of them."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFilesWanted:
    """Files in place of, or beside, those of the newest version; with `whole` these alone."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    files: dict[str, str]
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotLine:
    """A pilot in a list: what its spec called itself when it came, and its newest version."""

    id: str
    name: str
    organisation: str
    who: str
    version: int
    created: str
    changed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotOut:
    """One version, `shown`, of a pilot. `spec` is the text of its pilot.yaml, `mistakes` all that is wrong with it, `files` are
    sizes in bytes by name, and `forecast` is what a run would ask and cost, null until that is known.
    """

    about: PilotLine
    shown: int
    digest: str
    spec: str
    mistakes: tuple[Mistake, ...]
    files: dict[str, int]
    forecast: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job in a list. `pilot` and `digest` name the files that it works on, `run` the run as soon as there is one; `told` is why
    it failed or was refused.
    """

    id: str
    kind: JobKind
    state: JobState
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
class JobOut:
    """One job with what its process told: `steps`, a candidate each, and `notes`. `verdict` is of a finished run."""

    about: JobLine
    resumable: bool
    verdict: str | None
    steps: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
