"""The worker's side of `Idempotency-Key`: a request that was answered before gets that answer."""

import base64
import hashlib
from typing import Any

from pilotbase.gateway.answers import Header, Refused, bad_request
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.wire import LostError, RefusedError

__all__ = ["claim", "give_up", "keep"]

LARGEST = 1024 * 1024
KEPT = (b"content-type",)


async def claim(plane: Plane, x: Exchange) -> bool:
    """Whether the request was answered from what is kept. Refused where it is under way, or its key was another request's."""
    given = x.header(b"idempotency-key")
    if given is None or x.shape.stream:
        return False
    name = given.decode("latin-1")
    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise bad_request("`Idempotency-Key` takes 1 to 255 printable characters", param="Idempotency-Key")
    # The body of an inference request does not name the model.
    digest = hashlib.sha256(b"%b\0%b\0%b" % (x.endpoint.path.encode(), x.shape.model.encode(), x.body)).hexdigest()
    found: Any = await plane.ask("replay", [x.key.id, name, digest])
    if found["state"] == "other":
        message = "this Idempotency-Key was used for another request"
        raise Refused(status=422, code="idempotency_key_reused", message=message, param="Idempotency-Key", retry=False)
    if found["state"] == "running":
        message = "a request with this Idempotency-Key is under way"
        raise Refused(status=409, code="idempotency_in_progress", message=message, retry=True, after=1.0)
    if found["state"] == "new":
        x.replay = name
        return False
    headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in found["headers"]]
    x.outcome = "replayed"
    await x.answer(found["status"], [*headers, (b"x-idempotent-replay", b"true")], base64.b64decode(found["body"]))
    return True


async def keep(plane: Plane, x: Exchange, status: int, headers: list[Header], body: bytes) -> None:
    """Keep an answer for the next time, where it was asked for and is not too large."""
    if x.replay is None or len(body) > LARGEST:
        return
    told = [[k.decode("latin-1"), v.decode("latin-1")] for k, v in headers if k in KEPT]
    try:
        await plane.ask("replayed", [x.key.id, x.replay, status, told, base64.b64encode(body).decode()])
    except (LostError, RefusedError):
        # The answer is settled: that it cannot be replayed is no reason to withhold it.
        return
    x.replay = None


def give_up(plane: Plane, x: Exchange) -> None:
    """Let the key be used again: no answer came of it."""
    plane.tell("forget", [x.key.id, x.replay])
    x.replay = None
