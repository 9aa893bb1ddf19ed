"""In which order the upstreams of a route are tried: a pure decision."""

import hashlib
import math
from collections.abc import Callable, Sequence

from pilotbase.domain.traffic import Upstream

__all__ = ["choose"]

_SPAN = 2.0**64


def choose(
    upstreams: Sequence[Upstream],
    up: Callable[[int], bool],
    *,
    draw: float,
    sticky: bytes | None = None,
    salt: bytes = b"",
    pinned: str | None = None,
) -> list[int]:
    """The places in `upstreams` to try, first to last; empty where none may be.

    Lower tiers come first. Within a tier the order is by weight: drawn with `draw` (uniform on [0, 1)), or, with a `sticky`
    key, the same for the same key as long as the same ones are up; an upstream that goes down or is added moves only its own
    share of the keys. `salt` (at most 64 bytes, the same in every worker) keeps callers from choosing their upstream by their
    key. An upstream of weight 0 is tried only where it is `pinned`, and then no other is. `up` says whether one is usable.
    """
    if pinned is not None:
        return [i for i, one in enumerate(upstreams) if one.name == pinned and up(i)]
    usable = [i for i, one in enumerate(upstreams) if one.weight and up(i)]
    if len(usable) < 2:
        return usable
    if sticky is not None:
        scores = {i: _score(upstreams[i], sticky, salt) for i in usable}
        return sorted(usable, key=lambda i: (upstreams[i].tier, -scores[i], i))
    order: list[int] = []
    for tier in sorted({upstreams[i].tier for i in usable}):
        order += _drawn([i for i in usable if upstreams[i].tier == tier], upstreams, draw)
    return order


def _drawn(places: list[int], upstreams: Sequence[Upstream], draw: float) -> list[int]:
    """A weighted order without replacement. What is left of `draw` within the share that it hit is uniform again."""
    order = []
    total = sum(upstreams[i].weight for i in places)
    while len(places) > 1:
        point = draw * total
        for i in places:
            weight = upstreams[i].weight
            if point < weight:
                break
            point -= weight
        else:  # rounding may leave a point just beyond the last share
            point = 0.0
        order.append(i)
        places.remove(i)
        total -= weight
        draw = point / weight
    return order + places


def _score(upstream: Upstream, sticky: bytes, salt: bytes) -> float:
    """Weighted rendezvous hashing: the highest of -weight / ln(u) wins in proportion to the weights.

    Source: Schindelhauer and Schomaker, Weighted distributed hash tables (SPAA 2005), the logarithmic method.
    """
    name = upstream.name.encode()
    digest = hashlib.blake2b(len(name).to_bytes(2, "big") + name + sticky, digest_size=8, key=salt).digest()
    share = (int.from_bytes(digest, "big") + 0.5) / _SPAN
    return upstream.weight / -math.log(min(share, 1.0 - 2**-53))
