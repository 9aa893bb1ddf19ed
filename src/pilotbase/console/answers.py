"""Answers of the console, each with the headers that keep a browser from doing more than the page asks."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from starlette.responses import FileResponse, Response

__all__ = ["HEADERS", "STREAM", "file", "lead_on", "page", "sent"]

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
STREAM: Mapping[str, str] = {**HEADERS, "cache-control": "no-store", "x-accel-buffering": "no"}
"""Those of a stream of events, which nothing on the way may hold back."""
_FOR_GOOD = "public, max-age=31536000, immutable"


def page(html: str, status: int = 200) -> Response:
    """A page, which nobody keeps: the next person at the screen must not find it behind the back button."""
    data = html.encode("utf-8", "replace")
    headers = {**HEADERS, "cache-control": "no-store", "vary": "cookie, accept-language"}
    return Response(data, status_code=status, media_type="text/html", headers=headers)


def lead_on(path: str) -> Response:
    """On to another page, by GET. Headers are ASCII: other letters of the path are percent-encoded (RFC 3986, section 2.1)."""
    place = quote(path, safe="/?#[]@!$&'()*+,;=:%~-._")
    return Response(status_code=303, headers={**HEADERS, "location": place, "cache-control": "no-store"})


def file(media_type: str, data: bytes) -> Response:
    """A file whose name holds its digest."""
    return Response(data, headers={**HEADERS, "content-type": media_type, "cache-control": _FOR_GOOD})


def sent(name: str, media_type: str, data: bytes | Path) -> Response:
    """A file for the browser to keep (RFC 6266): never shown as a page of ours, for somebody else may have written it."""
    headers = {
        **HEADERS,
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "cache-control": "no-store",
    }
    if isinstance(data, Path):
        return FileResponse(data, media_type=media_type, headers=headers)
    return Response(data, media_type=media_type, headers=headers)
