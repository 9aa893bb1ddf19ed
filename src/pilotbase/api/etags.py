"""Entity tags (RFC 9110, section 8.8.3): a read that changed nothing is answered with 304, a change of what has moved with 412.

What has a version is tagged `"VERSION-DIGEST"`, all else `"DIGEST"`. `If-None-Match` compares the whole tag, `If-Match` the
version: a release's figures move every second, and whoever decides about it decides about the state that the version counts.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Conditional", "Expected", "Matched", "tag"]

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def tag(response: Response, version: int) -> None:
    """Say which version of a resource the answer shows."""
    response.headers["etag"] = f'"{version}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What `If-Match` says of the resource to be changed; `given` is None where it says nothing."""

    given: str | None

    def check(self, version: int) -> None:
        """HTTPException (412) where the resource has another version than the caller saw."""
        if self.given is None or self.given.strip() == "*":
            return
        found = [text.partition("-")[0] for weak, text in _TAG.findall(self.given) if not weak]
        if str(version) not in found:
            raise HTTPException(412, "it was changed since you read it: read it again, then decide", {"etag": f'"{version}"'})


def _expected(if_match: Annotated[str | None, Header(description="the ETag under which it was read")] = None) -> Expected:
    return Expected(given=if_match)


Matched = Annotated[Expected, Depends(_expected)]
"""What an operation depends on that changes something with a version."""


class Conditional:
    """Tags every read that succeeds, and answers 304 where the reader has it already. Changes are not to be kept by anybody."""

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = scope["method"] in ("GET", "HEAD")
        started: Message = {}
        body = bytearray()

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            data, status, headers = bytes(body), started["status"], dict(started["headers"])
            headers[b"cache-control"] = b"private, no-cache" if read else b"no-store"
            if read and status == 200:
                own = headers.get(b"etag", b'""')[1:-1]
                mark = hashlib.sha256(data).hexdigest()[:32].encode()
                headers[b"etag"] = b'"' + (own + b"-" if own else b"") + mark + b'"'
                if _has(scope, headers[b"etag"]):
                    status, data = 304, b""
                    headers = {name: headers[name] for name in (b"etag", b"cache-control", b"link") if name in headers}
            await send({"type": "http.response.start", "status": status, "headers": list(headers.items())})
            await send({"type": "http.response.body", "body": data})

        await self._app(scope, receive, tagged)


def _has(scope: Scope, mark: bytes) -> bool:
    """Whether `If-None-Match` names this tag; weak ones count too (RFC 9110, section 13.1.2)."""
    told = b",".join(value for name, value in scope["headers"] if name == b"if-none-match").decode("latin-1")
    return told.strip() == "*" or any(f'"{text}"'.encode("latin-1") == mark for _, text in _TAG.findall(told))
