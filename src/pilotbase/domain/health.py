"""What an examination of a base finds, one line a check."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State", "worst"]

State = Literal["good", "look", "bad"]
_ORDER: tuple[State, ...] = ("good", "look", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`look`: somebody should know; `bad`: something is broken, or will be. `todo` says what to do.

    Where all is good it is empty.
    """

    check: str
    state: State
    told: str
    todo: str = ""

    def __post_init__(self) -> None:
        if self.state not in _ORDER or (self.state == "good") != (not self.todo):
            raise ValueError(f"{self.check}: {self.state} with {self.todo!r}")


def worst(findings: Iterable[Finding]) -> State:
    """The gravest state of all; good where there is none.

    >>> worst([Finding(check="a", state="good", told="x"), Finding(check="b", state="look", told="y", todo="z")])
    'look'
    """
    return max((one.state for one in findings), key=_ORDER.index, default="good")
