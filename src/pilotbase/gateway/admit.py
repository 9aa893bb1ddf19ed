"""Whether a request may go on: who asks, what for, and whether there is room for it."""

from pilotbase.domain.access import AccessKey
from pilotbase.gateway import secret_key
from pilotbase.gateway.account import Hold
from pilotbase.gateway.answers import Header, Refused
from pilotbase.gateway.billing import Estimate
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.quota import Refusal
from pilotbase.gateway.view import Served, View

__all__ = ["authenticate", "bearer", "choose_route", "hold", "standing_headers"]

LONGEST = 60.0
"""Seconds that a client is told to wait at most: some obey no longer ones."""
_WHICH = {"budget": "budget", "rpm": "limit of requests a minute", "tpm": "limit of tokens a minute"}


def bearer(header: bytes | None) -> str | None:
    """The token of an `Authorization: Bearer ...` header (RFC 6750)."""
    if header is None or header[:7].lower() != b"bearer ":
        return None
    return header[7:].strip().decode("latin-1")


async def authenticate(plane: Plane, x: Exchange) -> AccessKey:
    """The key that a request carries, as of now. Refused (401) for any but a usable one; which of these it was is not told."""
    await plane.look()
    token = bearer(x.header(b"authorization"))
    if token is None:
        raise _unusable("no usable key: send `Authorization: Bearer pb_...`")
    name = secret_key.split(token)
    key = await plane.view.key(name) if name is not None else None
    now = plane.now()
    if key is None or not secret_key.holds(key, token, plane.pepper, now) or not key.usable(now):
        raise _unusable()
    return key


def choose_route(view: View, key: AccessKey, model: str) -> Served:
    """The route of a public model name, for this key. Refused (404) where there is none, or not for it; (503) where stopped,
    or where it cannot be made ready; (401) where the key was revoked meanwhile.
    """
    held = view.held_key(key.id)
    if held is not None and held.revoked is not None:
        # It was usable when the request began: its body may have taken a while.
        raise _unusable()
    served = view.routes.get(model)
    if served is None and model in view.broken and key.may_use(model):
        message = f"the model `{model[:100]}` is out of order; its operator has been told"
        raise Refused(status=503, code="route_unavailable", type="service_unavailable", message=message, retry=False)
    if served is None or not key.may_use(model):
        message = f"the model `{model[:100]}` does not exist, or this key may not use it"
        raise Refused(status=404, code="model_not_found", message=message, param="model", retry=False)
    if view.stopped(key.id, model):
        raise stopped()
    return served


def stopped() -> Refused:
    """Traffic that a person has stopped."""
    message = "this service was stopped by its operator; ask them when it goes on"
    return Refused(status=503, code="stopped", type="service_unavailable", message=message, retry=False)


async def hold(purse: Purse, key: AccessKey, served: Served, asked: Estimate) -> Hold:
    """Room for a request, deducted. Refused (429) where there is none."""
    if key.budget is not None and asked.nanos and key.budget.currency != served.fare.currency:
        message = f"this key pays in {key.budget.currency}, and the model `{served.route.name}` costs {served.fare.currency}"
        raise Refused(status=403, code="currency_mismatch", type="permission_error", message=message, retry=False)
    found = purse.try_hold(key, asked.tokens, asked.nanos)
    if found is None:
        if key.tpm is not None and asked.tokens > key.tpm:
            # Whatever was refused to others a moment ago: this one need not come again.
            raise _exhausted(Refusal(limit="tpm"))
        answer = await purse.hold(key, asked.tokens, asked.nanos)
        if isinstance(answer, Refusal):
            raise _exhausted(answer)
        found = answer
    return found


def _exhausted(refusal: Refusal) -> Refused:
    if refusal.limit == "key":
        return _unusable()
    if refusal.limit == "busy":
        message = "the gateway cannot look up this key's limits in time"
        return Refused(
            status=503, code="keeper_busy", type="server_error", message=message, retry=True, after=refusal.after or 1.0
        )
    if refusal.limit == "budget":
        message = "this key's budget does not cover the request; ask the operator for more"
        return Refused(status=429, code="insufficient_quota", type="insufficient_quota", message=message, retry=False)
    message = f"over this key's {_WHICH[refusal.limit]}"
    if refusal.after is None:
        message += ": the request alone needs more than the limit; send a smaller one"
        return Refused(status=429, code="rate_limit_exceeded", type="rate_limit_error", message=message, retry=False)
    return Refused(
        status=429, code="rate_limit_exceeded", type="rate_limit_error", message=message, after=min(refusal.after, LONGEST)
    )


def _unusable(message: str = "this key is not valid, or no longer") -> Refused:
    return Refused(status=401, code="invalid_api_key", type="authentication_error", message=message, retry=False)


def standing_headers(purse: Purse, key: AccessKey) -> list[Header]:
    """`x-ratelimit-*` headers for what is limited."""
    if key.rpm is None and key.tpm is None:
        return []
    standing = purse.standing(key)
    told: list[Header] = []
    if key.rpm is not None:
        told += [
            (b"x-ratelimit-limit-requests", b"%d" % key.rpm),
            (b"x-ratelimit-remaining-requests", b"%d" % max(0, standing.remaining_requests or 0)),
            (b"x-ratelimit-reset-requests", b"%ds" % standing.reset),
        ]
    if key.tpm is not None:
        told += [
            (b"x-ratelimit-limit-tokens", b"%d" % key.tpm),
            (b"x-ratelimit-remaining-tokens", b"%d" % max(0, standing.remaining_tokens or 0)),
            (b"x-ratelimit-reset-tokens", b"%ds" % standing.reset),
        ]
    return told
