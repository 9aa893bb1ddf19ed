"""The end of a request in the ledger: what it used is written, the rest of its reservation is given back, once."""

from collections.abc import Mapping
from typing import Any

from pilotbase.domain.access import AccessKey
from pilotbase.domain.metering import Tokens
from pilotbase.gateway.billing import Bill, bill, prompt_only
from pilotbase.gateway.entry import NO_ROUTE, Entry
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.ledger import LedgerTrouble
from pilotbase.gateway.local import LocalAnswer
from pilotbase.gateway.meter import Reading
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.shape import Shape
from pilotbase.gateway.view import Served
from pilotbase.gateway.wal import Settle

__all__ = ["NOTHING", "abandon", "charge", "conclude", "detail_of", "release", "settle", "settle_unheard"]

NOTHING = Bill(Tokens(), "none", 0)
_NO_DETAIL: Mapping[str, Any] = {}


def charge(x: Exchange, answer: object, reading: Reading) -> Bill:
    """What an answer costs as far as it was read. A target in this process says what it used, and which of that is estimated."""
    x.reading = reading
    fare = x.served.fare
    if isinstance(answer, LocalAnswer):
        used = Tokens(read=answer.read_tokens, wrote=answer.wrote_tokens)
        return bill(fare, used, "estimate" if answer.estimated else "upstream")
    return bill(fare, *reading.charged(x.shape.prompt))


def detail_of(x: Exchange) -> Mapping[str, Any]:
    """What of an answer the ledger keeps beside the amounts: the stored response's id, and what was wrong with the count."""
    reading = x.reading
    if reading is None or not (reading.response_id or reading.notes):
        return _NO_DETAIL
    detail: dict[str, Any] = {"response_id": reading.response_id} if reading.response_id else {}
    if reading.notes:
        detail["notes"] = list(reading.notes)
    return detail


async def settle(plane: Plane, x: Exchange, bill: Bill, outcome: str, detail: Mapping[str, Any] | None = None) -> None:
    """Settle a request; returns once that is on the disk. LedgerTrouble where it cannot be: nothing whole may go out then."""
    record = _record(plane, x, bill, outcome, detail)
    if record is not None:
        try:
            await plane.ledger.settle(record)
        except LedgerTrouble:
            x.outcome = "in-doubt"
            raise


def settle_unheard(plane: Plane, x: Exchange, bill: Bill, outcome: str, detail: Mapping[str, Any] | None = None) -> None:
    """Settle a request whose client hears no more of it: nobody waits for the disk. A broken ledger leaves it in doubt."""
    record = _record(plane, x, bill, outcome, detail)
    if record is not None:
        try:
            plane.ledger.settle_later(record)
        except LedgerTrouble:
            x.outcome = "in-doubt"


def release(plane: Plane, x: Exchange, why: str) -> None:
    """Give all back: nothing was used."""
    settle_unheard(plane, x, NOTHING, f"released: {why}")


def abandon(plane: Plane, x: Exchange, outcome: str) -> None:
    """End a request of whose answer nothing came. An upstream that may have read the prompt costs it; else all is given back."""
    if x.settled:
        return
    if any(isinstance(one, str) or one.may_bill or one.outcome == "open" for one in x.tries):
        settle_unheard(plane, x, prompt_only(x.served.fare, x.shape.prompt), outcome)
    else:
        release(plane, x, outcome)


def _record(plane: Plane, x: Exchange, bill: Bill, outcome: str, detail: Mapping[str, Any] | None) -> Settle | None:
    if x.hold is None or x.settled:
        return None
    x.settled = True
    x.outcome = outcome
    x.bill = bill
    plane.purse.settle(x.hold, bill.tokens.read + bill.tokens.wrote, bill.cost)
    return Settle(
        id=x.id,
        cost=bill.cost,
        tokens=bill.tokens,
        source=bill.source,
        outcome=outcome,
        status=x.status or None,
        seconds=x.seconds,
        ttft=x.first,
        upstream=x.upstream,
        detail=_NO_DETAIL if detail is None else detail,
    )


def conclude(plane: Plane, x: Exchange) -> None:
    """Count a request that is over, and write it to the log. Shadows stand in the log alone: nobody waited for them."""
    bill: Bill | None = x.bill
    # A request that was refused early knows neither.
    key: AccessKey | None = x.key
    shape: Shape | None = x.shape
    served: Served | None = x.served
    waited = sum(one.waited for one in x.tries if not isinstance(one, str))
    counted = not x.copy_of
    if counted and waited and served is not None:
        plane.counts.queued(served.route.name, waited)
    for guard, rule, action in x.findings if counted else ():
        plane.counts.found(guard, rule, action)
    entry = Entry(
        id=x.id,
        at=x.started / 1e6,
        key=key.id if key is not None else "",
        route=served.route.name if served is not None else NO_ROUTE,
        endpoint=x.endpoint.kind,
        stream=shape.stream if shape is not None else False,
        status=x.status,
        outcome=x.outcome,
        seconds=x.seconds,
        ttft=x.first,
        upstream=x.upstream,
        attempts=len(x.tries),
        guards=tuple(dict.fromkeys(f"{guard}/{rule}" for guard, rule, _ in x.findings)),
        error=x.error,
        waited=waited,
    )
    if served is not None:
        entry.currency = served.fare.currency
        entry.model = served.route.name
        entry.dossier = served.route.tie.dossier or ""
        entry.provider = served.route.upstreams[0].kind
        if counted and x.outcome == "cut":
            plane.counts.cut(entry.route)
        elif counted and x.outcome == "in-doubt":
            plane.counts.doubted(entry.route)
    if bill is not None:
        entry.read, entry.wrote, entry.cached = bill.tokens.read, bill.tokens.wrote, bill.tokens.cached
        entry.source, entry.cost = bill.source, bill.cost
    if x.tries:
        entry.upstream_seconds = x.upstream_seconds
    reading = x.reading
    if reading is not None:
        entry.response_model = reading.model or ""
        entry.response_id = reading.response_id or ""
        entry.finish = reading.finish
    found = x.header(b"traceparent")
    if found is not None:
        entry.traceparent = found.decode("latin-1")
        entry.tracestate = (x.header(b"tracestate") or b"").decode("latin-1")
    if x.let_in:
        plane.counts.ended(entry)
    elif counted:
        plane.counts.answered(entry)
    plane.told(entry)
