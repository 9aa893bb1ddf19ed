"""A request on its way to whoever answers it: an upstream over HTTP, or a target in this process."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.traffic import Upstream
from pilotbase.gateway.answers import Header, Refused
from pilotbase.gateway.arms import holder_of
from pilotbase.gateway.calls import Call
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.local import Asked, Local
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.shape import rewrite

__all__ = ["Answer", "cleaner", "leave", "maker", "send_on"]


class Answer(Protocol):
    """An answer being read, wherever it comes from."""

    status: int
    headers: list[Header]
    upstream: str

    async def read(self, limit: int) -> bytes: ...

    async def chunk(self) -> bytes | None: ...

    def abort(self) -> None: ...


async def send_on(plane: Plane, x: Exchange) -> Answer:
    """The answer, its head read. Refused where nobody gave one, EndedError where nobody wants it any more."""
    began = time.perf_counter()
    try:
        local = plane.locals_.get(x.served.key)
        if local is not None:
            return await x.wait(_ask_target(x, local))
        return await x.wait(_ask_upstream(plane, x))
    finally:
        x.upstream_seconds = time.perf_counter() - began


async def _ask_target(x: Exchange, local: Local) -> Answer:
    shape = x.shape
    x.upstream = local.name
    x.tries = (local.name,)
    asked = Asked(
        kind=x.endpoint.kind,
        document=shape.document,
        id=x.id,
        model=shape.model,
        created=x.started // 1_000_000,
        stream=shape.stream,
        usage=shape.usage_asked or x.endpoint.kind != "chat",
    )
    return await local.open(asked)


async def _ask_upstream(plane: Plane, x: Exchange) -> Answer:
    shape, route = x.shape, x.served.route
    path: str | None = None
    wanted = "v2" if x.endpoint.kind == "infer" else "openai"
    if any(upstream.kind != wanted for upstream in route.upstreams):
        message = f"the model `{route.name}` is not served under this path"
        raise Refused(status=404, code="unsupported_endpoint", message=message, param="model", retry=False)

    def body(upstream: Upstream) -> bytes:
        ask = shape.stream and x.endpoint.kind in ("chat", "completions")
        return rewrite(x.body, shape, model=upstream.model, ask_usage=ask, preamble=upstream.preamble, defaults=upstream.defaults)

    if x.endpoint.kind == "infer":
        path = f"/models/{route.upstreams[0].model or route.name}/infer"
    call = Call(
        endpoint=x.endpoint,
        body=(lambda _: x.body) if x.endpoint.kind == "infer" else body,
        headers=x.scope["headers"],
        path=path,
        sticky=shape.previous.encode() if shape.previous else None,
        pinned=x.pinned if x.release else await _pinned(plane, x),
        disconnected=x,
    )
    x.tries = call.attempts
    return await plane.pool.open(route, call, x.served.key)


async def _pinned(plane: Plane, x: Exchange) -> str | None:
    """The upstream that must be asked, on a route without a release."""
    held = await maker(plane, x)
    return held[1] if held is not None else None


async def maker(plane: Plane, x: Exchange) -> tuple[str, str] | None:
    """(release, upstream) that holds what this request goes on from: the release is empty for a route's own upstreams.

    None where it goes on from nothing. Refused (404) where that is another customer's, or unknown.
    """
    if x.shape.previous is None or not (previous := x.shape.document.get("previous_response_id")):
        return None
    found: Any = await plane.ask("owner", previous)
    if found is None or found["access_key"] != x.key.id or found["route"] != x.served.route.name:
        message = f"the response `{previous[:100]}` is not known for this key and model"
        raise Refused(status=404, code="previous_response_not_found", message=message, param="previous_response_id", retry=False)
    return holder_of(str(found["upstream"]))


def cleaner(plane: Plane, x: Exchange) -> Callable[[str], str]:
    """What takes the address and the key of the upstream that answers out of its words."""
    key = x.served.key
    for name, line in plane.pool.lines():
        if name == key and line.name == x.upstream:
            return line.clean
    return str


def leave(plane: Plane, x: Exchange) -> None:
    """The client has gone: let the upstream run on unseen for a while, or stop it, as it is declared."""
    if not x.tries:
        x.end()
        return
    upstreams = x.served.route.upstreams
    asked = x.upstream or x.tries[-1].upstream
    upstream = next((u for u in upstreams if u.name == asked), upstreams[0])
    if upstream.on_disconnect == "abort" or plane.drained >= plane.drains:
        x.end()
        return
    plane.drained += 1
    x.drain_left = upstream.drain_tokens
    x.drain = asyncio.get_running_loop().call_later(parse_duration(upstream.drain_for), x.end)
