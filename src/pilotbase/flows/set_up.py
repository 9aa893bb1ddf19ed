"""The first account of a base, made in the browser by whoever can read the server's home.

Whoever comes first on a network must not become the operator of a hospital's base: the page asks for a code that `pilotbase
serve` prints at its start and keeps in a private file, until there is a member.
"""

import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from pilotbase.accounts import members
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.private_file import put_in_place

__all__ = ["code_path", "is_set_up", "set_up", "set_up_code"]

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that looks like another
_GROUPS, _EACH = 5, 5


def code_path(context: Context) -> Path:
    """The file that holds the code."""
    return context.home / "keys" / "set-up-code"


def is_set_up(context: Context) -> bool:
    """Whether somebody has an account."""
    return not members.is_empty(context.database)


def set_up_code(context: Context) -> str | None:
    """The code, made where there is none yet; None once somebody has an account, and the file is gone then."""
    path = code_path(context)
    if is_set_up(context):
        with suppress(FileNotFoundError):
            path.unlink()
        return None
    try:
        context.disk.make_folder(path.parent)
        if not path.exists():
            groups = ("".join(secrets.choice(_LETTERS) for _ in range(_EACH)) for _ in range(_GROUPS))
            put_in_place(path, "-".join(groups).encode())
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        hint = "make it readable and writable for this user, or remove it; it is made anew"
        raise UserError(f"cannot keep the set-up code: {reason}", where=str(path), hint=hint) from None


def set_up(context: Context, *, code: str, organisation: str, login: str, name: str, password: str) -> Member:
    """The first organisation and its operator. UserError (403) for a wrong code, (409) where somebody came first."""
    right = set_up_code(context)
    if right is None:
        raise UserError("this base has members already", hint="sign in; an operator can add members", status=409)
    if not hmac.compare_digest(_plain(code).encode("utf-8", "replace"), _plain(right).encode()):
        hint = "read it again: the server printed it when it started"
        raise UserError("the set-up code is wrong", hint=hint, status=403)
    now = context.clock.now()
    made = members.create_first(context.database, login=login, name=name, organisation=organisation, password=password, now=now)
    set_up_code(context)  # there is somebody now: it removes the file
    return made


def _plain(code: str) -> str:
    return "".join(c for c in code.lower() if c.isalnum())
