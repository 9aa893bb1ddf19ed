"""What belongs to the keeper: requests to `/api` and `/console` go on to it over a Unix socket, answers come back."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.exchange import Exchange

__all__ = ["CLIENT", "Proxy", "behind"]

HOP = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-authorization"))
OURS = b"x-pilotbase-"
"""What headers begin with that only a worker sets: a client's own are dropped."""
CLIENT = b"x-pilotbase-client"
"""Tells the keeper the address of the client, on which signing in is throttled."""


def behind(path: str) -> bool:
    """Whether the keeper answers this path: the administration API, the console, and `/`, which leads to the console."""
    return path in ("/", "/api", "/console") or path.startswith(("/api/", "/console/"))


class Proxy:
    """A way to the server on the Unix socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: aiohttp.ClientSession | None = None

    async def pass_on(self, x: Exchange) -> None:
        """Send a request on and its answer back, both piece by piece. Refused (503) where the keeper is not there."""
        session = self._session or self._open()
        scope = x.scope
        url = f"http://keeper{scope['raw_path'].decode('latin-1')}"
        if scope.get("query_string"):
            url += "?" + scope["query_string"].decode("latin-1")
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in _onward(scope)]
        try:
            async with session.request(scope["method"], url, headers=headers, data=_body(x), allow_redirects=False) as response:
                told = [(k.lower(), v) for k, v in response.raw_headers if k.lower() not in HOP]
                await x.begin(response.status, told)
                async for piece in response.content.iter_any():
                    await x.write(piece, more=True)
                await x.write(b"", more=False)
        except (aiohttp.ClientError, OSError):
            if x.sent:
                x.abort()
                return
            message = "administration is not available now"
            raise Refused(status=503, code="keeper_unavailable", type="server_error", message=message, after=1.0) from None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(self._path)),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )
        return self._session


def _onward(scope: Any) -> Iterator[tuple[bytes, bytes]]:
    """The request's headers for the keeper. The first `Host` alone goes on: the console compares forms with it."""
    hosts = 0
    for name, value in scope["headers"]:
        hosts += name == b"host"
        if name not in HOP and not name.startswith(OURS) and (name != b"host" or hosts == 1):
            yield name, value
    client = scope.get("client")
    if client and client[0]:
        yield CLIENT, str(client[0]).encode("latin-1", "replace")


async def _body(x: Exchange) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await x.receive()
        if message["type"] != "http.request":
            # A body that was cut must not look like a whole one.
            raise ConnectionResetError("the client left in the middle of its request")
        if message.get("body"):
            yield message["body"]
        more = message.get("more_body", False)
