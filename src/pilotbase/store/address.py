"""Where a PostgreSQL database is: `postgresql://user:password@host:port/name?sslmode=...`, and a socket connected to it.

The form is libpq's connection URI (PostgreSQL manual, "Connection URIs"), of which `sslmode`, `sslrootcert` and a socket's folder
as `host` are taken. Nothing of an address but host, port and name is ever shown.
"""

import socket
import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pilotbase.errors import UserError

__all__ = ["Address", "connect_socket", "parse_address"]

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
PARAMETERS = ("host", "sslmode", "sslrootcert")
_SOURCE = "PILOTBASE_DATABASE"
_FORM = (
    "write it as postgresql://user:password@host:port/name, with characters such as @ : / # ? % in the password as %40 and so on"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`host` is a name, an address, or the folder of a Unix socket. `sslmode` is one of `MODES`, with libpq's meaning."""

    user: str
    password: str | None = field(repr=False)
    host: str
    port: int
    name: str
    sslmode: str
    sslrootcert: str | None

    @property
    def local(self) -> bool:
        """Whether it is a Unix socket's."""
        return self.host.startswith("/")

    @property
    def where(self) -> str:
        """For messages: no user, no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{host}:{self.port}/{self.name}"

    def tls(self) -> ssl.SSLContext | Literal[False] | None:
        """How to wrap the connection: a context; not at all (False); or as the server likes (None). UserError for a bad file."""
        if self.sslmode == "disable" or self.local:
            return False
        if self.sslmode == "prefer":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.sslmode == "verify-full"
        if self.sslmode == "require" and self.sslrootcert is None:
            context.verify_mode = ssl.CERT_NONE
        elif self.sslrootcert is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(self.sslrootcert)
            except (OSError, ssl.SSLError):
                raise UserError(
                    "could not read the root certificates",
                    where=self.sslrootcert,
                    hint="let `sslrootcert` name a readable file of certificates in PEM",
                ) from None
        return context


def parse_address(text: str) -> Address:
    """The parts of an address. UserError that never shows the text, for a password stands in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _bad("this is no address: its host or its port cannot be read") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise _bad("this is no PostgreSQL address")
    given = _parameters(parts)
    sslmode = given.get("sslmode", "prefer")
    if sslmode not in MODES:
        raise _bad("the address has an unknown `sslmode`", f"use one of: {', '.join(MODES)}")
    host = given.get("host") or unquote(parts.hostname or "")
    name = unquote(parts.path.removeprefix("/"))
    for part, value in (("user", parts.username), ("host", host), ("name of a database", name)):
        if not value:
            raise _bad(f"the address has no {part}")
    # An @ there is most often the end of a password that holds a slash.
    if "/" in name or "@" in name or parts.fragment:
        raise _bad("the address goes on after the name of the database")
    return Address(
        user=unquote(parts.username or ""),
        password=None if parts.password is None else unquote(parts.password),
        host=host,
        port=port or 5432,
        name=name,
        sslmode=sslmode,
        sslrootcert=given.get("sslrootcert"),
    )


def connect_socket(address: Address, seconds: float) -> socket.socket:
    """A connected socket, within `seconds`. UserError where nobody answers."""
    try:
        if not address.local:
            return socket.create_connection((address.host, address.port), seconds)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(seconds)
            found.connect(f"{address.host}/.s.PGSQL.{address.port}")
        except BaseException:
            found.close()
            raise
        return found
    except OSError as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or "unknown host"
        raise UserError(
            f"could not reach PostgreSQL ({why})",
            where=address.where,
            hint=f"check that the server runs and that {_SOURCE} names its host and port",
            status=503,
        ) from error


def _parameters(parts: SplitResult) -> dict[str, str]:
    given = dict(parse_qsl(parts.query))
    unknown = sorted(given.keys() - set(PARAMETERS))
    if unknown:
        raise _bad(f"the address has an unknown parameter `{unknown[0][:40]}`", f"known: {', '.join(PARAMETERS)}")
    return given


def _bad(message: str, hint: str = _FORM) -> UserError:
    return UserError(message, where=_SOURCE, hint=hint)
