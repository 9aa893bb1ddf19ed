"""How long a login or an address waits after failed sign-ins. Nothing helps against the wait, the right password neither.

A try is counted before it is judged, and taken back where it was right: many at once gain nothing. Logins are kept as a digest,
because people type passwords into that field.
"""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Final

from pilotbase.errors import UserError
from pilotbase.store.database import Database

__all__ = ["ADDRESS", "LOGIN", "Rule", "ThrottledError", "Try", "clear", "count", "forget", "sweep", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`free` failures within `window` seconds cost no wait; each one more doubles it, from `first` to `longest` seconds."""

    free: int
    first: int
    longest: int
    window: int


LOGIN: Final = Rule(free=5, first=10, longest=900, window=86_400)
# A hospital may come from one address.
ADDRESS: Final = Rule(free=50, first=10, longest=900, window=3_600)


class ThrottledError(UserError):
    """Too many failed sign-ins; the next try is let through in `seconds`."""

    def __init__(self, seconds: int) -> None:
        hint = f"try again in {seconds} s; until then the right password is refused too"
        super().__init__("too many failed sign-ins", hint=hint, status=429)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Try:
    """A try that was counted: what it is taken back by."""

    subjects: tuple[str, ...]
    nonce: str


def wait(failures: int, last: int, now: int, rule: Rule) -> int:
    """Seconds until the next try may be made; 0: now. `failures` in the rule's window, the `last` of them at that second."""
    if failures < rule.free:
        return 0
    # Without the bound a long attack would compute a huge power.
    pause = min(rule.longest, rule.first << min(failures - rule.free, 20))
    # A clock that was set back makes nobody wait longer than the rule says.
    return min(pause, max(0, last + pause - now))


def count(database: Database, login: str, address: str, now: datetime) -> Try:
    """Count a try that is going to be made. ThrottledError where it may not be made yet; then it is not counted."""
    at = int(now.timestamp())
    tried = Try((_login(login), _address(address)), token_hex(8))
    with database.transaction():
        seconds = max(_wait(database, subject, at, rule) for subject, rule in zip(tried.subjects, (LOGIN, ADDRESS), strict=True))
        if seconds == 0:
            for subject in tried.subjects:
                database.execute("INSERT INTO login_failures (subject, at, nonce) VALUES (?, ?, ?)", (subject, at, tried.nonce))
    if seconds:
        raise ThrottledError(seconds)
    return tried


def forget(database: Database, tried: Try) -> None:
    """The try was right: take it back, and the failures of its login. Those of the address stay; others may come from it too."""
    login, address = tried.subjects
    with database.transaction():
        database.execute("DELETE FROM login_failures WHERE subject = ?", (login,))
        database.execute("DELETE FROM login_failures WHERE subject = ? AND nonce = ?", (address, tried.nonce))


def clear(database: Database, login: str) -> None:
    """Forget the failures of a login, which gets a new password."""
    database.execute("DELETE FROM login_failures WHERE subject = ?", (_login(login),))


def sweep(database: Database, now: datetime) -> int:
    """Remove failures that count no more; how many it were."""
    oldest = int(now.timestamp()) - max(LOGIN.window, ADDRESS.window)
    return database.execute("DELETE FROM login_failures WHERE at <= ?", (oldest,))


def _wait(database: Database, subject: str, now: int, rule: Rule) -> int:
    row = database.row(
        "SELECT COUNT(*) AS failures, MAX(at) AS last FROM login_failures WHERE subject = ? AND at > ?",
        (subject, now - rule.window),
    )
    return wait(row["failures"], row["last"] or 0, now, rule) if row is not None else 0


def _login(login: str) -> str:
    return "login:" + hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()


def _address(address: str) -> str:
    """An address; of IPv6 the network of 64 bits, all of which one customer has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "address:" + hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    if isinstance(found, ipaddress.IPv6Address):
        return f"address:{found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64))}"
    return f"address:{found}"
