"""What a request asks, taken out of HTTP: everything behind it is plain functions that may run in a thread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request

from pilotbase.console.page import Upload
from pilotbase.console.parts import OversizedError, UnreadableError, is_parts, read_parts

__all__ = ["CLIENT", "Asked", "GarbledError", "TooLargeError", "ask", "own_path"]

CLIENT = "x-pilotbase-client"
"""The header in which a worker tells the client's address. Workers drop what a client puts there."""
LARGEST = 1 << 20
_FIELDS = 1000


class TooLargeError(Exception):
    """A form of more bytes than its page takes (1 MiB where it takes no files), or of too many fields."""


class GarbledError(Exception):
    """A form with files that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`query` and `form` hold the first value of each word. `own` says that the request comes from a page of this very host, by
    its Origin or, where a browser sends none, its Referer; one with neither does not. `streams` asks for events, not for a page.
    """

    method: str
    path: str
    own: bool
    address: str = ""
    place: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Upload] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    accepted: str = ""
    streams: bool = False
    referer: str = ""

    @property
    def target(self) -> str:
        """The path with its query, to come back to."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


async def ask(request: Request, public_url: str | None, uploads: int = 0) -> Asked:
    """Read a request with its form, which may bring files of `uploads` bytes in all; who asks must then close them.

    TooLargeError where it is too large, GarbledError where a form with files cannot be read.
    """
    form: Mapping[str, str] = {}
    files: Mapping[str, Upload] = {}
    if request.method == "POST" and is_parts(request):
        try:
            fields, files = await read_parts(request, max(uploads, LARGEST))
        except OversizedError:
            raise TooLargeError from None
        except UnreadableError:
            raise GarbledError from None
        form = _firsts(fields)
    elif request.method == "POST":
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                raise TooLargeError
        form = _first(bytes(body).decode("utf-8", "replace"))
    headers = request.headers
    client = request.client.host if request.client is not None else ""
    return Asked(
        method=request.method,
        path=_clean(request.url.path),
        own=_own(headers, public_url),
        address=headers.get(CLIENT) or client,
        place={name: _clean(str(value)) for name, value in request.path_params.items()},
        query=_first(request.url.query),
        form=form,
        files=files,
        cookies=request.cookies,
        accepted=headers.get("accept-language", ""),
        streams=request.method == "GET" and headers.get("accept", "").startswith("text/event-stream"),
        referer=headers.get("referer", ""),
    )


def own_path(target: str, otherwise: str = "/console") -> str:
    """A place of the console to go on to; `otherwise` where `target` leads anywhere else, or out by the door."""
    fine = target.isprintable() and not any(part in target for part in ("\\", "..", "//", "@")) and len(target) < 2000
    parts = urlsplit(target) if fine else urlsplit("")
    inside = parts.path == "/console" or parts.path.startswith("/console/")
    door = parts.path.startswith("/console/provider") or parts.path in (
        "/console/sign-in",
        "/console/sign-out",
        "/console/set-up",
        "/console/look",
    )
    return target if inside and not door and not parts.scheme and not parts.netloc and target.startswith("/c") else otherwise


def _own(headers: Mapping[str, str], public_url: str | None) -> bool:
    """Whether it comes from here. `null` (a sandboxed frame, a file) is not here."""
    told = headers.get("origin") or headers.get("referer") or ""
    try:
        parts = urlsplit(told)
        ours = urlsplit(public_url) if public_url else None
    except ValueError:
        return False
    if not parts.netloc:
        return False
    if ours is not None and (parts.scheme, parts.netloc.lower()) == (ours.scheme, ours.netloc.lower()):
        return True
    return parts.scheme in ("http", "https") and parts.netloc.lower() == headers.get("host", "").lower()


def _first(text: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_FIELDS)
    except ValueError:
        raise TooLargeError from None
    return _firsts(pairs)


def _firsts(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value.replace("\r\n", "\n").replace("\0", "\ufffd"))
    return found


def _clean(text: str) -> str:
    """Text that every database and every page takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
