"""The process tree of `pilotbase serve`: the keeper in this process, workers beside it, started again when they die."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

import orjson

from pilotbase.context import Context
from pilotbase.domain.quantity import Money
from pilotbase.errors import UserError
from pilotbase.flows.home_name import home_name
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.recovery import Recovered, unclosed
from pilotbase.gateway.retention import sweep
from pilotbase.gateway.transport import App, Server
from pilotbase.gateway.wire import Peer
from pilotbase.server.keeper import Keeper
from pilotbase.server.options import ServeOptions
from pilotbase.server.supervisor import Supervisor
from pilotbase.store.lock import RunLock

__all__ = ["Tree", "listen"]

Say = Callable[[str], None]
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
BACKLOG = 2048


def listen(host: str, port: int, patience: float = 5.0) -> socket.socket:
    """A listening socket, which workers share. UserError where the address cannot be had within `patience` seconds.

    A tree that was killed leaves workers behind for a moment, which have the port until they see that their keeper is gone.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            found = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            hint = "stop what uses it, or choose another: --host, --port"
            raise UserError(f"cannot listen on {host}:{port}: {reason}", hint=hint) from None
        found.setblocking(False)
        return found


class Tree:
    """One gateway of one home. `app` is the administration API with the console, or None; `supervisor` looks after
    jobs.
    """

    def __init__(
        self, context: Context, options: ServeOptions, app: App | None, say: Say, supervisor: Supervisor | None = None
    ) -> None:
        self._context = context
        self._options = options
        self._app = app
        self._say = say
        self._folder = Path()
        self._lock = RunLock(context.home / "gateway" / "serve.lock", context.disk)
        self._page = EpochPage.open(context.home)
        self._keeper = Keeper(context, self._page, workers=options.workers, say=say)
        self._supervisor = supervisor
        self._name = f"{home_name(context)}-"
        self._stopping = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._ready = asyncio.Event()
        self._serving = 0
        self._unfinished: dict[str, str] = {}
        self._forced = False

    async def run(self) -> int:
        """Serve until a signal; the exit code, 130 where a second Ctrl-C cut what was under way."""
        self._lock.take()
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="pilotbase-"))
            return await self._run()
        finally:
            self._lock.release()
            self._page.close()
            if self._folder != Path():
                shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self) -> int:
        listening = listen(self._options.host, self._options.port)
        host, port = listening.getsockname()[:2]
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        await self._old_ones(once=True)
        works = [
            asyncio.create_task(self._keeper.run()),
            asyncio.create_task(self._keeper.reach_out()),
            asyncio.create_task(self._old_ones()),
            asyncio.create_task(self._sweep()),
        ]
        if self._supervisor is not None:
            works.append(asyncio.create_task(self._supervisor.run()))
        api = self._api()
        workers = [asyncio.create_task(self._keep_worker(listening)) for _ in range(self._options.workers)]
        first = asyncio.create_task(self._ready.wait())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([first, stopped, *works, *workers], return_when=asyncio.FIRST_COMPLETED)
        if self._ready.is_set():
            shown = f"[{host}]" if ":" in host else host
            self._say(f"serving on http://{shown}:{port}  ({self._options.workers} worker(s); Ctrl-C stops)")
        first.cancel()
        await asyncio.wait([stopped, *works, *workers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        if self._ready.is_set():
            self._say(f"stopping: what is under way has {self._options.drain:g} s to end (Ctrl-C ends it now)")
        listening.close()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        await asyncio.wait(workers)
        if api is not None:
            api[0].stop()
            await asyncio.wait([api[1]])
        for work in works:
            work.cancel()
        failures = [error for error in await asyncio.gather(*works, return_exceptions=True) if isinstance(error, Exception)]
        if self._supervisor is not None:
            await self._supervisor.finish()
        await self._keeper.finish()
        if failures:
            raise failures[0]
        return 130 if self._forced else max((work.result() for work in workers), default=0)

    def _interrupted(self) -> None:
        """Stop; a second time, wait for nothing: what is under way is settled by the rule for doubt."""
        if self._stopping.is_set():
            self._forced = True
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.kill()
        self._stopping.set()

    def _api(self) -> "tuple[Server, asyncio.Task[None]] | None":
        """The administration API and the console on a Unix socket that the workers lead to."""
        if self._app is None:
            return None
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(self._folder / "api.sock"))
        door.listen(128)
        door.setblocking(False)
        server = Server(self._app, drain=2.0)
        return server, asyncio.create_task(server.serve([door]))

    async def _sweep(self) -> None:
        """Once an hour: remove logs and bodies that are old enough, answers kept for replay, counts of past minutes."""
        gateway = self._context.home / "gateway"
        while True:
            now = self._context.clock.now()
            # Housekeeping: what cannot be removed now can in an hour.
            for folder, days in ((gateway / "logs", self._options.keep), (gateway / "bodies", self._options.keep_bodies)):
                with suppress(UserError):
                    swept = sweep(folder, now, timedelta(days=days))
                    if swept.files:
                        self._say(str(swept))
            await self._keeper.tidy()
            await asyncio.sleep(3600)

    def _told(self, found: Recovered) -> None:
        """Say what recovery found, where it is worth saying."""
        if found.settled_in_doubt:
            cost = ", ".join(str(Money(nanos, currency)) for currency, nanos in found.nanos if currency) or "nothing"
            self._say(
                f"worker {found.worker} left {found.settled_in_doubt} request(s) in doubt: settled by policy, charged {cost}"
            )
        if found.damaged:
            self._say(f"the log of worker {found.worker} is damaged and was set aside: {', '.join(found.damaged)} ({found.why})")

    async def _keep_worker(self, listening: socket.socket) -> int:
        """Have one worker running until the tree stops."""
        pause = FIRST_PAUSE
        while True:
            name = f"{self._name}{token_hex(4)}"
            started = time.monotonic()
            code = await self._work(name, listening)
            await self._left(name)
            if self._stopping.is_set():
                return code if code > 0 else 0
            if time.monotonic() - started > 30:
                pause = FIRST_PAUSE
            self._say(f"worker {name} ended ({_ending(code)}); another takes its place")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if self._stopping.is_set():
                return 0
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _work(self, name: str, listening: socket.socket) -> int:
        """One worker's life; its exit code, negative for a signal."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pilotbase.server.worker",
                name,
                str(theirs.fileno()),
                str(listening.fileno()),
                str(self._folder),
                orjson.dumps(self._options.document()).decode(),
                pass_fds=(theirs.fileno(), listening.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes[name] = process
        if self._stopping.is_set():
            process.terminate()
        reader, writer = await asyncio.open_connection(sock=ours)

        async def answer(word: str, body: object) -> object:
            if word == "serving":
                self._serving += 1
                if self._serving >= self._options.workers:
                    self._ready.set()
                return None
            if word == "bye":
                return None
            return await self._keeper.answer(name, word, body)

        peer = Peer(reader, writer, answer)
        self._keeper.joined(name, peer)
        talking = asyncio.create_task(peer.run())
        code = await process.wait()
        await asyncio.wait([talking], timeout=1.0)
        await peer.aclose()
        del self._processes[name]
        return code

    async def _left(self, name: str) -> None:
        """Finish with a worker that is gone. Where that cannot be done now, `_old_ones` comes back to it."""
        try:
            self._told(await self._keeper.left(name))
        except UserError as error:
            if str(error) != self._unfinished.get(name):
                self._unfinished[name] = str(error)
                self._say(f"worker {name} is not accounted for yet: {error}")
        else:
            self._unfinished.pop(name, None)

    async def _old_ones(self, *, once: bool = False) -> None:
        """Finish with the workers of trees that were killed, and with those that could not be finished with at once."""
        while True:
            with suppress(UserError):  # the keeper's own round says what is wrong with the database
                for name in await self._keeper.inside(self._unclosed):
                    if name not in self._processes:
                        await self._left(name)
            if once:
                return
            await asyncio.sleep(2.0)

    def _unclosed(self) -> list[str]:
        """Workers of this home that recovery has not finished with; other gateways on the database look after their own."""
        found = unclosed(self._context.database, self._keeper.folder, self._context.disk)
        return [name for name in found if name.startswith(self._name)]


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
