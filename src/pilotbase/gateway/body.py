"""Reading a request's body, within a size and a time."""

import asyncio

from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.exchange import Exchange

__all__ = ["read_body"]

CLOSE = (b"connection", b"close")


async def read_body(x: Exchange, limit: int, seconds: float) -> bytes:
    """The whole body. Refused where it is over `limit` bytes (413), slower than `seconds` (408), or in a coding (415)."""
    if (x.header(b"content-encoding") or b"identity").lower() != b"identity":
        raise Refused(status=415, code="unsupported_encoding", message="send the body without a content coding", retry=False)
    declared = x.header(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    # The server limits how long the first piece may take; nearly always it is the whole.
    message = await x.receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return bytes(body)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while message["type"] == "http.request":
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                message = await x.receive()
    except TimeoutError:
        message = "the request's body did not arrive in time"
        raise Refused(status=408, code="request_timeout", message=message, retry=True, headers=[CLOSE]) from None
    raise bad_request("the connection ended before the whole body had come")


def _too_large(limit: int) -> Refused:
    message = f"the request's body is over {limit} bytes"
    return Refused(status=413, code="request_too_large", message=message, retry=False, headers=[CLOSE])
