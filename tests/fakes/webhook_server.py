"""A receiver of webhooks that answers on order, and checks every signature as a receiver does.

async with WebhookServer(key, clock) as server:
    server.url                 # http://127.0.0.1:PORT/alerts
    server.answers = [503, 200]   # in turn, the last repeats; a number, or (number, headers)
    server.gate.clear()        # every answer waits until it is set
    server.received[0].good    # whether it was signed with `key` within five minutes of `clock`
    await server.down()        # connections are refused, until `up()` on the same port
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from pilotbase.ports import Clock
from pilotbase.release.webhook import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request: its id, the parsed body, and whether the signature was right."""

    id: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    good: bool


class WebhookServer:
    def __init__(self, key: str, clock: Clock) -> None:
        self.key = key
        self.clock = clock
        self.answers: list[int | tuple[int, dict[str, str]]] = [200]
        self.received: list[Received] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_post("/alerts", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            self.gate.set()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.down()

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = dict(request.headers)
        good = verify(self.key, headers, raw, self.clock.now())
        self.received.append(
            Received(id=request.headers.get("webhook-id", ""), headers=headers, raw=raw, body=json.loads(raw), good=good)
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.gate.wait()
        status, said = answer if isinstance(answer, tuple) else (answer if good else 401, {})
        return web.Response(status=status, headers=said, text="echo of a secret: hunter2")
