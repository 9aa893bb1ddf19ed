"""`pilotbase serve` as real processes under load, killed in every way: what a client got whole is in the account."""

import asyncio
import os
import random
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson
from tests.fakes.gateway import until
from tests.fakes.patience import PATIENCE
from tests.fakes.upstream_server import Behaviour, Exchange, UpstreamServer, answers, piece, streams, usage_only

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Route, Upstream
from pilotbase.gateway import keys, routes
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.store.disk import LocalDisk

PRICE = Price(per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
COST = 11 * 2000 + 3 * 6000
"""Of one whole answer of the upstream here, in nanos."""
InDoubt = Literal["progress", "reserved", "release"]


@dataclass
class Home:
    """A home with a key that pays for everything, and its gateway as processes."""

    path: Path
    port: int = 0
    key: str = ""
    process: asyncio.subprocess.Process | None = None
    said: list[str] = field(default_factory=list)
    _listening: list[asyncio.Task[None]] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[Context]:
        with open_context(self.path, disk=LocalDisk(), clock=SystemClock(), secrets={}.get) as context:
            yield context

    def furnish(self, url: str, **doubt: InDoubt) -> None:
        """Routes of these names to the upstream, each with its rule for doubt, and a key."""
        now = datetime.now(UTC)
        with self.opened() as context:
            for name, rule in doubt.items():
                route = Route(name=name, upstreams=(Upstream(url=url),), price=PRICE, retries=0, in_doubt=rule, max_output=8)
                routes.put(context.database, route, who="test", now=now)
            pepper = load_pepper(self.path, None)
            wanted = keys.Wanted(name="k", budget=parse_money("1000 CNY"))
            _, self.key = keys.create(context.database, pepper, wanted, who="test", now=now)

    async def start(self, *words: str, limit: int | None = None) -> None:
        """`pilotbase serve`, until it serves; with `limit` no file may become longer than so many bytes."""
        environment = {"PILOTBASE_HOME": str(self.path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

        def bound() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # type: ignore[type-var]

        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pilotbase", "serve", "--port", str(self.port), *words,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True, preexec_fn=bound if limit else None,
        )  # fmt: skip
        serving = asyncio.Event()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            self._listening.append(asyncio.create_task(self._listen(stream, serving)))
        async with asyncio.timeout(PATIENCE):
            await serving.wait()
        assert self.port, self.said

    async def _listen(self, stream: asyncio.StreamReader, serving: asyncio.Event) -> None:
        while line := (await stream.readline()).decode():
            self.said.append(line)
            if line.startswith("serving on http://127.0.0.1:"):
                self.port = int(line.split("127.0.0.1:")[1].split()[0])
                serving.set()
        serving.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """The processes of the tree's workers that have come so far."""
        assert self.process is not None
        return [pid for pid in children(self.process.pid) if b"pilotbase.server.worker" in command(pid)]

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the keeper alone and wait for its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.over()

    async def over(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            # The pipes end when the last process of the tree has.
            await asyncio.gather(*self._listening)
        self._listening.clear()
        return code

    async def kill_all(self) -> None:
        """The whole tree at once, as a machine's end would."""
        assert self.process is not None
        for pid in [self.process.pid, *self.workers()]:
            kill(pid)
        await self.over()


@asynccontextmanager
async def home(path: Path, url: str, **doubt: InDoubt) -> AsyncIterator[Home]:
    """A furnished home; whatever of its gateway still runs in the end is killed."""
    found = Home(path)
    found.furnish(url, **doubt)
    try:
        yield found
    finally:
        if found.process is not None and found.process.returncode is None:
            await found.kill_all()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                state, parent = Path("/proc", name, "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(name))
    return sorted(found)


def command(pid: int) -> bytes:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


def mixed(pause: float = 0.02) -> Behaviour:
    """Whole answers at once, and streams of three tokens that take a little."""

    async def behave(exchange: Exchange) -> None:
        if exchange.received.document.get("stream"):
            await slow(exchange)
        else:
            await whole(exchange)

    async def pace(_: int) -> None:
        await asyncio.sleep(pause)

    slow = streams([piece("y"), piece("e"), piece("s"), piece(None, finish="stop"), usage_only()], pace=pace)
    whole = answers("yes", tokens_in=11, tokens_out=3)
    return behave


@dataclass
class Load:
    """Clients that ask without a pause. `whole` are the ids of answers that came to their end."""

    url: str
    key: str
    models: tuple[str, ...]
    whole: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    over: bool = False

    @asynccontextmanager
    async def running(self, clients: int = 8) -> AsyncIterator["Load"]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            tasks = [asyncio.create_task(self._client(session, n)) for n in range(clients)]
            try:
                yield self
            finally:
                self.over = True
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*tasks)

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        while not self.over:
            number += 1
            try:
                await self.ask(session, stream=number % 2 == 0, model=self.models[number % len(self.models)])
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.02)  # the gateway is being killed: not a wait for it, but no busy loop either

    async def ask(self, session: aiohttp.ClientSession, *, stream: bool, model: str) -> bytes:
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
        told = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        async with session.post(f"{self.url}/v1/chat/completions", data=orjson.dumps(body), headers=told) as response:
            data = await response.read()
            self.statuses.add(response.status)
            if response.status == 200 and (data.endswith(b"data: [DONE]\n\n") if stream else data.endswith(b"}")):
                self.whole.append(response.headers["x-request-id"])
            return data


def check(found: Home, whole: list[str], asked: int, *, doubtful: bool = True) -> list[dict[str, Any]]:
    """The account after everything: every whole answer is in it, nothing is twice, it balances. The rows."""
    with found.opened() as context:
        rows = [dict(row) for row in context.database.rows("SELECT * FROM requests")]
        report = reconcile(context.database, found.path / "gateway" / "ledger", context.disk)
        leases = context.database.rows("SELECT * FROM leases")
        balances = context.database.row("SELECT SUM(settled) AS settled, SUM(in_doubt) AS doubt FROM balances")
    assert report.problems == () and report.waiting == () and report.balanced
    assert leases == []
    ids = {row["id"]: row for row in rows}
    assert len(ids) == len(rows)
    assert len(whole) == len(set(whole)) and set(whole) <= ids.keys()
    # A settlement is on the disk before an answer's last byte: what came whole is not even in doubt.
    assert {ids[one]["state"] for one in whole} <= {"settled"}
    assert {ids[one]["settled"] for one in whole} <= {COST}
    assert balances is not None
    assert len(whole) * COST <= (balances["settled"] or 0) + (balances["doubt"] or 0)
    # A reservation is written before a request is sent on.
    assert asked <= len(rows)
    assert {row["state"] for row in rows} <= {"settled", "released", "in-doubt"}
    for row in rows:
        if row["state"] == "in-doubt":
            assert doubtful and (row["source"], row["outcome"]) == ("policy", "in-doubt")
            rule = orjson.loads(row["detail"])["rule"]
            assert rule == row["route"]
            if rule == "reserved":
                assert row["settled"] == row["reserved"] > 0
            else:
                # The prompt at least, and no more than was reserved.
                assert 0 < row["settled"] <= row["reserved"] and row["tokens_in"] > 0
    return rows


def test_whatever_is_killed_under_load_the_account_holds_all_that_was_delivered(
    tmp_path: Path, size: Callable[[int, int], int]
) -> None:
    """Workers and whole trees by turns, each tree started again in its home and on its port."""
    kills, homes = size(12, 300), size(2, 10)
    chance = random.Random(3)

    async def life(number: int) -> int:
        whole: list[str] = []
        done = 0
        async with (
            UpstreamServer(mixed()) as server,
            home(tmp_path / str(number), server.url, progress="progress", reserved="reserved") as one,
        ):
            while done < kills // homes:
                await one.start("--workers", "3", "--drain", "2s")
                load = Load(one.url, one.key, ("progress", "reserved"), whole)
                async with load.running():
                    for _ in range(min(3, kills // homes - done - 1)):
                        await answered(load, chance.randrange(5, 40))
                        await until(one.workers)
                        kill(chance.choice(one.workers()))
                        done += 1
                    await answered(load, chance.randrange(5, 40))
                    await one.kill_all()
                    done += 1
                    load.over = True
            await one.start("--workers", "1")
            assert await one.end() == 0, one.said
            rows = check(one, whole, len(server.requests))
        assert not any("Traceback" in line or "damaged" in line for line in one.said), "".join(one.said)[-6000:]
        assert any("ended (signal SIGKILL); another takes its place" in line for line in one.said)
        doubted = sum(row["state"] == "in-doubt" for row in rows)
        assert doubted and any("in doubt: settled by policy, charged" in line for line in one.said)
        return done

    async def story() -> None:
        assert sum([await life(number) for number in range(homes)]) == kills

    asyncio.run(story())


async def answered(load: Load, more: int) -> None:
    """Wait until so many more answers have come whole."""
    goal = len(load.whole) + more
    await until(lambda: len(load.whole) >= goal)


def test_sigterm_lets_streams_end_whole_refuses_new_connections_and_exits_with_0(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def pace(i: int) -> None:
        if i == 1:
            await go_on.wait()

    parts = [piece("y"), piece("e"), piece("s"), piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        async with (
            UpstreamServer(streams(parts, pace=pace)) as server,
            home(tmp_path / "h", server.url, progress="progress") as one,
        ):
            await one.start("--workers", "2")
            load = Load(one.url, one.key, ("progress",))
            async with aiohttp.ClientSession() as session:
                asking = [asyncio.create_task(load.ask(session, stream=True, model="progress")) for _ in range(6)]
                await server.arrival(6)
                ending = asyncio.create_task(one.end())
                await until(lambda: refuses(one.port))
                assert not ending.done() and not any(task.done() for task in asking)
                go_on.set()
                for data in await asyncio.gather(*asking):
                    assert data.endswith(b"data: [DONE]\n\n")
            assert await ending == 0, one.said
            rows = check(one, load.whole, 6, doubtful=False)
            assert len(load.whole) == len(rows) == 6

    asyncio.run(story())


def test_what_does_not_end_within_the_drain_is_told_and_settled_with_what_came(tmp_path: Path) -> None:
    async def pace(i: int) -> None:
        if i == 2:
            await asyncio.Event().wait()

    async def story() -> None:
        parts = [piece("y"), piece("e"), piece("s")]
        async with (
            UpstreamServer(streams(parts, pace=pace)) as server,
            home(tmp_path / "h", server.url, progress="progress") as one,
        ):
            await one.start("--workers", "1", "--drain", "3s")
            load = Load(one.url, one.key, ("progress",))
            async with aiohttp.ClientSession() as session:
                asking = asyncio.create_task(load.ask(session, stream=True, model="progress"))
                await server.arrival(1)
                assert await one.end() == 0, one.said
                data = await asking
            assert b'"code":"shutting_down"' in data and b"[DONE]" not in data
            (row,) = check(one, [], 1, doubtful=False)
            # Two pieces came, which make a word of one token by estimate.
            assert (row["state"], row["outcome"], row["tokens_out"]) == ("settled", "stopped", 1)

    asyncio.run(story())


def test_workers_whose_keeper_was_killed_end_their_streams_and_leave_by_themselves(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def pace(i: int) -> None:
        if i == 1:
            await go_on.wait()

    parts = [piece("y"), piece("e"), piece("s"), piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        behaviour = streams(parts, pace=pace)
        async with UpstreamServer(behaviour) as server, home(tmp_path / "h", server.url, progress="progress") as one:
            await one.start("--workers", "2")
            load = Load(one.url, one.key, ("progress",))
            async with aiohttp.ClientSession() as session:
                asking = [asyncio.create_task(load.ask(session, stream=True, model="progress")) for _ in range(4)]
                await server.arrival(4)
                assert one.process is not None
                workers = one.workers()
                one.process.kill()
                await until(lambda: refuses(one.port))
                go_on.set()
                for data in await asyncio.gather(*asking):
                    assert data.endswith(b"data: [DONE]\n\n")
            await one.over()
            assert len(workers) == 2 and not any(b"pilotbase" in command(pid) for pid in workers)
            await one.start("--workers", "1")
            assert await one.end() == 0
            check(one, load.whole, 4, doubtful=False)
            assert len(load.whole) == 4

    asyncio.run(story())


def test_a_new_tree_accounts_for_a_worker_that_the_killed_one_left_once_it_has_ended(tmp_path: Path) -> None:
    """The old worker cannot ask the new keeper what may be served: it ends its streams, paid for as far as they came."""
    go_on = asyncio.Event()

    async def pace(i: int) -> None:
        if i == 1:
            await go_on.wait()

    parts = [piece("y"), piece("e"), piece("s"), piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        async with (
            UpstreamServer(streams(parts, pace=pace), answers("yes", tokens_in=11, tokens_out=3)) as server,
            home(tmp_path / "h", server.url, progress="progress") as one,
        ):
            await one.start("--workers", "1")
            load = Load(one.url, one.key, ("progress",))
            async with aiohttp.ClientSession() as session:
                asking = asyncio.create_task(load.ask(session, stream=True, model="progress"))
                await server.arrival(1)
                assert one.process is not None
                (left,) = one.workers()
                keeper = one.process.pid
                kill(keeper)
                # Not `wait`: that is for the pipes too, which the worker still has.
                await until(lambda: not command(keeper))
                await one.start("--workers", "1")
                assert any("is not accounted for yet" in line and "still writes" in line for line in one.said), one.said
                await load.ask(session, stream=False, model="progress")
                assert len(load.whole) == 1
                go_on.set()
                data = await asking
                assert b'"code":"keeper_unavailable"' in data and b"[DONE]" not in data
            await until(lambda: not command(left))
            assert await one.end() == 0
            await one.start("--workers", "1")
            assert await one.end() == 0
            rows = check(one, load.whole, 2, doubtful=False)
            assert sorted(row["outcome"] for row in rows) == ["answered", "cut"]

    asyncio.run(story())


def test_a_disk_that_fills_up_under_load_stops_service_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the length of files stands for the disk: the log of a worker cannot grow beyond it."""

    async def story() -> None:
        async with UpstreamServer(mixed(0.001)) as server, home(tmp_path / "h", server.url, progress="progress") as one:
            # The database is longer than that already; what the log holds of it is 60 kB of some 250 B a record.
            limit = 400_000
            await one.start("--workers", "1", "--log", "off", limit=limit)
            load = Load(one.url, one.key, ("progress",))
            async with load.running():
                await until(lambda: load.statuses - {200} or any("ended (exit" in line for line in one.said))
                before = len(load.whole)
                # Another worker takes the place of the one that stopped, and goes on with a file of its own.
                await until(lambda: len(load.whole) > before + 20 or 503 in load.statuses)
            await one.end()
            assert not any("Traceback" in line for line in one.said), one.said
            await one.start("--workers", "1")
            assert await one.end() == 0
            check(one, load.whole, len(server.requests))

    asyncio.run(story())


def test_a_second_interrupt_waits_for_nothing_and_the_request_is_in_doubt(tmp_path: Path) -> None:
    async def pace(i: int) -> None:
        if i == 1:
            await asyncio.Event().wait()

    async def story() -> None:
        async with (
            UpstreamServer(streams([piece("y"), piece("e")], pace=pace)) as server,
            home(tmp_path / "h", server.url, reserved="reserved") as one,
        ):
            await one.start("--workers", "1")
            load = Load(one.url, one.key, ("reserved",))
            async with aiohttp.ClientSession() as session:
                asking = asyncio.create_task(load.ask(session, stream=True, model="reserved"))
                await server.arrival(1)
                assert one.process is not None
                one.process.send_signal(signal.SIGINT)
                await until(lambda: any(line.startswith("stopping: what is under way has 30 s") for line in one.said))
                assert await one.end(signal.SIGINT) == 130, one.said
                with suppress(aiohttp.ClientError):
                    await asking
            assert [row["state"] for row in check(one, load.whole, 1)] == ["in-doubt"] and not load.whole

    asyncio.run(story())


def test_a_signal_before_the_workers_are_up_ends_the_tree_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer() as server, home(tmp_path / "h", server.url, progress="progress") as one:
            starting = asyncio.create_task(one.start("--workers", "2"))
            await until(lambda: one.process is not None and one.workers())
            assert await one.end() == 0, one.said
            await starting_ended(starting)
            assert not any("Traceback" in line for line in one.said), one.said

    asyncio.run(story())


async def starting_ended(task: Awaitable[None]) -> None:
    # It never came to serve, so it never told its port; or it did in the moment in which the signal came.
    with suppress(AssertionError):
        await task


def refuses(port: int) -> bool:
    """Whether nobody accepts connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except TimeoutError:
        return False  # who is too busy to accept is still there
    except OSError:
        return True
    return False
