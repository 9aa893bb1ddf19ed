"""Two gateways on one PostgreSQL database, and two processes on one SQLite home."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import orjson
from tests.fakes.gateway import Serving, until
from tests.fakes.gateway_each import Each, endless
from tests.fakes.postgres import postgres_server, postgres_url
from tests.fakes.upstream_server import UpstreamServer, answers

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.price import Price
from pilotbase.gateway.recovery import unclosed
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.server.options import ServeOptions
from pilotbase.server.tree import Tree
from pilotbase.store.disk import LocalDisk
from pilotbase.store.lock import RunLock

__all__ = ["postgres_server", "postgres_url"]

CALL = Price(per_call="1 CNY")


class Named(Each):
    """A gateway whose workers' names begin with its home's, as those of a tree do."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.pepper = load_pepper(self.home, self.environment["PILOTBASE_PEPPER"])
        return self

    async def _hire(self, name: str) -> None:
        await super()._hire(f"{self.home.name}-{name}")


def pair(tmp_path: Path, url: str) -> tuple[Named, Named]:
    """Two gateways of one database; both have one pepper, as an operator gives it to them."""
    (tmp_path / "a" / "gateway").mkdir(parents=True)
    (tmp_path / "b" / "gateway").mkdir(parents=True)
    secret = {"PILOTBASE_PEPPER": "p" * 43}
    return tuple(Named(tmp_path / name, workers=2, database=url, environment=secret) for name in "ab")  # type: ignore[return-value]


def test_two_gateways_on_one_database_share_a_budget_and_keep_one_account(tmp_path: Path, postgres_url: str) -> None:
    async def story() -> None:
        a, b = pair(tmp_path, postgres_url)
        async with UpstreamServer(answers("yes")) as server, a, b:
            a.route("m", server.url, price=CALL)
            key, narrow = a.key(budget="50 CNY"), a.key("narrow", rpm=20)
            # The second gateway hears of it by the database alone.
            await until(lambda: all("m" in worker.plane.view.routes for worker in b.crew))
            found = await asyncio.gather(*(one.chat(key) for _ in range(60) for one in (a, b)))
            assert Counter(one.status for one in found) == {200: 50, 429: 70}
            found = await asyncio.gather(*(one.chat(narrow) for _ in range(30) for one in (a, b)))
            assert Counter(one.status for one in found) == {200: 20, 429: 40}
            await a.settled()
            await b.settled()
            rows = a.rows()
            assert len(rows) == len({row["id"] for row in rows}) == 70
            assert {row["worker"][0] for row in rows} == {"a", "b"}
            assert sum(row["settled"] for row in rows if row["access_key"] == key.split("_")[1]) == 50 * 10**9
            assert a.reconcile().balanced and b.reconcile().balanced

    asyncio.run(story())


def test_a_stop_and_a_revocation_at_one_gateway_reach_the_other(tmp_path: Path, postgres_url: str) -> None:
    async def story() -> None:
        go_on = asyncio.Event()
        a, b = pair(tmp_path, postgres_url)
        async with UpstreamServer(endless(go_on)) as server, a, b:
            a.route("m", server.url, price=CALL)
            key, other = a.key(), a.key("other")
            await until(lambda: all("m" in worker.plane.view.routes for worker in b.crew))
            live = [await b.stream(key, at=0), await b.stream(other, at=1)]
            a.revoke(key, cut=True)
            assert await live[0].error() == "invalid_api_key"
            a.stop("route", "m")
            assert await live[1].error() == "stopped"
            await b.settled()
            assert {row["outcome"] for row in b.rows()} == {"stopped"} and b.reconcile().balanced

    asyncio.run(story())


def test_leases_and_requests_of_one_gateway_are_no_affair_of_the_others_recovery(tmp_path: Path, postgres_url: str) -> None:
    async def story() -> None:
        go_on = asyncio.Event()
        a, b = pair(tmp_path, postgres_url)
        async with UpstreamServer(endless(go_on)) as server, a, b:
            a.route("m", server.url, price=CALL)
            key = a.key(budget="4 CNY")
            await until(lambda: all("m" in worker.plane.view.routes for worker in b.crew))
            live = await a.stream(key)
            await a.keeper.inside(a.keeper.apply_all)
            # A tree that starts in the home of `b` looks for what was left there; the workers of `a` are at work elsewhere.
            tree = Tree(b.context, ServeOptions(), None, b.said.append)
            await tree._old_ones(once=True)
            held = {row["worker"] for row in b.context.database.rows("SELECT worker FROM leases")}
            assert held == {"a-w0"} and not any("doubt" in line for line in b.said)
            assert {row["state"] for row in b.rows()} == {"open"}
            go_on.set()
            assert b"[DONE]" in await live.rest()
            await a.settled()
            assert [row["state"] for row in b.rows()] == ["settled"] and b.reconcile().balanced

    asyncio.run(story())


