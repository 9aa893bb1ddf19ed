"""The ways in which a pilot asks about a case: as it is, changed, again, or under load."""

from dataclasses import dataclass
from typing import Literal

from pilotbase.domain.gate import JudgeSpec, Load, Transform

__all__ = ["Variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of asking. Equal variants of several checks are asked once; `repeat` and `load` are never shared nor reused."""

    kind: Literal["plain", "transform", "repeat", "load", "judge"]
    transform: Transform | None = None
    load: Load | None = None
    judge: JudgeSpec | None = None
    repetitions: int = 1

    def __str__(self) -> str:
        if self.kind == "transform":
            return str(self.transform)
        if self.kind == "load":
            return f"load {self.load}"
        return f"repeated {self.repetitions} times" if self.kind == "repeat" else self.kind
