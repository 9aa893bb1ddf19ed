"""A metered request from its first byte to its last: admitted, reserved, sent on, relayed, settled."""

import time
from collections.abc import Awaitable, Callable

import orjson

from pilotbase.gateway.admit import authenticate, choose_route, hold, standing_headers
from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.armed import note_health, pick_arm
from pilotbase.gateway.billing import estimate
from pilotbase.gateway.body import read_body
from pilotbase.gateway.estimate import prompt_tokens
from pilotbase.gateway.exchange import EndedError, Exchange
from pilotbase.gateway.findings import note_outcome
from pilotbase.gateway.inference import BINARY_HEADER, error_document
from pilotbase.gateway.ledger import LedgerTrouble
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.relay import relay
from pilotbase.gateway.replaying import claim, give_up
from pilotbase.gateway.sending import leave, send_on
from pilotbase.gateway.settle import abandon, conclude, release
from pilotbase.gateway.shadow import Shadows
from pilotbase.gateway.shape import Shape, read_shape
from pilotbase.gateway.wal import Reserve
from pilotbase.gateway.wire import LostError, RefusedError

__all__ = ["carry", "serve"]


async def serve(plane: Plane, x: Exchange, shadows: Shadows) -> None:
    """Answer a request. Whatever happens, what was reserved is settled or released once."""
    await _through(plane, x, _serve)
    shadows.offer(plane, x)


async def carry(plane: Plane, x: Exchange) -> None:
    """Ask what is ready to be asked, for nobody to hear: from its reservation to its settlement."""
    await _through(plane, x, _carry)


async def _through(plane: Plane, x: Exchange, way: Callable[[Plane, Exchange], Awaitable[None]]) -> None:
    plane.under_way[x.id] = x
    try:
        await way(plane, x)
    except Refused as refused:
        await _refused(plane, x, refused)
    except EndedError:
        await _ended(plane, x)
    except LedgerTrouble as trouble:
        await _refused(plane, x, _unwritten(trouble))
    except (LostError, RefusedError):
        await _refused(plane, x, _unkept())
    finally:
        del plane.under_way[x.id]
        if x.link is not None:
            x.link.on_gone = None
        if x.drain is not None:
            x.drain.cancel()
            plane.drained -= 1
        abandon(plane, x, "cut" if x.tries else "never sent on")
        if x.replay is not None:
            give_up(plane, x)
        conclude(plane, x)
        note_health(plane, x)


async def _serve(plane: Plane, x: Exchange) -> None:
    x.key = await authenticate(plane, x)
    if x.key.admin:
        message = "this is a key for administration; create another one for requests: pilotbase key create"
        raise Refused(status=403, code="admin_key", type="permission_error", message=message, retry=False)
    x.body = await read_body(x, plane.body_limit, plane.body_seconds)
    x.shape = shape = _shape(x)
    x.served = choose_route(plane.view, x.key, shape.model)
    x.let_in = True
    plane.counts.began(x.served.route.name)
    if x.endpoint.kind == "responses" and shape.document.get("background"):
        message = "responses in the background are not served: what they use could not be accounted for"
        raise bad_request(message, param="background", code="unsupported_parameter")
    await _look_at_input(x)
    if await claim(plane, x):
        return
    await pick_arm(plane, x)
    await _carry(plane, x)


async def _carry(plane: Plane, x: Exchange) -> None:
    await _reserve(plane, x)
    x.extra += standing_headers(plane.purse, x.key)
    if x.link is not None:
        x.link.on_gone = lambda: leave(plane, x)
    if x.gone:
        raise EndedError
    asked = time.perf_counter()
    answer = await send_on(plane, x)
    try:
        await relay(plane, x, answer)
    finally:
        answer.abort()
        x.upstream_seconds = time.perf_counter() - asked


def _shape(x: Exchange) -> Shape:
    if x.place is None:
        return read_shape(x.endpoint, x.header(b"content-type") or b"", x.body)
    if x.header(BINARY_HEADER) is not None:
        raise bad_request("the binary data extension is not served: send the tensors' data in the JSON document")
    try:
        document = orjson.loads(x.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_request("the body must be a JSON object")
    inputs = document.get("inputs")
    given = [one.get("data") for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
    return Shape(
        kind="infer",
        model=x.place.model,
        stream=False,
        usage_asked=False,
        answers=1,
        max_output=0,
        prompt=prompt_tokens("embeddings", {"input": given}),
        previous=None,
        user=None,
        document=document,
    )


async def _look_at_input(x: Exchange) -> None:
    """Let the guards see what is asked; what they mask is sent on masked."""
    guarding = x.served.guarding
    if not guarding.input:
        return
    outcome = await guarding.check_input(x.endpoint.kind, x.shape.document)
    note_outcome(x, outcome)
    if outcome.blocked is not None:
        raise guarding.refusal(outcome.blocked, "input")
    if outcome.changed is not None:
        x.body = outcome.changed
        x.shape = read_shape(x.endpoint, b"application/json", x.body)


async def _reserve(plane: Plane, x: Exchange) -> None:
    shape, served, route = x.shape, x.served, x.served.route
    wrote = shape.max_output if shape.max_output is not None else shape.answers * route.max_output
    asked = estimate(served.fare, shape.prompt, wrote)
    x.hold = await hold(plane.purse, x.key, served, asked)
    try:
        await plane.ledger.reserve(
            Reserve(
                id=x.id,
                key=x.key.id,
                route=route.name,
                upstream="",
                endpoint=x.endpoint.kind,
                started=x.started,
                reserved=asked.nanos,
                tokens=asked.tokens,
                read=asked.read,
                currency=served.fare.currency,
                fare=served.fare,
                in_doubt=route.in_doubt,
                arm=x.arm,
                release=x.release,
                person=x.caller.person if x.caller is not None else "",
                copy_of=x.copy_of,
            )
        )
    except LedgerTrouble:
        # Nothing of it is in the ledger, so nothing of it may be settled there.
        plane.purse.release(x.hold)
        x.hold = None
        raise


async def _refused(plane: Plane, x: Exchange, refused: Refused) -> None:
    """Tell the client; give back what was reserved, where nothing of an answer came."""
    x.outcome = x.outcome or "refused"
    if not x.settled:
        x.status = refused.status
        release(plane, x, refused.code)
    if x.sent:
        x.abort()
    elif not x.gone:
        if x.place is None:
            await x.refuse(refused)
        else:
            x.error = refused.code
            await x.answer(refused.status, list(refused.all_headers()), error_document(refused))


async def _ended(plane: Plane, x: Exchange) -> None:
    """Nobody wants the answer any more: the upstream may have read the prompt."""
    abandon(plane, x, "stopped" if x.stop is not None else "gone")
    if x.stop is None or x.gone:
        return
    if x.sent:
        x.abort()
    else:
        await x.refuse(x.stop)


def _unwritten(trouble: LedgerTrouble) -> Refused:
    message = "the gateway cannot record requests now, and serves none that it cannot record; try again later"
    return Refused(status=503, code="ledger_unavailable", type="server_error", message=message, retry=True, after=2)


def _unkept() -> Refused:
    message = "the gateway cannot look up keys and limits now; try again later"
    return Refused(status=503, code="keeper_unavailable", type="server_error", message=message, retry=True, after=2)
