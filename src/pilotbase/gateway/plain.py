"""Requests that are not metered: models, stored responses, health, metrics."""

from typing import Any

import orjson

from pilotbase import __version__
from pilotbase.gateway.admit import authenticate, bearer, stopped
from pilotbase.gateway.answers import Header, Refused, bad_request
from pilotbase.gateway.armed import held_back
from pilotbase.gateway.arms import holder_of
from pilotbase.gateway.body import read_body
from pilotbase.gateway.calls import Call
from pilotbase.gateway.endpoints import ENDPOINTS
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.inference import Place, live, model_document, model_ready, server_document
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.relay import label, look_at_output
from pilotbase.gateway.view import Served

__all__ = ["feedback", "health", "inference_place", "metrics", "models", "ready", "stored_response"]

JSON: list[Header] = [(b"content-type", b"application/json")]
LOOPBACK = ("127.0.0.1", "::1")
LARGEST = 64 * 1024 * 1024
SMALL = 64 * 1024
LONGEST_COMMENT = 2000
_STORED = frozenset((("GET", ""), ("DELETE", ""), ("GET", "input_items"), ("POST", "cancel")))


async def models(plane: Plane, x: Exchange, name: str | None) -> None:
    """`/v1/models`, or one of them: what this key may use."""
    key = await authenticate(plane, x)
    found = [
        {"id": served.route.name, "object": "model", "created": 0, "owned_by": served.route.owner}
        for served in plane.view.routes.values()
        if not key.admin and key.may_use(served.route.name)
    ]
    if name is None:
        await _json(x, 200, {"object": "list", "data": found})
        return
    one = next((document for document in found if document["id"] == name), None)
    if one is None:
        message = f"the model `{name[:100]}` does not exist, or this key may not use it"
        raise Refused(status=404, code="model_not_found", message=message, param="model", retry=False)
    await _json(x, 200, one)


async def stored_response(plane: Plane, x: Exchange, rest: str) -> None:
    """`/v1/responses/ID...`: read, cancelled or deleted at the upstream that made it, by the key that asked for it."""
    key = await authenticate(plane, x)
    name, _, action = rest.partition("/")
    if (x.scope["method"], action) not in _STORED:
        raise Refused(status=404, code="not_found", message=f"there is nothing at `{x.scope['path'][:200]}`", retry=False)
    found: Any = await plane.ask("owner", name)
    served = plane.view.routes.get(found["route"]) if found is not None else None
    if found is None or served is None or found["access_key"] != key.id:
        raise Refused(
            status=404, code="response_not_found", message=f"no response `{name[:100]}` is known for this key", retry=False
        )
    if plane.view.stopped(key.id, served.route.name):
        raise stopped()
    call = Call(
        endpoint=ENDPOINTS["/responses"],
        body=lambda _: b"",
        headers=x.scope["headers"],
        path=f"/responses/{rest}",
        query=x.scope.get("query_string", b""),
        method=x.scope["method"],
        pinned=holder_of(found["upstream"])[1],
    )
    served = _arm_of(plane, served, holder_of(found["upstream"])[0])
    answer = await plane.pool.open(served.route, call, served.key)
    try:
        body = await answer.read(LARGEST)
    finally:
        answer.abort()
    headers = list(answer.headers)
    if not action and x.scope["method"] == "GET":
        x.served, x.endpoint = served, call.endpoint
        body = await look_at_output(x, body)
        label(plane, x)
        if x.mark is not None:
            headers += x.mark.headers()
            body = x.mark.document(body)
    await x.answer(answer.status, headers, body)


def _arm_of(plane: Plane, served: Served, release: str) -> Served:
    """The arm of a route that holds what this release made. Refused (409) where that is a candidate that may not be asked now."""
    arm = served.route.arm
    if arm is None or release != arm.release:
        return served
    if served.candidate is None or not plane.watched():
        raise held_back()
    return served.candidate


async def feedback(plane: Plane, x: Exchange) -> None:
    """`POST /v1/feedback`: what a user thought of an answer, by the key that asked for it. The last word counts.

    `{"request": ID, "good": true or false, "comment": "..."}`; the comment is optional.
    """
    key = await authenticate(plane, x)
    document = await _document(plane, x)
    name, good, comment = document.get("request"), document.get("good"), document.get("comment", "")
    if not isinstance(name, str) or not 0 < len(name) <= 128 or not name.isascii() or not name.isprintable():
        raise bad_request("`request` must be the id of an answer: its `x-request-id` header", param="request")
    if not isinstance(good, bool):
        raise bad_request("`good` must be true or false", param="good")
    if not isinstance(comment, str) or len(comment) > LONGEST_COMMENT:
        raise bad_request(f"`comment` must be text of at most {LONGEST_COMMENT} characters", param="comment")
    if not await plane.ask("feedback", [name, key.id, good, comment.replace("\0", "")]):
        message = f"no request `{name[:100]}` of this key is known"
        raise Refused(status=404, code="request_not_found", message=message, param="request", retry=False)
    await _json(x, 200, {"request": name, "good": good})


async def _document(plane: Plane, x: Exchange) -> dict[str, Any]:
    body = await read_body(x, SMALL, plane.body_seconds)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_request("the body must be a JSON object")
    return document


async def health(x: Exchange) -> None:
    """`/healthz`: this worker runs."""
    await _json(x, 200, {"status": "ok", "version": __version__})


async def ready(plane: Plane, x: Exchange) -> None:
    """`/readyz`: whether requests should be sent here, and if not, why."""
    await _json(x, 503 if (why := plane.unready()) else 200, {"ready": not why, "why": why})


async def metrics(plane: Plane, x: Exchange) -> None:
    """`/metrics` for Prometheus: from this machine, or with an administration key."""
    client = x.scope.get("client")
    if client is None or client[0] not in LOOPBACK:
        await plane.look()
        if bearer(x.header(b"authorization")) is None:
            raise Refused(status=401, code="invalid_api_key", type="authentication_error", message="send an administration key")
        key = await authenticate(plane, x)
        if not key.admin:
            raise Refused(status=403, code="not_admin", type="permission_error", message="this takes an administration key")
    accept = (x.header(b"accept") or b"").decode("latin-1")
    text, kind = await plane.ask("metrics", accept)
    await x.answer(200, [(b"content-type", kind.encode())], text.encode())


async def inference_place(plane: Plane, x: Exchange, place: Place) -> None:
    """The parts of the Open Inference Protocol that are not metered."""
    if place.what in ("live", "ready"):
        well = place.what == "live" or not plane.unready()
        await _json(x, 200 if well else 503, live(well))
        return
    if place.what == "server":
        await _json(x, 200, server_document(__version__))
        return
    key = await authenticate(plane, x)
    served = plane.view.routes.get(place.model)
    if served is None or not key.may_use(served.route.name):
        raise Refused(status=404, code="model_not_found", message=f"the model `{place.model[:100]}` is not found", retry=False)
    if place.what == "model-ready":
        on = not plane.view.stopped(key.id, served.route.name)
        await _json(x, 200 if on else 503, model_ready(served.route.name, on))
        return
    local = plane.locals_.get(served.route.name)
    await _json(x, 200, model_document(served.route.name, local.declared.columns if local is not None else ()))


async def _json(x: Exchange, status: int, document: Any) -> None:
    await x.answer(status, JSON, orjson.dumps(document))
