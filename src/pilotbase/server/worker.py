"""One worker: an event loop that serves requests, without a database. Started by the tree with two sockets and its options."""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from pilotbase.detect.pii import masked
from pilotbase.domain.access import AccessKey
from pilotbase.errors import UserError
from pilotbase.gateway.access_log import Stream, access_log
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.asgi import Gateway
from pilotbase.gateway.bodies import Bodies
from pilotbase.gateway.counts import Counts
from pilotbase.gateway.day_files import DayFiles
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.ledger import Ledger
from pilotbase.gateway.plane import Plane, blinded
from pilotbase.gateway.proxy import Proxy
from pilotbase.gateway.purse import Purse
from pilotbase.gateway.quota import Grant, Refusal, Return, Want, answer_from
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.gateway.transport import Server
from pilotbase.gateway.upstream import Pool
from pilotbase.gateway.view import Served, View
from pilotbase.gateway.wire import LostError, Peer, RefusedError
from pilotbase.server.loop import run_loop
from pilotbase.server.options import ServeOptions
from pilotbase.server.ready import Ready
from pilotbase.settings import Settings, read_settings
from pilotbase.store.disk import LocalDisk

__all__ = ["main"]

TICK = 0.05
DUTIES = 0.25
REPORT = 1.0
STUCK = 0.5
"""Seconds after which a stopped client that does not read what it is sent is cut off, told or not."""
GRACE = 5
"""Seconds that requests have to end after they were told to, when the time for draining is over."""


