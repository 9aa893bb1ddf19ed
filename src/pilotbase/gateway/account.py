"""What a worker holds of one key: money, requests and tokens of its leases, and what each request under way has taken of them.

Nothing here waits, and nothing here asks: one event loop takes and gives back with plain integers.
"""

import asyncio
from collections import deque
from typing import Final

from pilotbase.domain.access import AccessKey
from pilotbase.gateway.quota import VALID, Grant, Limit, Refusal

__all__ = ["FREE", "Account", "Hold", "Need", "Piece"]

PAUSE = 0.25
"""For how long a refusal is repeated without asking again, in seconds, and a lease is short-lived that was used up within it."""
MOST_AHEAD = 4096


class Piece:
    """Requests and tokens of one grant. From `until` on nothing may be taken of it; what is left goes back to its second."""

    __slots__ = ("asked", "low_requests", "low_tokens", "requests", "second", "tokens", "until")

    def __init__(self, grant: Grant, asked: float) -> None:
        self.second = grant.second
        self.asked = asked
        self.until = asked + VALID
        self.requests = grant.requests
        self.tokens = grant.tokens
        # A lease of one request is never low: near the limit nothing is asked in advance.
        self.low_requests = grant.requests // 2
        self.low_tokens = grant.tokens // 2

    def covers(self, now: float, requests: int, tokens: int) -> bool:
        return now < self.until and self.requests >= requests and self.tokens >= tokens


class Hold:
    """What one request has taken. `nanos` and `tokens` are None where its key had no such limit; `account` once it is over."""

    __slots__ = ("account", "nanos", "piece", "requests", "tokens")

    def __init__(
        self, account: "Account | None", piece: Piece | None, requests: int, tokens: int | None, nanos: int | None
    ) -> None:
        self.account = account
        self.piece = piece
        self.requests = requests
        self.tokens = tokens
        self.nanos = nanos


FREE: Final = Hold(None, None, 0, None, None)
"""The hold of every request whose key has no limit."""


class Need:
    """A request that waits for room (`answer` tells it), or one like it that is likely to come (no `answer`)."""

    __slots__ = ("answer", "key", "nanos", "tokens")

    def __init__(self, key: AccessKey, tokens: int, nanos: int, answer: "asyncio.Future[Hold | Refusal] | None" = None) -> None:
        self.key = key
        self.tokens = tokens
        self.nanos = nanos
        self.answer = answer

    def at_least(self, other: "Need", limit: Limit) -> bool:
        """Whether what `limit` refused to the other is refused to this too."""
        return self.tokens >= other.tokens if limit == "tpm" else self.nanos >= other.nanos if limit == "budget" else True


class Account:
    """One key in one worker. `nanos` below 0 is debt: what requests cost beyond their own holds and everything else there was.

    `piece` is what requests are taken from, `spare` one that was asked in advance. `held` counts the requests under way. Until
    `pause` a refusal is repeated; until `rest` nothing is asked in advance.
    """

    __slots__ = (
        "ahead", "asked", "asking", "held", "id", "low", "nanos", "pause", "piece", "recalled", "refusal", "refused",
        "remaining_requests", "remaining_tokens", "reset", "rest", "spare", "used", "waiting",
    )  # fmt: skip

    def __init__(self, id: str) -> None:  # noqa: A002
        self.id = id
        self.nanos = 0
        self.low = 0
        self.piece: Piece | None = None
        self.spare: Piece | None = None
        self.held = 0
        self.used = 0.0
        self.waiting: deque[Need] = deque()
        self.asking: asyncio.Task[None] | None = None
        self.asked = 0.0
        self.ahead = 8
        self.recalled = False
        self.refusal: Refusal | None = None
        self.refused: Need | None = None
        self.pause = 0.0
        self.rest = 0.0
        self.remaining_requests: int | None = None
        self.remaining_tokens: int | None = None
        self.reset = 0.0

    def quiet(self) -> bool:
        """Whether nothing is held, owed or awaited, so that the account can be forgotten."""
        return not (self.nanos or self.piece or self.spare or self.held or self.waiting or self.asking)

    def pace(self, now: float) -> int:
        """How many requests to ask for: twice as many as last time after a lease that was short-lived, half as many after a long
        one, so that a worker asks a few times a second.
        """
        since = now - self.asked
        if since < PAUSE:
            self.ahead = min(MOST_AHEAD, self.ahead * 2)
        elif since > VALID:
            self.ahead = max(1, self.ahead // 2)
        self.asked = now
        return self.ahead

    def first(self) -> Need | None:
        """The request that has waited longest and still does."""
        while self.waiting:
            need = self.waiting[0]
            if need.answer is None or not need.answer.done():
                return need
            self.waiting.popleft()
        return None

    def refuse(self, need: Need, refusal: Refusal, now: float) -> None:
        """Tell everybody who waits for as much, and remember it for a moment."""
        self.refusal = refusal
        self.refused = need
        self.pause = self.rest = now + min(PAUSE, PAUSE if refusal.after is None else refusal.after)
        if refusal.limit == "rpm":
            self.remaining_requests = 0
        elif refusal.limit == "tpm":
            self.remaining_tokens = min(self.remaining_tokens or 0, max(0, need.tokens - 1))
        waiting, self.waiting = self.waiting, deque()
        for one in waiting:
            if not one.at_least(need, refusal.limit):
                self.waiting.append(one)
            elif one.answer is not None and not one.answer.done():
                one.answer.set_result(refusal)

    def refused_lately(self, need: Need, now: float) -> Refusal | None:
        """A refusal that was just given and holds for this need too."""
        if (
            self.refusal is None
            or self.refused is None
            or now >= self.pause
            or not need.at_least(self.refused, self.refusal.limit)
        ):
            return None
        return self.refusal
