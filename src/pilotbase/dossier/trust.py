"""Which keys this home trusts, and which it has revoked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pilotbase.errors import UserError
from pilotbase.signing import PublicKey, public_keys
from pilotbase.store.database import Database

__all__ = ["TrustedKey", "add", "entries", "read_file", "revoke", "state"]

_HINT = "run `pilotbase key show` for the keys that are known here"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key that was trusted at some time; `revoked` says since when it no longer is."""

    key: PublicKey
    added: str
    revoked: str | None

    @property
    def fingerprint(self) -> str:
        return self.key.fingerprint


def add(database: Database, key: PublicKey, now: datetime) -> None:
    """Trust a key. Does nothing for one that is trusted already; UserError for a revoked one, which stays revoked."""
    with database.transaction():
        found = state(database, key.fingerprint)
        if found == "revoked":
            raise UserError(
                f"the key {key.fingerprint} was revoked here, and a revoked key is never trusted again",
                hint="ask its owner for a new key",
            )
        if found is None:
            _insert(database, key, now, None)


def revoke(database: Database, fingerprint: str, now: datetime, key: PublicKey | None = None) -> None:
    """Trust a key no longer, for good. UserError where it is unknown here and `key` does not give it."""
    with database.transaction():
        found = state(database, fingerprint)
        if found is None and key is not None and key.fingerprint == fingerprint:
            _insert(database, key, now, now)
        elif found is None:
            raise UserError(f"no key of the fingerprint {fingerprint[:80]} is known here", hint=_HINT)
        elif found == "trusted":
            database.execute("UPDATE trust SET revoked = ? WHERE fingerprint = ?", (now.isoformat(), fingerprint))


def entries(database: Database) -> Sequence[TrustedKey]:
    """All keys, newest first, revoked ones too."""
    rows = database.rows("SELECT fingerprint, name, public_key, added, revoked FROM trust ORDER BY added DESC, fingerprint")
    found = []
    for row in rows:
        key = PublicKey.parse(row["public_key"], where=str(database.path))
        if key.fingerprint != row["fingerprint"]:
            hint = "restore the home from a backup"
            raise UserError("a trusted key does not fit its fingerprint", where=str(database.path), hint=hint)
        found.append(TrustedKey(key=key, added=row["added"], revoked=row["revoked"]))
    return found


def state(database: Database, fingerprint: str) -> Literal["trusted", "revoked"] | None:
    """What is known of a key; None: nothing."""
    row = database.row("SELECT revoked FROM trust WHERE fingerprint = ?", (fingerprint,))
    if row is None:
        return None
    return "trusted" if row["revoked"] is None else "revoked"


def read_file(text: str, *, where: str | None = None) -> Mapping[str, PublicKey]:
    """The keys of a trust file (`verify --trust FILE`) by fingerprint. UserError for a garbled line, and for no key at all."""
    found = {key.fingerprint: key for key in public_keys(text, where=where)}
    if not found:
        raise UserError(
            "the trust file holds no key", where=where, hint="write one key a line, as `pilotbase key export` prints it"
        )
    return found


def _insert(database: Database, key: PublicKey, now: datetime, revoked: datetime | None) -> None:
    database.execute(
        "INSERT INTO trust (fingerprint, name, public_key, added, revoked) VALUES (?, ?, ?, ?, ?)",
        (key.fingerprint, key.name, key.text(), now.isoformat(), revoked.isoformat() if revoked else None),
    )
