"""The trial-risk register of a case: how much may be risked, who bears it, what was looked into, what nearly went wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pilotbase.domain.problem import Problem
from pilotbase.domain.quantity import parse_money

__all__ = ["Register"]

_LINE, _PROSE, _MOST = 160, 20_000, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Limits of exposure (`people`, `requests`, `money` as in `50000 CNY`, `until` a day; None or empty: no limit of that kind),
    the `bearer` of the risk by name, the `diligence` that was done, `misses` by the ids of incidents, the `settlement` of loss.
    """

    people: int | None = None
    requests: int | None = None
    money: str = ""
    until: date | None = None
    bearer: str = ""
    diligence: str = ""
    misses: tuple[str, ...] = ()
    settlement: str = ""

    @property
    def limited(self) -> bool:
        """Whether anything limits the exposure."""
        return self.people is not None or self.requests is not None or bool(self.money) or self.until is not None

    def problems(self) -> Iterator[Problem]:
        """What nobody can hold a trial to."""
        for word in ("people", "requests"):
            number = getattr(self, word)
            if number is not None and not 0 <= number < 10**12:
                yield Problem((word,), "a limit is a whole number from 0 on", "write digits, as in 500")
        if self.money:
            try:
                parse_money(self.money)
            except ValueError as error:
                yield Problem(("money",), str(error), "as in `50000 CNY`")
        if len(self.bearer) > _LINE or (self.bearer and not self.bearer.isprintable()):
            yield Problem(("bearer",), f"a bearer is at most {_LINE} printable characters on one line", "name who pays")
        for word in ("diligence", "settlement"):
            if len(getattr(self, word)) > _PROSE:
                yield Problem((word,), f"this is at most {_PROSE:,} characters", "shorten it, or attach a file")
        if len(self.misses) > _MOST:
            yield Problem(("misses",), f"at most {_MOST} near misses can be linked", "link the gravest ones")