class Worker:
    """The life of one worker, from its first word to the keeper to its last."""

    def __init__(self, name: str, options: ServeOptions, settings: Settings, folder: Path) -> None:
        self.name = name
        self.options = options
        self.home = settings.home
        self.disk = LocalDisk()
        self.page = EpochPage.open(settings.home)
        self.counts = Counts()
        self.ready = Ready(settings)
        self.files = DayFiles(settings.home / "gateway" / "logs", name, self.disk)
        self.log = (
            None if options.log == "off" else access_log(self.files if options.log == "file" else Stream(sys.stderr.buffer))
        )
        self.body_files = DayFiles(settings.home / "gateway" / "bodies", name, self.disk)
        self.bodies = Bodies(self.body_files, share=options.bodies, redact=(masked,)) if options.bodies else None
        self.spans: Any = self.ready.spans(options.otlp) if options.otlp else None
        self.pepper = load_pepper(settings.home, settings.secret("PILOTBASE_PEPPER"))
        self.opened: dict[tuple[str, str], int] = {}
        self.pool = Pool(settings.secret, salt=self.pepper)
        self.proxy = Proxy(folder / "api.sock")
        self.peer: Peer
        self.plane: Plane
        self.server: Server
        self.gateway: Gateway
        self.leaving = asyncio.Event()
        self._broken: dict[str, str] = {}

    async def run(self, control: socket.socket, listening: socket.socket, *, signals: bool = True) -> int:
        """Serve until told to stop, or until the keeper is gone; with `signals` also until one says so. The exit code."""
        reader, writer = await asyncio.open_connection(sock=control)
        self.peer = Peer(reader, writer, self._answer)
        serving = asyncio.create_task(self.peer.run())
        serving.add_done_callback(lambda _: self.leaving.set())
        ledger = Ledger(
            self.home / "gateway" / "ledger",
            self.name,
            self.disk,
            machine=self.options.durability == "machine",
            on_sync=self.counts.synced,
            on_broken=lambda _: self.leaving.set(),
        )
        self.plane = self._plane(ledger)
        self.gateway = Gateway(self.plane, self.proxy)
        self.server = Server(self.gateway, drain=self.options.drain + GRACE)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if signals else ():
            loop.add_signal_handler(number, self.leaving.set)
        with suppress(Refused):  # a keeper that is gone already ends this worker too; every request looks again
            await self.plane.look()
        self.peer.tell("serving", None)
        if signals:
            gc.freeze()
            # A request leaves next to no cycles: looking for them after every 700 allocations is most of what it costs.
            gc.set_threshold(50_000, 20, 20)
        works = [asyncio.create_task(work) for work in (self._follow(), self._duties(), self._stop())]
        await self.server.serve([listening])
        for work in works:
            work.cancel()
        await self._finish(ledger)
        serving.cancel()
        return 0 if ledger.broken is None else 1

    def _plane(self, ledger: Ledger) -> Plane:
        options = self.options
        view = View(ask=self.peer.call, compile_=self.ready.compile, changed=self._changed)
        purse = Purse(self._lease, self._give_back, time.monotonic)
        return Plane(
            name=self.name,
            view=view,
            page=self.page,
            pepper=self.pepper,
            purse=purse,
            ledger=ledger,
            pool=self.pool,
            counts=self.counts,
            ask=self.peer.call,
            tell=self.peer.tell,
            told=self._told,
            locals_=self.ready.locals_,
            bodies=self.bodies,
            body_limit=options.body,
            slow_limit=options.slow,
            drains=options.drains,
        )

    async def _answer(self, word: str, body: Any) -> Any:
        if word == "recall":
            return [one.as_dict() for one in self.plane.purse.recall(str(body))]
        if word == "watched":
            self.plane.watched_until = time.monotonic() + float(body)
            return None
        raise RefusedError(f"`{word}` is no call")

    async def _lease(self, want: Want) -> Grant | Refusal:
        return answer_from(await self.peer.call("lease", want.as_dict()))

    def _give_back(self, returns: Sequence[Return]) -> None:
        self.peer.tell("return", [one.as_dict() for one in returns])

    def _told(self, entry: Entry) -> None:
        if self.log is not None:
            self.log.add(entry)
        if self.spans is not None:
            self.spans.add(entry)

    def _changed(self, keys: Sequence[str]) -> None:
        """The view is another: end what is no longer allowed, and make ready what is new."""
        view, plane = self.plane.view, self.plane
        self.counts.know(view.routes)
        served = view.keys()
        self.pool.keep(served)
        self.ready.forget(served)
        releases = {one.route.arm.release for one in view.routes.values() if one.route.arm is not None}
        for release in plane.breakers.keys() - releases:
            del plane.breakers[release]
        for key in keys:
            # Its limits may be others now: what was deducted under the old ones goes back.
            plane.purse.drop(key)
        for name, why in view.broken.items():
            if self._broken.get(name) != why:
                self.peer.tell("say", f"the route `{name}` cannot be served: {why}")
        for name, one in view.routes.items():
            if one.why and self._broken.get(f"{name}~") != one.why:
                self.peer.tell("say", f"the candidate of `{name}` cannot be served: {one.why}")
        self._broken = {**view.broken, **{f"{name}~": one.why for name, one in view.routes.items() if one.why}}
        for x in list(plane.under_way.values()):
            if (refused := self._forbidden(x)) is not None:
                x.halt(refused)

    def _forbidden(self, x: Exchange) -> Refused | None:
        asker: AccessKey | None = x.key
        served: Served | None = x.served
        if asker is None:
            return None
        view = self.plane.view
        if view.stopped(asker.id, served.route.name if served is not None else ""):
            message = "this service was stopped by its operator"
            return Refused(status=503, code="stopped", type="service_unavailable", message=message, retry=False)
        key = view.held_key(asker.id)
        if key is not None and key.revoked is not None and key.cut:
            message = "this key was revoked"
            return Refused(status=401, code="invalid_api_key", type="authentication_error", message=message, retry=False)
        return None

    async def _follow(self) -> None:
        """See changes also while no request comes."""
        while True:
            await asyncio.sleep(TICK)
            # Where nobody can say what changed, requests are refused one by one.
            with suppress(Refused):
                await self.plane.look()

    async def _duties(self) -> None:
        """What is due from time to time: whether the page is still there, leases, slow clients, counts."""
        report = 0.0
        while True:
            await asyncio.sleep(DUTIES)
            now = time.monotonic()
            self.plane.check()
            if self.plane.blind:
                self._halt_all(blinded())
            self.plane.purse.tick(now)
            self.plane.hand_over()
            self._cut_slow()
            if now - report >= REPORT:
                report = now
                self.report()

    def _cut_slow(self) -> None:
        now = time.perf_counter()
        for x in list(self.plane.under_way.values()):
            if x.writing and now - x.writing > (STUCK if x.stop is not None else self.plane.slow_limit):
                x.outcome = x.outcome or "slow client"
                x.abort()

    def _halt_all(self, refused: Refused) -> None:
        for x in list(self.plane.under_way.values()):
            x.halt(refused)

    def report(self) -> None:
        """Tell the keeper the counts so far."""
        if self.log is not None:
            self.counts.lost("access_log", self.log.dropped)
        if self.spans is not None:
            self.counts.lost("spans", self.spans.outbox.dropped)
        if self.bodies is not None:
            self.counts.lost("bodies", self.bodies.outbox.dropped)
        self.counts.lost("shadows", self.gateway.shadows.dropped)
        for key, line in self.pool.lines():
            opened = line.breaker.opened
            for _ in range(opened - self.opened.get((key, line.name), 0)):
                self.counts.opened(key.partition("~")[0], line.name)
            self.opened[key, line.name] = opened
        self.peer.tell("counts", self.counts.snapshot())

    async def _stop(self) -> None:
        await self.leaving.wait()
        self.plane.draining = True
        self.server.stop()
        await asyncio.sleep(self.options.drain)
        # Told, and settled with what came; the server would only cut them.
        message = "the gateway shuts down; send the request again"
        self._halt_all(Refused(status=503, code="shutting_down", type="server_error", message=message, retry=True, after=5))

    async def _finish(self, ledger: Ledger) -> None:
        """Nothing is under way any more: give everything back and close."""
        plane = self.plane
        await self.gateway.shadows.aclose()
        plane.hand_over()
        self._give_back(plane.purse.close())
        try:
            await ledger.aclose()
        except UserError as error:
            print(f"pilotbase: worker {self.name}: {error}", file=sys.stderr)
        self.report()
        for end in (self.log, self.bodies, self.spans):
            if end is not None:
                await end.aclose()
        self.files.close()
        self.body_files.close()
        await self.ready.aclose()
        await self.proxy.aclose()
        await self.pool.close()
        try:
            await self.peer.call("bye", None, limit=2.0)
        except (LostError, RefusedError):
            return
        finally:
            self.page.close()


def main(arguments: list[str]) -> int:
    """`NAME CONTROL LISTENING FOLDER OPTIONS`: two file descriptors, the tree's folder for sockets, and JSON."""
    name, control, listening, folder, text = arguments
    options = ServeOptions(**orjson.loads(text))

    async def work() -> int:
        worker = Worker(name, options, read_settings(), Path(folder))
        return await worker.run(socket.socket(fileno=int(control)), socket.socket(fileno=int(listening)))

    return run_loop(work)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as trouble:
        print(f"pilotbase: {trouble}", file=sys.stderr)
        sys.exit(trouble.code)
