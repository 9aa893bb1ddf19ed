"""What pilots that come by upload may do here. Denied by default; the operator widens it by settings."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from pilotbase.domain.problem import Problem

__all__ = ["Bounds", "CodePolicy", "file_problems", "refused_address", "url_problems"]

CodePolicy = Literal["off", "isolated", "accept-no-network-isolation"]

_CARRIED = (
    ipaddress.ip_network("64:ff9b::/96"),  # RFC 6052: the last 32 bits are an IPv4 address
    ipaddress.ip_network("64:ff9b:1::/48"),  # RFC 8215: the same, for local use
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`hosts` (each `host` or `host:port`, in lower case) may be called wherever they lead, every other only where that is in the
    public internet. `variables` are the names of the environment that a declaration may use: `NAME`, which code and addresses may
    read, or `NAME@HOST`, a key that is sent to that host alone. `code` says whether Python that was uploaded may run.
    """

    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    code: CodePolicy = "off"

    @property
    def names(self) -> frozenset[str]:
        """The variables that an uploaded pilot may name at all. Settings of pilotbase itself are never among them."""
        return frozenset(name for one in self.variables if not (name := one.partition("@")[0]).startswith("PILOTBASE_"))

    def allows_variable(self, name: str) -> bool:
        """Whether code may read a variable, or an address stand in it."""
        return name in self.variables and name in self.names

    def allows_key(self, name: str, host: str, port: int | None) -> bool:
        """Whether a key may be sent to a host: else whoever writes a pilot could have it sent to himself."""
        plain = host.lower().rstrip(".").strip("[]")
        bound = {part.lower() for one in self.variables for key, at, part in (one.partition("@"),) if at and key == name}
        return name in self.names and (plain in bound or (port is not None and f"{plain}:{port}" in bound))

    def allows_host(self, host: str, port: int | None) -> bool:
        """Whether the operator named this host, with this port or with any."""
        name = host.lower().rstrip(".").strip("[]")
        return name in self.hosts or (port is not None and f"{name}:{port}" in self.hosts)


_AUTHORITY = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:[/?][^\\\s]*)?"
)


def url_problems(bounds: Bounds, url: str | None, key: str | None, word: str = "url") -> Iterator[Problem]:
    """Why an uploaded pilot may not call an address, or send it this key. Where a name leads is seen when it is called."""
    match = _AUTHORITY.fullmatch(url) if url is not None else None
    if url is not None and match is None:
        yield Problem((word,), "this address is not written plainly", "write http(s)://host[:port]/path, with nothing else in it")
        return
    host, port = "", None
    if match is not None:
        host, port = match["host"].strip("[]"), int(match["port"] or (443 if match["scheme"] == "https" else 80))
        why = refused_address(host)
        if why not in (None, "is no IP address") and not bounds.allows_host(host, port):
            yield Problem((word,), f"the address {host} {why}", "an operator allows a host by PILOTBASE_ALLOW_HOSTS")
    if key is not None and not bounds.allows_key(key, host, port):
        hint = f"an operator allows it by PILOTBASE_ALLOW_VARIABLES={key}@{host or 'HOST'}"
        yield Problem(("key-env",), f"the key in `{key}` may not be sent to this host by an uploaded pilot", hint)


def file_problems(name: str, *word: str | int) -> Iterator[Problem]:
    """Why an uploaded pilot may not name a file like this: it reads its own files and no others."""
    pure, windows = PurePosixPath(name), PureWindowsPath(name)
    if (
        pure.is_absolute()
        or windows.is_absolute()
        or windows.drive
        or ".." in pure.parts
        or ".." in windows.parts
        or "\0" in name
    ):
        yield Problem(
            word, f"`{name[:100]}` leads out of the pilot's own files", "send the file with the pilot, and name it from there"
        )


def refused_address(text: str) -> str | None:
    """Why an IP address is none of the public internet, or None. What is no address is refused too.

    Addresses of IPv4 that are carried in IPv6 (mapped, 6to4, Teredo, NAT64) count as the IPv4 address that they lead to.

    >>> refused_address("169.254.169.254")
    'is link-local, where clouds keep their metadata'
    """
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "is no IP address"
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return refused_address(str(inner))
    return _why(address)


def _why(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    if address.is_loopback:
        return "is this very machine"
    if address.is_link_local:
        return "is link-local, where clouds keep their metadata"
    if address.is_unspecified:
        return "is no place"
    if address.is_multicast:
        return "is a group of machines"
    if address.is_private:
        return "is in a private network"
    return None if address.is_global else "is reserved"


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _CARRIED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
