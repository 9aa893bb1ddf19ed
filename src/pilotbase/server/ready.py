"""What a worker makes ready of a route before it serves it: its guards and its target."""

import asyncio
import time
from collections.abc import Collection
from typing import Any

from pilotbase import plugins
from pilotbase.domain.problem import kebab
from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.traffic import GuardUse, Route, Upstream
from pilotbase.errors import UserError
from pilotbase.gateway.estimate import estimate
from pilotbase.gateway.guards import Guarding
from pilotbase.gateway.local import Local
from pilotbase.gateway.local_asks import Declared
from pilotbase.gateway.slots import Slots
from pilotbase.ports import Guard, RemoteGuard
from pilotbase.settings import Settings

__all__ = ["Ready"]


class Ready:
    """Guards and targets of one worker, by route. `folder` is where relative paths of guards start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scratch = settings.home / "scratch"
        self.locals_: dict[str, Local] = {}
        self._routes: dict[str, Route] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def compile(self, route: Route, name: str) -> Guarding:
        """The guards of a route, or of one arm of it, that is new or was changed; its target is replaced where it is another.

        `name` is the route's or the arm's own.
        """
        guarding = Guarding.build([(use, self._guard(use)) for use in route.guards])
        before = self._routes.get(name)
        if before is None or before.upstreams != route.upstreams:
            local = self._local(route.upstreams[0]) if route.upstreams[0].kind == "target" else None
            self._retire(name)
            if local is not None:
                self.locals_[name] = local
        self._routes[name] = route
        return guarding

    def forget(self, names: Collection[str]) -> None:
        """End what belongs to routes and arms that are not among `names` any more."""
        for name in [name for name in self._routes if name not in names]:
            del self._routes[name]
            self._retire(name)

    def spans(self, address: str) -> Any:
        """Where spans go. UserError where the extra is not installed."""
        return plugins.load("sinks", "otlp")(address)

    async def aclose(self) -> None:
        """End all targets."""
        for name in list(self.locals_):
            self._retire(name)
        if self._closing:
            await asyncio.wait(list(self._closing))

    def _local(self, upstream: Upstream) -> Local:
        # Here, since it reads specifications: that takes as long to load as all the rest of a worker, which may need it never.
        from pilotbase.flows.served import build_target

        document = upstream.target or {}
        limits = upstream.limits
        return Local(
            upstream.name,
            lambda: build_target(self._settings.secret, document, self._scratch),
            Declared(columns=tuple(document.get("inputs", ())), positive=_text(document.get("positive"))),
            Slots(limits.concurrency, limits.queue, parse_duration(limits.wait)),
            estimate=estimate,
            clock=time.monotonic,
            total=upstream.timeouts.seconds()[3],
        )

    def _guard(self, use: GuardUse) -> Guard | RemoteGuard:
        kind = plugins.load("guards", use.guard)
        known = {kebab(name): name for name in kind.options.__dataclass_fields__}
        unknown = [word for word in use.options if word not in known]
        if unknown:
            raise UserError(f"the guard `{use.guard}` knows no option `{unknown[0]}`", hint=f"known: {', '.join(sorted(known))}")
        given = {known[word]: tuple(v) if isinstance(v, list) else v for word, v in use.options.items()}
        found: Guard | RemoteGuard = kind.build(kind.options(**given), self._settings.home, self._settings.secret)
        return found

    def _retire(self, name: str) -> None:
        local = self.locals_.pop(name, None)
        if local is not None:
            task = asyncio.get_running_loop().create_task(_end(local))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _end(local: Local) -> None:
    """Close a target that is asked nothing new, once what it was asked is answered."""
    while local.slots.busy or local.slots.waiting:
        await asyncio.sleep(0.1)
    await local.aclose()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
