"""An answer on its way back: whole documents and plain bytes. Its last byte goes out when it is settled on the disk."""

from typing import Any

from pilotbase.gateway.answers import Header, Refused
from pilotbase.gateway.armed import keep_sample
from pilotbase.gateway.billing import prompt_only
from pilotbase.gateway.bodies import Pair
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.findings import note_outcome
from pilotbase.gateway.labels import mark
from pilotbase.gateway.lenient import parse
from pilotbase.gateway.meter import Meter
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.replaying import keep
from pilotbase.gateway.sending import Answer
from pilotbase.gateway.settle import charge, detail_of, release, settle, settle_unheard
from pilotbase.gateway.streaming import relay_stream

__all__ = ["label", "look_at_output", "relay"]

LARGEST = 256 * 1024 * 1024


async def relay(plane: Plane, x: Exchange, answer: Answer) -> None:
    """Bring an answer to the client, and settle it."""
    x.upstream = answer.upstream
    x.status = answer.status
    label(plane, x)
    form = _content_type(answer)
    sound = x.endpoint.kind == "speech" or form.startswith((b"audio/", b"image/", b"video/"))
    if form == b"text/event-stream" or (x.shape.stream and not sound and form != b"application/json"):
        await relay_stream(plane, x, answer)
    elif sound and form != b"application/json":
        await _relay_bytes(plane, x, answer)
    else:
        await _relay_document(plane, x, answer)


def label(plane: Plane, x: Exchange) -> None:
    """Settle how the answer is labelled, if its route wants that."""
    labels = x.served.route.labels
    if labels is not None:
        x.mark = mark(labels, x.endpoint.kind, x.id, plane.now(), structured=_structured(x))


async def _relay_document(plane: Plane, x: Exchange, answer: Answer) -> None:
    try:
        data = await x.wait(answer.read(LARGEST))
    except Refused as refused:
        x.status = refused.status
        release(plane, x, refused.code)
        raise
    x.first = x.seconds
    cost = charge(x, answer, Meter(x.endpoint.kind).whole(data))
    try:
        data = await look_at_output(x, data)
    except Refused as refused:
        x.status = refused.status
        await settle(plane, x, cost, "blocked", detail_of(x))
        raise
    headers = list(answer.headers)
    if x.mark is not None:
        headers += x.mark.headers()
        data = x.mark.document(data)
    await settle(plane, x, cost, "answered" if not x.gone else "gone", detail_of(x))
    if plane.bodies is not None and plane.bodies.wants(x.id):
        plane.bodies.add(Pair(id=x.id, at=x.started / 1e6, route=x.served.route.name, request=x.body, answer=data))
    if x.replay is not None:
        await keep(plane, x, answer.status, headers, data)
    if not x.gone:
        await x.answer(answer.status, headers, data)
    keep_sample(plane, x, data)


async def look_at_output(x: Exchange, data: bytes) -> bytes:
    """A whole answer as the guards let it pass. Refused where one blocks it, or it cannot be read."""
    guarding = x.served.guarding
    if not guarding.output:
        return data
    outcome = await guarding.check_output(x.endpoint.kind, _readable(x, data))
    note_outcome(x, outcome)
    if outcome.blocked is not None:
        raise guarding.refusal(outcome.blocked, "output")
    return data if outcome.changed is None else outcome.changed


def _readable(x: Exchange, data: bytes) -> Any:
    """An answer as guards read it: its JSON, or the text of a transcript. Refused (502) for anything else."""
    try:
        return parse(data)
    except ValueError:
        if x.endpoint.kind in ("transcriptions", "translations"):
            return data.decode("utf-8", "replace")
        message = "the upstream's answer cannot be read, so its guards cannot look at it"
        raise Refused(status=502, code="upstream_invalid_answer", type="server_error", message=message) from None


async def _relay_bytes(plane: Plane, x: Exchange, answer: Answer) -> None:
    """Audio, images, plain text: each piece goes out when the next one has come, the last when all is settled."""
    held: bytes | None = None
    # Such an answer says nothing of tokens: it costs its prompt and the price of a call.
    prompt = prompt_only(x.served.fare, x.shape.prompt)
    headers: list[Header] = list(answer.headers)
    if x.mark is not None:
        headers += x.mark.headers()
    try:
        while (piece := await x.wait(answer.chunk())) is not None:
            if held is None:
                x.first = x.seconds
                await x.begin(answer.status, headers)
            elif not x.gone:
                await x.write(held, more=True)
            held = piece
    except Refused as refused:
        if held is None:
            release(plane, x, refused.code)
        else:
            settle_unheard(plane, x, prompt, "cut")
        raise
    await settle(plane, x, prompt, "answered" if not x.gone else "gone")
    if not x.gone:
        if not x.sent:
            await x.begin(answer.status, headers)
        await x.write(held or b"", more=False)


def _structured(x: Exchange) -> bool:
    """Whether the caller asked for an answer in JSON."""
    if x.shape is None:  # a stored response
        return False
    asked, text = x.shape.document.get("response_format"), x.shape.document.get("text")
    form = asked if asked is not None else text.get("format") if isinstance(text, dict) else None
    return isinstance(form, dict) and form.get("type") not in (None, "text")


def _content_type(answer: Answer) -> bytes:
    for name, value in answer.headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""
