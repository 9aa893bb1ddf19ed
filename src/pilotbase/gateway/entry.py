"""What is known of a request when it is over: the one record that counts, the access log and telemetry are made from.

It never holds a body, a key or an upstream's address: the key's public id and the upstream's name stand for them.
"""

from dataclasses import dataclass
from hashlib import blake2b

from pilotbase.domain.metering import Source

__all__ = ["NO_ROUTE", "Entry", "drawn"]

NO_ROUTE = "-"
"""Stands for the route of a request that named none that is known; no route can be called so."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, written once when it ends and never changed afterwards.

    `at` is when it came, in seconds since the epoch; `cost` in nanos of `currency`; `seconds` runs from its first byte to the
    last byte of its answer, `ttft` to the first byte of content. `waited` are the seconds for a place in a queue, for leases and
    for the client to read; `upstream_seconds` those for upstreams, all attempts together, None where none was asked. `attempts`
    counts them. `guards` are `guard/rule` names of findings. `error` is the code of the error that the caller got. `dossier` is
    the digest that the route rests on; `traceparent` and `tracestate` are the caller's own words.
    """

    id: str
    at: float
    key: str = ""
    route: str = NO_ROUTE
    endpoint: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = ""
    read: int = 0
    wrote: int = 0
    cached: int = 0
    source: Source = "none"
    cost: int = 0
    currency: str = ""
    seconds: float = 0.0
    ttft: float | None = None
    waited: float = 0.0
    upstream: str = ""
    upstream_seconds: float | None = None
    attempts: int = 0
    guards: tuple[str, ...] = ()
    error: str = ""
    provider: str = ""
    model: str = ""
    response_model: str = ""
    response_id: str = ""
    finish: tuple[str, ...] = ()
    dossier: str = ""
    traceparent: str = ""
    tracestate: str = ""


def drawn(id: str, share: float) -> bool:  # noqa: A002
    """Whether the request `id` is in a sample of this share (0 to 1): the same answer in every process and at any time."""
    if share <= 0.0:
        return False
    return int.from_bytes(blake2b(id.encode(errors="replace"), digest_size=8).digest()) < share * 2**64