def test_recovery_finishes_with_workers_of_its_own_home_alone(tmp_path: Path) -> None:
    """On SQLite too: rows of another gateway's workers in the database (a copied home) are not touched."""

    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path / "h") as gateway:
            gateway.route("m", server.url, price=CALL)
            tree = Tree(gateway.context, ServeOptions(), None, gateway.said.append)
            database = gateway.context.database
            own = f"{tree._name}00000001"
            with database.transaction():
                for worker in (own, "elsewhere-00000001"):
                    database.execute("INSERT INTO leases (worker, access_key, granted) VALUES (?, 'k', 5)", (worker,))
            assert {own, "elsewhere-00000001"} <= set(unclosed(database, gateway.keeper.folder, gateway.context.disk))
            await tree._old_ones(once=True)
            assert [row["worker"] for row in database.rows("SELECT worker FROM leases")] == ["elsewhere-00000001"]

    asyncio.run(story())


def test_a_second_serve_on_a_home_is_refused_and_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with RunLock(tmp_path / "gateway" / "serve.lock", LocalDisk()):
        found = pilotbase(tmp_path, "serve", "--port", "0")
    assert found.returncode != 0 and "Traceback" not in found.stderr
    assert "in use by process" in found.stderr and "stop it" in found.stderr
    assert "serving on" not in found.stdout


def test_the_name_of_a_homes_gateway_stays(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        with opened(tmp_path) as context:
            names.append(Tree(context, ServeOptions(), None, print)._name)
    assert names[0] == names[1] and len(names[0]) == 9


def test_commands_of_another_process_change_a_gateway_that_serves(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=2) as gateway:

            async def command(*words: str) -> str:
                found = await asyncio.to_thread(pilotbase, tmp_path, *words)
                assert found.returncode == 0, found.stderr
                return found.stdout.strip()

            allow = ("--policy", "allow", "--by", "Ann", "--reason", "test")
            await command("route", "add", "m", "--upstream", server.url, "--price-per-call", "1CNY", *allow)
            told = orjson.loads(await command("key", "create", "acme", "--budget", "50CNY", "--json"))
            key = told["key"]
            assert {(await gateway.chat(key)).status for _ in range(2)} == {200}
            await command("stop", "m", "--why", "test")
            assert {(await gateway.chat(key)).status for _ in range(2)} == {503}
            await command("resume", "m", "--why", "test")
            assert {(await gateway.chat(key)).status for _ in range(2)} == {200}
            await command("key", "revoke", "acme", "--why", "test")
            assert {(await gateway.chat(key)).status for _ in range(2)} == {401}
            await gateway.settled()
            assert orjson.loads(await command("usage", "reconcile", "--json"))["balanced"] is True
            assert sum(row["settled"] for row in gateway.rows()) == 4 * 10**9

    asyncio.run(story())


def test_two_processes_that_change_one_store_at_once_lose_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=2) as gateway:
            gateway.route("m", server.url, price=CALL)
            key = gateway.key(budget="1000 CNY")
            commands = [
                asyncio.create_task(asyncio.to_thread(pilotbase, tmp_path, "key", "create", f"k{i}", "--json")) for i in range(3)
            ]
            statuses: Counter[int] = Counter()
            while not all(one.done() for one in commands):
                statuses[(await gateway.chat(key)).status] += 1
            made = [orjson.loads((await one).stdout)["key"] for one in commands]
            assert statuses.keys() == {200}
            assert [(await gateway.chat(one)).status for one in made] == [200] * 3
            await gateway.settled()
            assert len(gateway.rows()) == statuses[200] + 3 and gateway.reconcile().balanced

    asyncio.run(story())


def test_a_tree_that_cannot_listen_says_so_and_leaves_the_home_free(tmp_path: Path) -> None:
    async def story() -> None:
        async with Serving(tmp_path / "other") as gateway:
            found = await asyncio.to_thread(pilotbase, tmp_path / "h", "serve", "--port", str(gateway.port))
            assert found.returncode != 0 and f"cannot listen on 127.0.0.1:{gateway.port}" in found.stderr
            assert "Traceback" not in found.stderr

    asyncio.run(story())
    with RunLock(tmp_path / "h" / "gateway" / "serve.lock", LocalDisk()) as lock:
        assert lock.held


@contextmanager
def opened(home: Path) -> Iterator[Context]:
    with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets={}.get) as context:
        yield context


def pilotbase(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in its own process, to its end."""
    environment = {"PILOTBASE_HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "pilotbase", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
