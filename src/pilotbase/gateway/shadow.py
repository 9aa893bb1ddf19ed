"""Shadows: live requests asked again of a candidate after their answers went out. What comes back reaches nobody.

They are paid by the release's own key, whose budget is a hard limit, take no tools along, and are dropped and counted where too
many wait: shadowing is never a reason to hold up a request.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pilotbase.domain.metering import fare
from pilotbase.domain.traffic import Arm
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.armed import can_answer
from pilotbase.gateway.arms import SHADOW, STABLE
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.outcomes import failed
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.view import Served
from pilotbase.gateway.wire import LostError, RefusedError

__all__ = ["Shadows"]

MOST_WAITING = 64
"""Of one release in one worker, those under way included."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all requests that wait to be asked again, or are being."""
PATIENCE = 1.0
PAUSE = 0.01
_TOOLS = ("tools", "functions", "web_search_options")
_HEADERS = frozenset((b"content-type", b"accept", b"openai-beta"))

Carry = Callable[[Plane, Exchange], Awaitable[None]]


@dataclass(slots=True)
class Shadows:
    """The shadows of one worker. `carry` takes a request from its reservation to its settlement.

    `dropped` counts those that were not asked because too many waited or nobody may ask any more, `left_out` those that carry
    tools, go on from an earlier answer, or are of a kind that the candidate does not answer.
    """

    carry: Carry
    dropped: int = 0
    left_out: int = 0
    _waiting: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _places: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    def offer(self, plane: Plane, x: Exchange) -> None:
        """A request is over: ask it again of the candidate, if its route's release wants that of it."""
        served: Served | None = x.served  # none, of a request that was refused early
        arm = served.route.arm if served is not None else None
        if arm is None or arm.shadow <= 0.0 or x.arm != STABLE or plane.draining or not plane.watched():
            return
        if failed(x.outcome, x.status) is not False or not drawn(f"shadow {x.id}", arm.shadow):
            return
        candidate = x.served.candidate
        if candidate is None or not x.body or not _repeatable(x, arm) or not can_answer(candidate, x.endpoint.kind):
            self.left_out += 1
            return
        if self._waiting[arm.release] >= MOST_WAITING or self._bytes + len(x.body) > MOST_BYTES:
            self.dropped += 1
            return
        self._waiting[arm.release] += 1
        self._bytes += len(x.body)
        task = asyncio.get_running_loop().create_task(self._ask(plane, x, arm))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._over(task, arm.release, len(x.body)))

    async def aclose(self) -> None:
        """End those under way; what they used is settled."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _over(self, task: asyncio.Task[None], release: str, size: int) -> None:
        self._tasks.discard(task)
        self._bytes -= size
        self._waiting[release] -= 1
        if not self._waiting[release]:
            del self._waiting[release]
            self._places.pop(release, None)

    async def _ask(self, plane: Plane, x: Exchange, arm: Arm) -> None:
        place = self._places.get(arm.release)
        if place is None:
            place = self._places[arm.release] = asyncio.Semaphore(max(1, arm.concurrency))
        async with place:
            try:
                await self._give_way(plane)
                y = await _prepare(plane, x)
                if y is None:
                    self.dropped += 1
                else:
                    await self.carry(plane, y)
            except (Refused, LostError, RefusedError):
                self.dropped += 1
            except Exception as error:  # noqa: BLE001 - the outermost of a shadow: its fault is told and ends it alone
                plane.tell("say", f"fault in a shadow of request {x.id} ({x.endpoint.kind}): {type(error).__name__}")

    async def _give_way(self, plane: Plane) -> None:
        """Wait while live requests are under way, for a while: they and their shadows share one processor."""
        until = time.monotonic() + PATIENCE
        while sum(1 for one in plane.under_way.values() if not one.copy_of) and time.monotonic() < until:
            await asyncio.sleep(PAUSE)


async def _prepare(plane: Plane, x: Exchange) -> Exchange | None:
    """The copy of a request, ready to be asked. None where that is not wanted any more: it may have waited long."""
    await plane.look()
    name = x.served.route.name
    served = plane.view.routes.get(name)
    arm = served.route.arm if served is not None else None
    if served is None or served.candidate is None or arm is None or arm.release != x.release or arm.shadow <= 0.0:
        return None
    key = await plane.view.key(arm.purse)
    if key is None or not key.usable(plane.now()) or plane.draining or not plane.watched():
        return None
    if plane.view.stopped(key.id, name) or plane.view.stopped(x.key.id, name):
        return None
    y = _copy(plane, x)
    y.key = key
    y.served = replace(served.candidate, fare=fare(arm.price))
    return y


def _repeatable(x: Exchange, arm: Arm) -> bool:
    """Whether asking again changes nothing in the world and makes sense elsewhere."""
    document = x.shape.document
    if arm.tools == "skip" and any(document.get(word) for word in _TOOLS):
        return False
    return x.shape.previous is None and x.shape.form is None


def _copy(plane: Plane, x: Exchange) -> Exchange:
    headers = [(name, value) for name, value in x.scope["headers"] if name in _HEADERS]
    y = Exchange(plane.new_id(), {"headers": headers, "path": x.scope.get("path", "")}, _nothing, _nowhere, x.endpoint)
    y.shape, y.body, y.place = x.shape, x.body, x.place
    y.release, y.arm, y.caller, y.copy_of = x.release, SHADOW, x.caller, x.id
    return y


async def _nothing() -> Any:
    return {"type": "http.disconnect"}


async def _nowhere(message: Any) -> None:
    """Where the answers of shadows go."""
