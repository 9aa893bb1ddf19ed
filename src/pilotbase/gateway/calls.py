"""One request as it is to be made of a route's upstreams."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pilotbase.domain.traffic import Upstream
from pilotbase.gateway.answers import Header
from pilotbase.gateway.attempts import Attempt
from pilotbase.gateway.endpoints import Endpoint

__all__ = ["Call", "Flag"]


class Flag(Protocol):
    """Something that was or was not set, such as an `asyncio.Event`."""

    def is_set(self) -> bool: ...


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to be made of a route.

    `body` gives the bytes for the upstream that is asked (its own name for the model, its defaults); it is called for each
    attempt. `headers` are the caller's, with lower-case names; only those on the list pass. `path` is the endpoint's where it is
    None. Once `disconnected` is set nothing more is begun. `attempts` fills while the call is under way, and is what there is to
    know when it was cancelled.
    """

    endpoint: Endpoint
    body: Callable[[Upstream], bytes]
    headers: Iterable[Header] = ()
    path: str | None = None
    query: bytes = b""
    method: str = "POST"
    sticky: bytes | None = None
    pinned: str | None = None
    disconnected: Flag | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.disconnected is not None and self.disconnected.is_set()
