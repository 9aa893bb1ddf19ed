"""The keys that customers hold: `pb_ID_SECRET`, and the keyed hash that stands for one in the database.

The id is 10 characters of base62 and no secret; the secret is 40, which is 238 bits. The hash is HMAC-SHA256 (RFC 2104) of the
whole key under the base's pepper: who reads the database alone can neither use a key nor test a guess.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pilotbase.domain.access import AccessKey
from pilotbase.errors import UserError
from pilotbase.private_file import put_in_place

__all__ = ["digest_of", "holds", "load_pepper", "new_id", "new_token", "replaced", "split"]

_ALPHABET = string.digits + string.ascii_letters
_TOKEN = re.compile(r"pb_([0-9A-Za-z]{10})_[0-9A-Za-z]{33,64}", re.ASCII)
_ID, _SECRET = 10, 40
_LEAST = 32
_LARGEST = 4096


def new_id() -> str:
    """The public part of a new key."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID))


def new_token(name: str) -> str:
    """A new key with the id `name`."""
    return f"pb_{name}_{''.join(secrets.choice(_ALPHABET) for _ in range(_SECRET))}"


def split(token: str) -> str | None:
    """The id in a key; None for anything that cannot be one. Never raises."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found else None


def digest_of(token: str, pepper: bytes) -> str:
    """What is stored of a key: 64 hexadecimal digits."""
    return hmac.new(pepper, token.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def holds(key: AccessKey, token: str, pepper: bytes, now: datetime) -> bool:
    """Whether `token` is this key, or the one that a rotation replaced and still lets through at `now`.

    Both comparisons take the same time whatever differs, and both are always made. It says nothing of whether the key is
    usable: see `AccessKey.usable`.
    """
    found = digest_of(token, pepper)
    kept, until = replaced(key.replaces) or ("", None)
    old = hmac.compare_digest(found, kept) and until is not None and now < until
    return hmac.compare_digest(found, key.digest) or old


def replaced(text: str | None) -> tuple[str, datetime] | None:
    """(hash, until when it is let through) from `AccessKey.replaces`, `HASH@MOMENT`; None where nothing was kept."""
    if not text:
        return None
    kept, _, until = text.partition("@")
    return kept, datetime.fromisoformat(until)


def load_pepper(home: Path, given: str | None = None) -> bytes:
    """The secret under which keys are hashed: `given` (the variable PILOTBASE_PEPPER, which several gateways share), or the
    file `home/keys/pepper`, made on the first call (0600, folder 0700).

    Of several processes that make it at once, one wins and all use its pepper. UserError where `given` has fewer than 32
    characters, where others than the owner may read the file, and where it is damaged or cannot be written.
    """
    if given is not None:
        if len(given) < _LEAST:
            hint = "generate one: python -c 'import secrets; print(secrets.token_hex(32))'"
            raise UserError(f"PILOTBASE_PEPPER has {len(given)} characters, and needs at least {_LEAST}", hint=hint)
        return given.encode("utf-8", "surrogateescape")
    folder, path = home / "keys", home / "keys" / "pepper"
    with _explained(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() and not path.is_symlink():
            put_in_place(path, secrets.token_hex(32).encode() + b"\n")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            data = file.read(_LARGEST).strip()
    if mode & 0o077:
        hint = f"run `chmod 600 {path}`; if others could have read it, rotate every key: pilotbase key rotate"
        raise UserError(f"others than the owner may use the pepper: permissions are {mode:03o}", where=str(path), hint=hint)
    if len(data) < _LEAST:
        hint = "restore it from a backup; without it no key that was created can be checked, and all must be created again"
        raise UserError("the pepper is damaged: it is too short", where=str(path), hint=hint)
    return data


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        hint = "check that this user may write to the home, that the disk is not full, and that no link or file is in the way"
        raise UserError(f"could not read or make the pepper: {reason}", where=str(path), hint=hint) from error
