"""A whole gateway in this process: a home, a keeper, one or more workers on real sockets, one event loop.

    async with Serving(tmp_path) as gateway:
        gateway.route("m", server.url, price=Price(per_call="1 CNY"))
        key = gateway.key(budget="50 CNY")
        answer = await gateway.chat(key, model="m")       # -> Answered(status, headers, body)
        await gateway.settled()                           # everything so far is applied to the database
        gateway.rows(), gateway.reconcile()

`gateway.url` is the root without `/v1`. `open(...)` gives the raw connection for streams and hostile clients.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from tests.fakes.patience import PATIENCE

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.access import AccessKey
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Arm, GuardUse, Labels, Route, Tie, Upstream
from pilotbase.gateway import keys, routes, stops
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.reconcile import Report, reconcile
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.gateway.transport import Server
from pilotbase.gateway.wire import Peer
from pilotbase.server.keeper import Keeper
from pilotbase.server.options import ServeOptions
from pilotbase.server.site import make_site
from pilotbase.server.worker import Worker
from pilotbase.settings import Settings
from pilotbase.store.disk import LocalDisk

__all__ = ["Answered", "Serving", "until"]


@dataclass(frozen=True)
class Answered:
    """A whole answer. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of each event, parsed where it is JSON."""
        found = [block.removeprefix("data: ") for block in self.body.decode().split("\n\n") if block.startswith("data: ")]
        return [orjson.loads(one) if one.startswith("{") else one for one in found]


@dataclass
class Serving:
    """See the module. `options` are of `ServeOptions`; `database` the address of a PostgreSQL one."""

    home: Path
    workers: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    database: str | None = None
    vouching: bool = True
    """Whether the keeper's own word that releases are watched reaches the workers; `watch` always does."""

    async def __aenter__(self) -> Self:
        self._opened = open_context(
            self.home, disk=LocalDisk(), clock=SystemClock(), secrets=self.environment.get, database=self.database
        )
        self.context: Context = self._opened.__enter__()
        self.page = EpochPage.open(self.home)
        self.said: list[str] = []
        self.keeper = Keeper(self.context, self.page, workers=self.workers, say=self.said.append, recall=10.0)
        self.pepper = load_pepper(self.home, self.environment.get("PILOTBASE_PEPPER"))
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self.keeper.run())]
        self._doors: list[Server] = []
        self.folder = self.home / "s"
        self.folder.mkdir(exist_ok=True)
        self._open_door()
        self.crew: list[Worker] = []
        self.peers: list[Peer] = []
        self._lives: list[asyncio.Task[int]] = []
        for number in range(self.workers):
            await self._hire(f"w{number}")
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.session.close()
        for worker in self.crew:
            worker.leaving.set()
        await asyncio.gather(*self._lives)
        for door in self._doors:
            door.stop()
        for worker in self.crew:
            await self.keeper.left(worker.name)
        self._tasks[0].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.keeper.finish()
        self._listening.close()
        self.page.close()
        self._opened.__exit__(kind, error, trace)

    def _open_door(self) -> None:
        path = str(self.folder / "api.sock")
        if len(path) > 100:
            return  # too long for a Unix socket: tests of the API use a short folder
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(path)
        door.listen(64)
        door.setblocking(False)
        server = Server(make_site(self.context, self.pepper), drain=1.0)
        self._doors.append(server)
        self._tasks.append(asyncio.create_task(server.serve([door])))

    async def _hire(self, name: str) -> None:
        ours, theirs = socket.socketpair()
        settings = Settings(home=self.home, environment=dict(self.environment), database=None)
        options = replace(ServeOptions(workers=self.workers, drain=2.0), **self.options)
        worker = Worker(name, options, settings, self.folder)
        ready = asyncio.Event()

        async def answer(word: str, body: Any) -> Any:
            if word == "serving":
                ready.set()
                return None
            return None if word == "bye" else await self.keeper.answer(name, word, body)

        reader, writer = await asyncio.open_connection(sock=ours)
        peer = Peer(reader, writer, answer) if self.vouching else _Quiet(reader, writer, answer)
        self.peers.append(peer)
        self.keeper.joined(name, peer)
        self._tasks.append(asyncio.create_task(peer.run()))
        # Each worker closes its own listening socket when it ends.
        life = asyncio.create_task(worker.run(theirs, self._listening.dup(), signals=False))
        done, _ = await asyncio.wait(
            [life, waiting := asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE
        )
        waiting.cancel()
        if life in done:
            life.result()
        assert waiting in done, f"{name} did not come to serve"
        self.crew.append(worker)
        self._lives.append(life)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def route(
        self,
        name: str,
        *urls: str,
        price: Price | None = None,
        guards: Sequence[GuardUse] = (),
        labels: Labels | None = None,
        upstream: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Route:
        """Put a route; `upstream` are fields of every upstream, `more` fields of the route."""
        ups = tuple(Upstream(name=f"u{i}", url=url, **(upstream or {})) for i, url in enumerate(urls))
        return self.put(
            Route(name=name, upstreams=ups, price=price, guards=tuple(guards), labels=labels, tie=Tie(policy="allow"), **more)
        )

    def put(self, route: Route) -> Route:
        """Put a route as it is, in place of one of its name."""
        problems = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in route.problems()]
        assert not problems, problems
        routes.put(self.context.database, route, who="test", now=self.now, replace=True)
        self.page.bump()
        return route

    def release(self, route: Route, arm: Arm | None) -> Route:
        """Put a route with an arm, or without any more, as a release does."""
        made = replace(route, arm=arm)
        routes.put(self.context.database, made, who="test", now=self.now, replace=True, release=True)
        self.page.bump()
        return made

    async def watch(self, seconds: float = 600.0) -> None:
        """Have the keeper vouch to all workers that releases are watched; they know when this returns."""
        for peer in self.peers:
            await peer.call("watched", seconds)

    def key(self, name: str = "k", *, budget: str | None = None, **limits: Any) -> str:
        """A new key, as its owner holds it."""
        wanted = keys.Wanted(name=name, budget=parse_money(budget) if budget else None, **limits)
        _, token = keys.create(self.context.database, self.pepper, wanted, who="test", now=self.now)
        self.page.bump()
        return token

    def find_key(self, token: str) -> AccessKey:
        """The stored key of a token."""
        found = keys.find_key(self.context.database, token.split("_")[1])
        assert found is not None
        return found

    def revoke(self, token: str, *, cut: bool = False) -> None:
        keys.revoke(self.context.database, token.split("_")[1], why="test", who="test", now=self.now, cut=cut)
        self.page.bump()

    def stop(self, kind: Any, name: str) -> None:
        stops.stop(self.context.database, kind, name, why="test", who="test", now=self.now)
        self.page.bump()

    async def post(self, path: str, key: str | None, body: bytes | Mapping[str, Any], **headers: str) -> Answered:
        """POST and read the whole answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        told = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        told.update({name.replace("_", "-"): value for name, value in headers.items()})
        async with self.session.post(self.url + path, data=data, headers=told) as response:
            got = await response.read()
            return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, got)

    async def get(self, path: str, key: str | None = None) -> Answered:
        told = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.session.get(self.url + path, headers=told) as response:
            return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def chat(self, key: str | None, model: str = "m", text: str = "hello", **more: Any) -> Answered:
        """A chat completion."""
        return await self.post(
            "/v1/chat/completions", key, {"model": model, "messages": [{"role": "user", "content": text}], **more}
        )

    async def open(self, raw: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which `raw` has been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(raw)
        await writer.drain()
        return reader, writer

    def raw_chat(self, key: str, model: str = "m", **more: Any) -> bytes:
        """A chat request as bytes, for `open`."""
        body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **more})
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n"
            + f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def settled(self) -> None:
        """Wait until no request is under way, and apply every log."""
        await until(lambda: not any(worker.plane.under_way or worker.gateway.shadows._tasks for worker in self.crew))
        await self.keeper.inside(self.keeper.apply_all)

    def rows(self) -> list[dict[str, Any]]:
        """All requests in the database, in order of time."""
        return [dict(row) for row in self.context.database.rows("SELECT * FROM requests ORDER BY started, id")]

    def reconcile(self) -> Report:
        """The account as `usage reconcile` gives it."""
        return reconcile(self.context.database, self.keeper.folder, self.context.disk)


class _Quiet(Peer):
    """A connection on which the keeper cannot vouch for releases by itself."""

    def tell(self, word: str, body: Any) -> None:
        if word != "watched":
            super().tell(word, body)


async def until(true: Any, seconds: float = PATIENCE) -> None:
    """Wait for something to become true, looking again whenever the loop comes around."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
