"""A limit on what the API reads of a request."""

from collections.abc import Callable, Mapping

from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilotbase.api.problems import problem

__all__ = ["SizeLimit"]

LARGEST = 1 << 20


class SizeLimit:
    """Reads bodies of at most 1 MiB and hands them on whole; longer ones are answered with 413.

    `larger` are paths that take more, from a bearer whom `known` knows: nobody else fills this machine's memory.
    """

    __slots__ = ("_app", "_known", "_larger")

    def __init__(self, app: ASGIApp, larger: Mapping[str, int], known: Callable[[str], bool]) -> None:
        self._app = app
        self._larger = larger
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = await self._most(scope)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most:
                await problem(413, f"the body is larger than {most} bytes")(scope, receive, send)
                return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)

    async def _most(self, scope: Scope) -> int:
        most = self._larger.get(scope["path"], LARGEST)
        if most <= LARGEST or scope["method"] != "POST":
            return LARGEST
        told = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
        scheme, token = get_authorization_scheme_param(told)
        fine = scheme.lower() == "bearer" and await run_in_threadpool(self._known, token.strip())
        return most if fine else LARGEST
