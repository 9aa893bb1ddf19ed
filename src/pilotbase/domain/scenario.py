"""A scenario: a real need, its owner, and how much is at stake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pilotbase.domain.problem import CONFIG, Problem

__all__ = ["Area", "Authority", "Confidence", "Risk", "Scenario", "Titles", "default_confidence"]

Area = Literal["science", "industry", "consumption", "livelihood", "governance", "cooperation"]
Risk = Literal["low", "medium", "high"]
Authority = Literal["user-only", "user-authorised", "autonomous"]
Confidence = float

_CONFIDENCE: dict[Risk, Confidence] = {"low": 0.90, "medium": 0.95, "high": 0.99}


def default_confidence(risk: Risk) -> Confidence:
    """VERDICT.md section 1: low 0.90, medium 0.95, high 0.99."""
    return _CONFIDENCE[risk]


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """One text in English, Chinese, or both."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    en: str | None = None
    zh: str | None = None

    def text(self, language: str) -> str:
        """The text in `language`, else in the other one."""
        first, second = (self.zh, self.en) if language.startswith("zh") else (self.en, self.zh)
        return first or second or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The need that a pilot answers. `need` is in the owner's words."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    area: Area
    need: str | Titles
    owner: str
    risk: Risk
    field: str | None = None
    authority: Authority = "user-only"

    def problems(self) -> Iterator[Problem]:
        """What a parsed scenario may not say yet."""
        if self.authority == "autonomous":
            yield Problem(
                ("authority",),
                "`autonomous` is refused until agents can be fenced: this release has no behaviour fence to try one in",
                "use user-only or user-authorised",
            )
        if not self.owner.strip():
            yield Problem(("owner",), "the owner is empty", "name who has the need")


AREAS: tuple[str, ...] = get_args(Area)
