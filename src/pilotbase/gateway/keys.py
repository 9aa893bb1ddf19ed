"""Customers' keys in the database: made, found, rotated and revoked. Every change moves the epoch on and is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from pilotbase.domain.access import AccessKey
from pilotbase.domain.quantity import Money
from pilotbase.errors import UserError
from pilotbase.gateway import audit, secret_key
from pilotbase.store.database import Database

__all__ = [
    "Wanted",
    "changed_since",
    "check",
    "create",
    "document_of",
    "find_key",
    "find_named",
    "first_admin_key",
    "list_keys",
    "revoke",
    "rotate",
]

_COLUMNS = "id, name, digest, created, budget, currency, rpm, tpm, routes, expires, revoked, cut, admin, replaces"
_UNKNOWN = "see: pilotbase key ls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new key is to be; see `AccessKey`."""

    name: str
    budget: Money | None = None
    rpm: int | None = None
    tpm: int | None = None
    routes: tuple[str, ...] | None = None
    expires: datetime | None = None
    admin: bool = False


def create(database: Database, pepper: bytes, wanted: Wanted, *, who: str, now: datetime) -> tuple[AccessKey, str]:
    """A new key, and the text to hand to its owner, which is kept nowhere. UserError for what a key cannot be."""
    name = secret_key.new_id()
    token = secret_key.new_token(name)
    key = AccessKey(
        id=name,
        name=wanted.name,
        digest=secret_key.digest_of(token, pepper),
        created=now,
        budget=wanted.budget,
        rpm=wanted.rpm,
        tpm=wanted.tpm,
        routes=wanted.routes,
        expires=wanted.expires,
        admin=wanted.admin,
    )
    for problem in key.problems():
        raise UserError(f"{'.'.join(map(str, problem.path))}: {problem.message}", hint=problem.hint)
    if key.expires is not None and key.expires <= now:
        raise UserError(f"the key would have expired already, at {audit.stamp(key.expires)}", hint="name a later moment")
    with audit.changing(database, who=who, action="key.create", subject=name, detail=_told(key), now=now) as epoch:
        database.execute(
            f"INSERT INTO access_keys ({_COLUMNS}, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*_values(key), epoch),
        )
    return key, token


def first_admin_key(database: Database, pepper: bytes, *, now: datetime) -> str | None:
    """A key for the administration API where there has never been one, to be shown once; else None. Of several at once, one."""
    with database.transaction():
        if database.row("SELECT 1 FROM access_keys WHERE admin = 1 LIMIT 1") is not None:
            return None
        return create(database, pepper, Wanted(name="first admin key", admin=True), who="gateway", now=now)[1]


def check(database: Database, token: str, pepper: bytes, now: datetime) -> AccessKey | None:
    """The usable key that `token` is; None for any other text, and for keys that are revoked or expired."""
    name = secret_key.split(token)
    key = find_key(database, name) if name is not None else None
    if key is None or not secret_key.holds(key, token, pepper, now) or not key.usable(now):
        return None
    return key


def find_key(database: Database, name: str) -> AccessKey | None:
    """A key by its id, revoked or not."""
    row = database.row(f"SELECT {_COLUMNS} FROM access_keys WHERE id = ?", (name,))
    return _read(row) if row is not None else None


def find_named(database: Database, name: str) -> list[AccessKey]:
    """The keys that `name` may mean: that of this id, or those called so, newest first."""
    rows = database.rows(f"SELECT {_COLUMNS} FROM access_keys WHERE id = ? OR name = ? ORDER BY created DESC", (name, name))
    found = [_read(row) for row in rows]
    return [key for key in found if key.id == name] or found


def list_keys(database: Database, *, before: str = "", limit: int = 1_000_000) -> list[AccessKey]:
    """Keys, newest first, revoked ones too; at most `limit` of those behind the key `before`, which must be one."""
    where: str = ""
    values: tuple[str, ...] = ()
    if before:
        made = audit.stamp(_present(database, before).created)
        where, values = "WHERE created < ? OR (created = ? AND id > ?) ", (made, made, before)
    rows = database.rows(f"SELECT {_COLUMNS} FROM access_keys {where}ORDER BY created DESC, id LIMIT ?", (*values, limit))
    return [_read(row) for row in rows]


def changed_since(database: Database, epoch: int) -> list[AccessKey]:
    """The keys that changed after `epoch`."""
    return [_read(row) for row in database.rows(f"SELECT {_COLUMNS} FROM access_keys WHERE changed > ?", (epoch,))]


