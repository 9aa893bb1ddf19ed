"""What a request used and what it costs: exact integers, in billionths of a unit of currency (nanos)."""

from dataclasses import dataclass
from typing import Literal

from pilotbase.domain.price import Price
from pilotbase.domain.quantity import Money

__all__ = ["Charge", "Fare", "Source", "State", "Tokens", "divide", "fare"]

MILLION = 1_000_000

State = Literal["open", "settled", "released", "in-doubt"]
Source = Literal["upstream", "estimate", "policy", "none"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens read and written. `cached` are those of `read` that the upstream had kept; they are never more than `read`."""

    read: int = 0
    wrote: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Fare:
    """A price in nanos: of a call, of a million tokens read, of a million tokens written."""

    call: int = 0
    read: int = 0
    wrote: int = 0
    currency: str = ""

    def cost(self, tokens: Tokens) -> int:
        """The price of a call that used `tokens`, rounded up to a whole nano."""
        return self.call - (-(tokens.read * self.read + tokens.wrote * self.wrote) // MILLION)


@dataclass(frozen=True, slots=True)
class Charge:
    """How a cost divides against its reservation: cost = settled + overrun, reserved = settled + released."""

    settled: int
    released: int
    overrun: int


def divide(reserved: int, cost: int) -> Charge:
    """What of a reservation a cost uses, what it gives back, and what it needed beyond. All >= 0."""
    settled = min(reserved, cost)
    return Charge(settled=settled, released=reserved - settled, overrun=cost - settled)


def fare(price: Price | None) -> Fare:
    """The fare of a declared price; nothing for none."""
    if price is None:
        return Fare()
    call, read, wrote = price.amounts()
    return Fare(call=_nanos(call), read=_nanos(read), wrote=_nanos(wrote), currency=price.currency or "")


def _nanos(money: Money | None) -> int:
    return money.nanos if money else 0
