"""The data plane as an ASGI application: which path is served by what."""

import traceback
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pilotbase.gateway import plain
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import ENDPOINTS, Endpoint
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.inference import error_document, read_place
from pilotbase.gateway.metered import carry, serve
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.proxy import Proxy, behind
from pilotbase.gateway.shadow import Shadows
from pilotbase.gateway.wire import LostError, RefusedError

__all__ = ["Gateway"]

INFER = Endpoint("infer", "/infer")
OTHER = Endpoint("chat", "")


class Gateway:
    """What a worker serves. `proxy` leads to the keeper's administration API and console; without one there is neither."""

    def __init__(self, plane: Plane, proxy: Proxy | None = None) -> None:
        self.plane = plane
        self._proxy = proxy
        self.shadows = Shadows(carry)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        endpoint = ENDPOINTS.get(path[3:]) if path.startswith("/v1/") else None
        x = Exchange(self.plane.new_id(), scope, receive, send, endpoint or OTHER)
        try:
            if endpoint is not None and scope["method"] == "POST":
                await serve(self.plane, x, self.shadows)
            else:
                await self._other(x, path, endpoint)
        except Refused as refused:
            if x.sent:
                x.abort()
            else:
                await x.refuse(refused)
        except (LostError, RefusedError):
            message = "the gateway cannot look this up now; try again later"
            await x.refuse(Refused(status=503, code="keeper_unavailable", type="server_error", message=message, after=2))
        except Exception as error:  # noqa: BLE001 - the outermost: one request's fault is told and ends that request alone
            self.plane.tell("say", _place(x, error))
            if x.sent:
                x.abort()
            else:
                message = f"a fault of the gateway; its operator was told of it as {x.id}"
                await x.refuse(Refused(status=500, code="internal_error", type="server_error", message=message, retry=True))

    async def _other(self, x: Exchange, path: str, endpoint: Endpoint | None) -> None:
        method = x.scope["method"]
        if path.startswith("/v1/"):
            await self._v1(x, path[3:], method, endpoint)
        elif path == "/v2" or path.startswith("/v2/"):
            await self._v2(x, path, method)
        elif path == "/healthz":
            await plain.health(x)
        elif path == "/readyz":
            await plain.ready(self.plane, x)
        elif path == "/metrics":
            await plain.metrics(self.plane, x)
        elif self._proxy is not None and behind(path):
            await self._proxy.pass_on(x)
        else:
            raise _missing(path)

    async def _v1(self, x: Exchange, path: str, method: str, endpoint: Endpoint | None) -> None:
        if x.header(b"upgrade") is not None:
            message = "WebSockets are not served; use HTTP with server-sent events"
            raise Refused(status=400, code="websocket_not_supported", message=message, retry=False)
        if endpoint is not None:
            message = f"{method} is not allowed here; use POST"
            raise Refused(status=405, code="method_not_allowed", message=message, retry=False, headers=[(b"allow", b"POST")])
        if path == "/feedback" and method == "POST":
            await plain.feedback(self.plane, x)
        elif path == "/models" and method == "GET":
            await plain.models(self.plane, x, None)
        elif path.startswith("/models/") and method == "GET":
            await plain.models(self.plane, x, unquote(path.removeprefix("/models/")))
        elif path.startswith("/responses/") and method in ("GET", "DELETE", "POST"):
            await plain.stored_response(self.plane, x, path.removeprefix("/responses/"))
        else:
            raise _missing(path)

    async def _v2(self, x: Exchange, path: str, method: str) -> None:
        try:
            place = read_place(path)
            if place is None:
                raise _missing(path)
            if method != place.method:
                message = f"{method} is not allowed here; use {place.method}"
                raise Refused(status=405, code="method_not_allowed", message=message, retry=False)
            if place.what == "infer":
                x.endpoint = INFER
                x.place = place
                await serve(self.plane, x, self.shadows)
            else:
                await plain.inference_place(self.plane, x, place)
        except Refused as refused:
            if x.sent:
                raise
            await x.answer(refused.status, list(refused.all_headers()), error_document(refused))


def _place(x: Exchange, error: Exception) -> str:
    """What went wrong and where, without the error's words: they may repeat what was asked."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    way = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"fault in request {x.id} ({x.endpoint.kind}): {type(error).__name__} at {way}"


def _missing(path: str) -> Refused:
    return Refused(status=404, code="not_found", message=f"there is nothing at `{path[:200]}`", retry=False)