def revoke(database: Database, name: str, *, why: str, who: str, now: datetime, cut: bool = False) -> tuple[AccessKey, bool]:
    """Let a key in no more, for good; with `cut` its streams under way end too. The key, and whether anything changed.

    A key that was revoked stays so since then; `cut` can still be added. UserError where there is none.
    """
    with database.transaction():
        key = _present(database, name)
        if key.revoked is not None and (key.cut or not cut):
            return key, False
        changed = replace(key, revoked=key.revoked or now, cut=cut, replaces=None)
        with audit.changing(
            database, who=who, action="key.revoke", subject=name, detail={"why": why, "cut": cut}, now=now
        ) as epoch:
            database.execute(
                "UPDATE access_keys SET revoked = ?, cut = ?, replaces = NULL, changed = ? WHERE id = ?",
                (audit.stamp(changed.revoked or now), int(cut), epoch, name),
            )
        return changed, True


def rotate(database: Database, name: str, pepper: bytes, *, who: str, now: datetime, keep: float = 0.0) -> tuple[AccessKey, str]:
    """Another secret for the same key: id, limits, and what was spent stay. The key, and the text to hand to its owner.

    The old secret is let through for `keep` seconds more; one that an earlier rotation kept ends at once. UserError where there
    is no such key, or it is revoked or has expired.
    """
    with database.transaction():
        key = _present(database, name)
        if not key.usable(now):
            state = "revoked" if key.revoked is not None else "expired"
            raise UserError(f"key {name} is {state}", hint="create a new one: pilotbase key create NAME")
        token = secret_key.new_token(name)
        until = audit.stamp(now + timedelta(seconds=keep)) if keep > 0 else None
        changed = replace(
            key, digest=secret_key.digest_of(token, pepper), replaces=f"{key.digest}@{until}" if until is not None else None
        )
        with audit.changing(
            database, who=who, action="key.rotate", subject=name, detail={"old secret until": until}, now=now
        ) as epoch:
            database.execute(
                "UPDATE access_keys SET digest = ?, replaces = ?, changed = ? WHERE id = ?",
                (changed.digest, changed.replaces, epoch, name),
            )
        return changed, token


def document_of(key: AccessKey) -> dict[str, Any]:
    """A key as JSON for a worker: `budget` as text, moments in ISO 8601. It holds the keyed hash: not for people's eyes."""
    return {
        **_told(key),
        "id": key.id,
        "digest": key.digest,
        "created": audit.stamp(key.created),
        "revoked": audit.stamp(key.revoked) if key.revoked else None,
        "cut": key.cut,
        "replaces": key.replaces,
    }


def _told(key: AccessKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "budget": str(key.budget) if key.budget is not None else None,
        "rpm": key.rpm,
        "tpm": key.tpm,
        "routes": list(key.routes) if key.routes is not None else None,
        "expires": audit.stamp(key.expires) if key.expires else None,
        "admin": key.admin,
    }


def _present(database: Database, name: str) -> AccessKey:
    key = find_key(database, name)
    if key is None:
        raise UserError(f"there is no key `{name[:80]}`", hint=_UNKNOWN, status=404)
    return key


def _values(key: AccessKey) -> tuple[object, ...]:
    return (
        key.id,
        key.name,
        key.digest,
        audit.stamp(key.created),
        key.budget.nanos if key.budget is not None else None,
        key.budget.currency if key.budget is not None else None,
        key.rpm,
        key.tpm,
        orjson.dumps(key.routes).decode() if key.routes is not None else None,
        audit.stamp(key.expires) if key.expires is not None else None,
        audit.stamp(key.revoked) if key.revoked is not None else None,
        int(key.cut),
        int(key.admin),
        key.replaces,
    )


def _read(row: Mapping[str, Any] | Any) -> AccessKey:
    return AccessKey(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        created=datetime.fromisoformat(row["created"]),
        budget=Money(int(row["budget"]), row["currency"]) if row["budget"] is not None else None,
        rpm=row["rpm"],
        tpm=row["tpm"],
        routes=tuple(orjson.loads(row["routes"])) if row["routes"] is not None else None,
        expires=datetime.fromisoformat(row["expires"]) if row["expires"] else None,
        revoked=datetime.fromisoformat(row["revoked"]) if row["revoked"] else None,
        cut=bool(row["cut"]),
        admin=bool(row["admin"]),
        replaces=row["replaces"],
    )
