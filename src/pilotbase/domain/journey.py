"""What happened to a case, as far as it is counted: plain records, which say nothing of how cases are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

__all__ = ["STAGES", "Journey", "Stage"]

Stage = Literal[
    "submitted", "screened", "matched", "admitted", "provisioned", "verifying", "verdict", "passed", "published", "promoted"
]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One case that was submitted. `reached` holds the first moment of each stage; `ended` is when it was withdrawn or retired.

    `provisioned` is when the vendor got at the data, `verdict` the first one of a reviewer, whatever it was; `passed` counts
    passes under conditions too. `replicated`: its result was repeated on a second site's evidence.
    """

    case: str
    need: str
    capability: str
    vendor: str
    owner: str
    reached: Mapping[Stage, datetime] = field(default_factory=dict)
    ended: datetime | None = None
    replicated: bool = False

    def furthest(self) -> int:
        """The index of the last stage that it came to; -1 before the first. A stage that was leapt over counts as reached."""
        return max((STAGES.index(one) for one in self.reached), default=-1)

    def wait(self, start: Stage, end: Stage, now: datetime) -> tuple[float, bool] | None:
        """(days, whether it ended) from a stage to another one; who waits still, or gave up, did not. None without a start."""
        begun, done = self.reached.get(start), self.reached.get(end)
        if begun is None:
            return None
        until = done or self.ended or now
        return max(0.0, (until - begun) / timedelta(days=1)), done is not None
