"""What a user can do about an error of PostgreSQL, by its five-character code (PostgreSQL manual, appendix A)."""

from collections.abc import Mapping

from pilotbase.errors import UserError
from pilotbase.store.driver import ConflictError

__all__ = ["explain", "gone"]

_AGAIN = "then run the same command again; what was recorded is kept"
_BUSY = f"wait until the other process has finished, or stop it, {_AGAIN}"
_SETTING = "correct PILOTBASE_DATABASE"

_KNOWN = {
    "28": ("PostgreSQL did not let this user in", f"{_SETTING}, or the server's pg_hba.conf"),
    "3D000": ("there is no such database", f"create it (CREATE DATABASE name ENCODING 'UTF8'), or {_SETTING}"),
    "53100": ("could not write: no space is left on the server's disk", f"free space there, {_AGAIN}"),
    "53300": ("the server takes no more connections", f"stop other processes, or raise the server's max_connections, {_AGAIN}"),
    "53": ("the server is short of memory or another resource", f"look into the server's log, {_AGAIN}"),
    "55P03": ("locked by another process that did not finish in time", _BUSY),
    "40P01": ("locked by another process that waited for this one", _BUSY),
    "57014": ("a statement did not end in time", f"look for what keeps the server busy, {_AGAIN}"),
    "57P03": ("the server is starting or stopping", f"wait a moment, {_AGAIN}"),
    "25006": ("the database is read-only, as on a standby", f"{_SETTING}: name the primary server"),
    "42501": ("this user may not do that", "give the user the right to create and change tables in the database's schema"),
    "42P07": ("the database holds tables of another application", "give pilotbase a database of its own"),
    "22P05": ("the database cannot keep every character", "create one with ENCODING 'UTF8'"),
    "58": ("the disk failed under the server", f"look into the server's log, {_AGAIN}"),
    "XX001": ("the server's data are damaged", "restore the database from a backup"),
    "XX002": ("the server's data are damaged", "restore the database from a backup"),
}
"""Message and advice by code, or by class: the first two characters."""


def gone(found: Mapping[str, str]) -> bool:
    """Whether the server has closed, or is closing, the connection. `found`: the fields of an error response, by letter."""
    code = found.get("C", "")
    return found.get("V") in ("FATAL", "PANIC") or code[:2] == "08" or code in ("57P01", "57P02", "25P03", "57P05")


def explain(found: Mapping[str, str], where: str) -> UserError | None:
    """The error in words, or None if it is a bug. The fields that quote values (detail, context) are never shown."""
    code = found.get("C", "")
    said = found.get("M", "no message")
    if code[:2] == "23":
        return ConflictError(f"the database refused the change ({said})", where=where, hint="it was recorded before", status=409)
    known = _KNOWN.get(code) or _KNOWN.get(code[:2])
    if known is None:
        return None
    message, hint = known
    return UserError(f"{message} ({said})", where=where, hint=hint, status=503)
