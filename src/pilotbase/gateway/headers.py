"""Which headers go on to an upstream, and which of its headers come back. Both are lists of what passes; the rest stops here.

What never passes follows from that: credentials, cookies, `Host`, hop-by-hop fields (RFC 9110, section 7.6.1), the client's
address and client software, and on the way back the upstream's cookies, software, places and rate limits.
"""

import re
from collections.abc import Iterable

from pilotbase.gateway.answers import Header

__all__ = ["FORWARDED", "PLAIN", "RETURNED", "USER_AGENT", "forwarded", "returned"]

USER_AGENT = "pilotbase"
PLAIN = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
"""Sent with every request: usage is read from the answer's text, so it must come as it is (RFC 9110, section 12.5.3)."""

FORWARDED = {
    b"content-type": "Content-Type",
    b"accept": "Accept",
    b"openai-beta": "OpenAI-Beta",
    b"traceparent": "traceparent",  # W3C Trace Context
}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
RETURNED = frozenset((b"content-type", b"content-disposition", b"openai-processing-ms"))


def forwarded(headers: Iterable[Header], fixed: dict[str, str]) -> dict[str, str]:
    """The headers of a request to an upstream: those of the caller that may pass, then `fixed` over them.

    `headers` have lower-case names, as in ASGI. Of a repeated one the last counts. `fixed` is left as it is.
    """
    passed = {}
    for name, value in headers:
        known = FORWARDED.get(name)
        if known is not None:
            passed[known] = value.decode("latin-1")
    passed.update(fixed)
    return passed


def returned(headers: Iterable[Header]) -> list[Header]:
    """The headers of an upstream's answer that the caller sees, with lower-case names."""
    return [(lower, value) for name, value in headers if (lower := name.lower()) in RETURNED and not _CONTROL.search(value)]
