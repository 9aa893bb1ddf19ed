"""Releases and the words that move them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pilotbase.api.shapes.closed import CLOSED

__all__ = ["Limits", "Promotion", "Reason", "ReleaseLine", "ReleaseMoved", "ReleaseOut", "Resumption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLine:
    """A release in a list. `rung` counts from 0 in `rungs`; `over`: nothing moves it any more."""

    id: str
    route: str
    state: str
    over: bool
    rung: int
    rungs: list[str]
    version: int
    started: str
    changed: str
    bearer: str
    candidate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOut:
    """One release. `status` is the document of `pilotbase release status --json`: checks, limits, events, alerts."""

    about: ReleaseLine
    status: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why; it is kept on record."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits from now on; null leaves one as it was. `spend` as in `500 CNY`, `time` as in `14d`."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    people: int | None = None
    requests: int | None = None
    spend: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """Why it goes on, and with which limits."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    why: str
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Why it climbs. `anyway`: end it on `full` though evidence lacks or a check FAILS."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    why: str
    anyway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseMoved:
    """The release after a move; `changed` is false where it was there before. `incident` was opened by going back."""

    about: ReleaseLine
    changed: bool
    incident: str | None
