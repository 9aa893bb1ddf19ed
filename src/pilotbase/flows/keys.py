"""`pilotbase key create|ls|rotate|revoke` for customers' keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.access import AccessKey
from pilotbase.domain.quantity import Money, parse_duration, parse_money
from pilotbase.errors import UserError
from pilotbase.flows.moment import moment
from pilotbase.flows.operator import announce
from pilotbase.gateway import keys, routes
from pilotbase.gateway.audit import stamp
from pilotbase.gateway.secret_key import load_pepper

__all__ = ["KeyWish", "create_key", "find_one", "list_keys", "pepper_of", "revoke_key", "rotate_key", "shown"]

_LONGEST_KEEP = 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """A key as people ask for it: `budget` an amount, `expires` a moment or a duration, `routes` by name."""

    name: str
    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    routes: Sequence[str] | None = None
    expires: str | None = None
    admin: bool = False


def pepper_of(context: Context) -> bytes:
    """The secret under which this base's keys are hashed."""
    return load_pepper(context.home, context.secrets("PILOTBASE_PEPPER"))


def create_key(context: Context, pepper: bytes, wish: KeyWish, *, who: str) -> tuple[AccessKey, str]:
    """A new key and its text, which is shown once. UserError for an amount, moment or route that is none."""
    now = context.clock.now()
    limits = (wish.budget, wish.rpm, wish.tpm, wish.routes)
    if wish.admin and any(limit is not None for limit in limits):
        raise UserError(
            "an admin key calls no route, so it has no limits", hint="leave budget, rpm, tpm and routes out", status=422
        )
    wanted = keys.Wanted(
        name=wish.name.strip(),
        budget=_money(wish.budget) if wish.budget is not None else None,
        rpm=wish.rpm,
        tpm=wish.tpm,
        routes=_known(context, wish.routes) if wish.routes is not None else None,
        expires=moment("expires", wish.expires, now) if wish.expires is not None else None,
        admin=wish.admin,
    )
    made = keys.create(context.database, pepper, wanted, who=who, now=now)
    announce(context)
    return made


def rotate_key(context: Context, pepper: bytes, name: str, *, keep: str | None, who: str) -> tuple[AccessKey, str]:
    """Another secret for a key, the old one let through for as long as `keep` says (at most 7 d)."""
    seconds = 0.0
    if keep is not None:
        try:
            seconds = parse_duration(keep)
        except ValueError as error:
            raise UserError(f"keep: {error}", status=422) from None
        if seconds > _LONGEST_KEEP:
            raise UserError(f"keep: `{keep}` is longer than 7 d", hint="a leaked secret should not live on", status=422)
    key = find_one(context, name)
    made = keys.rotate(context.database, key.id, pepper, who=who, now=context.clock.now(), keep=seconds)
    announce(context)
    return made


def revoke_key(context: Context, name: str, *, why: str, cut: bool, who: str) -> tuple[AccessKey, bool]:
    """Revoke a key, for good; with `cut` its streams end too. The key, and whether anything changed."""
    key = find_one(context, name)
    done = keys.revoke(context.database, key.id, why=why, who=who, now=context.clock.now(), cut=cut)
    announce(context)
    return done


def find_one(context: Context, name: str) -> AccessKey:
    """The key of an id, or the only one of a name. UserError where there is none, or there are several."""
    found = keys.find_named(context.database, name)
    if not found:
        raise UserError(f"there is no key `{name[:80]}`", hint="see: pilotbase key ls", status=404)
    usable = [key for key in found if key.revoked is None] or found
    if len(usable) > 1:
        ids = ", ".join(key.id for key in usable)
        raise UserError(f"{len(usable)} keys are called `{name[:80]}`", hint=f"name one by its id: {ids}", status=409)
    return usable[0]


def list_keys(context: Context, *, before: str = "", limit: int = 1_000_000) -> list[dict[str, Any]]:
    """Keys as `shown`, newest first, at most `limit` of those behind the key `before`."""
    spent: dict[tuple[str, str], int] = {}
    query = "SELECT access_key, currency, SUM(settled + in_doubt + overrun) AS spent FROM balances GROUP BY access_key, currency"
    for row in context.database.rows(query):
        spent[row["access_key"], row["currency"]] = int(row["spent"] or 0)
    return [shown(key, context, spent) for key in keys.list_keys(context.database, before=before, limit=limit)]


def shown(key: AccessKey, context: Context, spent: Mapping[tuple[str, str], int] | None = None) -> dict[str, Any]:
    """A key for people's eyes: its limits, its state and what it spent; neither the key nor its hash."""
    now = context.clock.now()
    state = "revoked" if key.revoked is not None else "active" if key.usable(now) else "expired"
    mine = {currency: nanos for (name, currency), nanos in (spent or {}).items() if name == key.id and (nanos or currency)}
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "admin": key.admin,
        "budget": str(key.budget) if key.budget is not None else None,
        "spent": [str(Money(nanos, currency)) for currency, nanos in sorted(mine.items()) if currency],
        "rpm": key.rpm,
        "tpm": key.tpm,
        "routes": list(key.routes) if key.routes is not None else None,
        "created": stamp(key.created),
        "expires": stamp(key.expires) if key.expires is not None else None,
        "revoked": stamp(key.revoked) if key.revoked is not None else None,
    }


def _money(text: str) -> Money:
    try:
        return parse_money(text)
    except ValueError as error:
        raise UserError(f"budget: {error}", status=422) from None


def _known(context: Context, names: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    for name in found:
        if routes.find_route(context.database, name) is None:
            raise routes.unknown(context.database, name)
    return found
