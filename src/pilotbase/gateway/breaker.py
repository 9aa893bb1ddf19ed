"""A circuit breaker: an upstream that fails is left alone for a while, then tried with one request.

    closed     requests pass; so many failures in a row, or so large a share of failures in the window, open it
    open       none passes until its pause is over; each further failure doubles the pause
    half-open  one request passes: an answer closes it, a failure opens it again

Pure: every call is told the time, in seconds of one monotonic clock.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Breaker", "Rules", "Ticket"]

Ticket = int
"""What `take` gave; 0 for nothing. Outcomes of an earlier state are told apart by it and change nothing."""

BUCKETS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When to open: after `row` failures in a row, or where at least `share` of at least `least` outcomes within the last
    `window` seconds were failures. For how long: `pause` seconds, doubled for each failed try up to `longest`.
    """

    row: int = 5
    share: float = 0.5
    least: int = 20
    window: float = 30.0
    pause: float = 5.0
    longest: float = 60.0


class Breaker:
    """The health of one upstream. Every ticket taken is handed back by exactly one of `succeeded`, `failed` and `dropped`."""

    __slots__ = (
        "_bad",
        "_bucket",
        "_era",
        "_good",
        "_opens",
        "_probing",
        "_rest",
        "_row",
        "_rules",
        "_state",
        "_until",
        "opened",
    )

    def __init__(self, rules: Rules = Rules()) -> None:
        self.opened = 0
        """How often it opened, for the counts."""
        self._rules = rules
        self._state: Literal["closed", "open", "half-open"] = "closed"
        self._era = 1
        self._row = 0
        self._good = [0] * BUCKETS
        self._bad = [0] * BUCKETS
        self._bucket = 0
        self._opens = 0
        self._until = 0.0
        self._rest = 0.0
        self._probing = False

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        """The state at this moment; an open one whose pause is over counts as half-open."""
        return "half-open" if self._state == "open" and now >= self._until else self._state

    def up(self, now: float) -> bool:
        """Whether `take` would give a ticket."""
        if now < self._rest:
            return False
        return self._state == "closed" or (now >= self._until and not self._probing)

    def back(self, now: float) -> float:
        """Seconds until it may be up; 0.0 where it is, or where only the one try under way is in the way."""
        until = self._rest if self._state == "closed" else max(self._rest, self._until)
        return max(0.0, until - now)

    def take(self, now: float) -> Ticket:
        """A ticket for one request, or 0 where none may pass."""
        if self._state != "closed":
            if not self.up(now):
                return 0
            if self._state == "open":
                self._state = "half-open"
                self._era += 1
            self._probing = True
        elif now < self._rest:
            return 0
        return self._era

    def answered(self, ticket: Ticket, now: float) -> Ticket:
        """An answer has begun in good order: enough to close a half-open breaker. The ticket to hand back from now on."""
        if ticket == self._era and self._state == "half-open":
            self._move("closed", now)
            self._opens = 0
            return self._era
        return ticket

    def succeeded(self, ticket: Ticket, now: float) -> None:
        """A request was answered whole."""
        ticket = self.answered(ticket, now)
        if ticket == self._era and self._state == "closed":
            self._row = 0
            self._good[self._turn(now)] += 1

    def failed(self, ticket: Ticket, now: float) -> None:
        """A request failed for a reason that lies with the upstream's health."""
        if ticket != self._era:
            return
        if self._state == "half-open":
            self._open(now)
        elif self._state == "closed":
            self._row += 1
            self._bad[self._turn(now)] += 1
            bad = sum(self._bad)
            all_ = bad + sum(self._good)
            if self._row >= self._rules.row or (all_ >= self._rules.least and bad >= self._rules.share * all_):
                self._open(now)

    def dropped(self, ticket: Ticket) -> None:
        """A request ended in a way that says nothing about the upstream."""
        if ticket == self._era and self._state == "half-open":
            self._probing = False

    def rest(self, seconds: float, now: float) -> None:
        """The upstream asked to be left alone (`Retry-After`). That is no failure of its health."""
        self._rest = max(self._rest, now + seconds)

    def _open(self, now: float) -> None:
        self._until = now + min(self._rules.longest, self._rules.pause * 2.0 ** min(self._opens, 32))
        self._opens += 1
        self.opened += 1
        self._move("open", now)

    def _move(self, state: Literal["closed", "open"], now: float) -> None:
        self._state = state
        self._era += 1
        self._probing = False
        self._row = 0
        self._good = [0] * BUCKETS
        self._bad = [0] * BUCKETS
        self._bucket = int(now * BUCKETS / self._rules.window)

    def _turn(self, now: float) -> int:
        """The bucket of this moment; those that fell out of the window are emptied."""
        bucket = int(now * BUCKETS / self._rules.window)
        if bucket > self._bucket:
            for passed in range(max(self._bucket + 1, bucket - BUCKETS + 1), bucket + 1):
                self._good[passed % BUCKETS] = 0
                self._bad[passed % BUCKETS] = 0
            self._bucket = bucket
        return self._bucket % BUCKETS
