"""What every request of a worker works with."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pilotbase.errors import UserError
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.bodies import Bodies
from pilotbase.gateway.breaker import Breaker
from pilotbase.gateway.counts import Counts
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.ledger import Ledger
from pilotbase.gateway.local import Local
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.upstream import Pool
from pilotbase.gateway.view import View
from pilotbase.gateway.wire import LostError, RefusedError

__all__ = ["Plane", "blinded"]

EARLY = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True, kw_only=True)
class Plane:
    """The parts of a worker's data plane.

    `name` begins the id of every request; `ask` is a call to the keeper; `told` gets each request's entry when it is over.
    `body_limit` in bytes, `slow_limit` in seconds that a client may take to read one part, `drains` how many upstreams may run
    on at once for clients that left. `breakers` are this worker's own, of candidate arms, by release; until `watched_until`
    (monotonic) the keeper vouches that releases are watched; `unserved` counts requests in a row that a candidate did not serve;
    `samples` are to be handed over.
    `blind` says why the shared page cannot be believed; nothing is served meanwhile.
    """

    name: str
    view: View
    page: EpochPage
    pepper: bytes
    purse: Purse
    ledger: Ledger
    pool: Pool
    counts: Counts
    ask: Callable[[str, Any], Awaitable[Any]]
    tell: Callable[[str, Any], None]
    told: Callable[[Entry], None]
    locals_: Mapping[str, Local] = field(default_factory=dict)
    bodies: Bodies | None = None
    body_limit: int = 32 * 1024 * 1024
    body_seconds: float = 120.0
    slow_limit: float = 60.0
    drains: int = 256
    draining: bool = False
    blind: str = ""
    drained: int = 0
    serial: int = 0
    second: int = -1
    moment: datetime = EARLY
    under_way: dict[str, Exchange] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    watched_until: float = 0.0
    unserved: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def new_id(self) -> str:
        """The name of a new request: unique among all gateways, since workers' names are."""
        self.serial += 1
        return f"{self.name}-{self.serial:x}"

    def hand_over(self) -> None:
        """Give the samples gathered so far to the keeper, together: one by one they would each cost it a transaction."""
        if self.samples:
            gathered, self.samples = self.samples, []
            self.tell("samples", gathered)

    def watched(self) -> bool:
        """Whether somebody watches the releases: candidates serve nobody otherwise."""
        return time.monotonic() < self.watched_until

    def now(self) -> datetime:
        """Wall time, to the second."""
        second = int(time.time())
        if second != self.second:
            self.second, self.moment = second, datetime.fromtimestamp(second, UTC)
        return self.moment

    async def look(self) -> None:
        """See to it that the view is as new as the shared page. Refused (503) where nobody can say what may be served."""
        if self.blind:
            raise blinded()
        page = self.page.value
        if page != self.view.seen:
            try:
                await self.view.refresh(page)
            except (LostError, RefusedError):
                message = "the gateway cannot look up what has changed; try again later"
                raise Refused(
                    status=503, code="keeper_unavailable", type="server_error", message=message, retry=True, after=2
                ) from None

    def check(self) -> None:
        """See whether the shared page still tells of changes; what it had told is asked for again when it does once more."""
        before = self.blind
        try:
            self.page.check()
            self.blind = ""
        except UserError as error:
            self.blind = error.message
        if before and not self.blind:
            self.view.seen = -1

    def unready(self) -> str:
        """Why requests should not be sent here; empty where they may."""
        if self.draining:
            return "shutting down"
        if self.ledger.broken:
            return "the ledger cannot be written"
        self.check()
        if self.blind:
            return "the epoch page cannot be read"
        if self.view.seen < 0:
            return "starting"
        return ""


def blinded() -> Refused:
    """What everybody is told while stops and revocations could not reach this worker."""
    message = "the gateway cannot see whether its operator stopped it, and serves nothing until it can"
    return Refused(status=503, code="control_unavailable", type="server_error", message=message, retry=True, after=5)
