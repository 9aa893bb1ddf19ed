"""Who changes something from this machine, in what words, and how the gateway hears of it."""

import os
import pwd

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.gateway.epoch import EpochPage

__all__ = ["announce", "operator", "said"]

_LONGEST = 500


def operator() -> str:
    """The user of the operating system whom this process runs as, as `user:NAME`; no variable can say otherwise."""
    number = os.getuid()
    try:
        return f"user:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user:{number}"


def said(word: str, text: str | None) -> str:
    """A reason or a name that goes into the audit log. UserError where it is missing, too long or not printable."""
    found = (text or "").strip()
    if not found:
        raise UserError(f"`{word}` is missing or empty", hint=f"say it with --{word}; it is kept in the audit log", status=422)
    if len(found) > _LONGEST or not found.isprintable():
        message = f"`{word}` is 1 to {_LONGEST} printable characters on one line, found {found[:40]!r}"
        raise UserError(message, hint="shorten it, or leave the unusual characters out", status=422)
    return found


def announce(context: Context) -> None:
    """Tell every worker on this machine to look again. UserError where that cannot be done; the change itself is recorded."""
    try:
        with EpochPage.open(context.home) as page:
            page.bump()
    except UserError as error:
        raise UserError(
            f"the change is recorded, and the gateway's workers could not be told at once: {error.message}",
            where=error.where,
            hint=error.hint,
            code=1,
            status=500,
        ) from error
