"""A limit on what the administration API reads of a request."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilotbase.api.problems import problem

__all__ = ["SizeLimit"]

LARGEST = 1 << 20


class SizeLimit:
    """Reads bodies of at most 1 MiB and hands them on whole; longer ones are answered with 413."""

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST:
                await problem(413, f"the body is larger than {LARGEST} bytes")(scope, receive, send)
                return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)
