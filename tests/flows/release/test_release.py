"""A release over real sockets: it climbs on evidence, and comes back by itself."""

import asyncio
import itertools
from pathlib import Path

from tests.fakes.chat_server import ChatServer, answers, sends
from tests.fakes.gateway import Serving, until
from tests.fakes.releases import plan_file, prepare, start
from tests.flows.support import serving

from pilotbase.release import records


def test_a_candidate_that_keeps_its_checks_climbs_to_full(tmp_path: Path) -> None:
    async def story(url: str) -> None:
        async with Serving(ready.base.home) as gateway:
            gateway.route("m", url)
            key = gateway.key()
            plan = plan_file(
                tmp_path,
                [
                    {"rung": "shadow", "requests": 20, "time": "200ms", "climb": "not-failed"},
                    {"rung": "canary", "share": "50 %", "requests": 10, "time": "200ms", "climb": "not-failed"},
                    {"rung": "full", "requests": 10, "time": "200ms"},
                ],
            )
            started = start(gateway, ready, plan)
            found: records.Release | None = started.release
            async with asyncio.timeout(60):
                for i in itertools.count():
                    await gateway.chat(key, text=f"question {i}")
                    found = records.find(gateway.context.database, started.release.id)
                    assert found is not None and found.state != "rolled-back", gateway.said
                    if found.state == "full":
                        break
            await gateway.settled()
            arms = {row["arm"] for row in gateway.rows()}
            assert arms == {"stable", "shadow", "candidate"}
            assert gateway.reconcile().balanced

    with serving(answers("yes")) as server:
        ready = prepare(tmp_path, server.url)
        asyncio.run(story(server.url))


def test_a_candidate_that_fails_on_its_canary_is_rolled_back_and_an_incident_is_opened(tmp_path: Path) -> None:
    async def story(server: ChatServer, stable: str) -> None:
        async with Serving(ready.base.home) as gateway:
            gateway.route("m", stable)
            key = gateway.key()
            plan = plan_file(
                tmp_path,
                [
                    {"rung": "canary", "share": "50 %", "requests": 1000, "time": "1h"},
                    {"rung": "full", "requests": 10, "time": "200ms"},
                ],
            )
            started = start(gateway, ready, plan)
            await until(gateway.crew[0].plane.watched)
            server.behaviours = (sends(b"{}", status=500),)
            found: records.Release | None = None
            async with asyncio.timeout(60):
                for i in itertools.count():
                    await gateway.chat(key, text=f"question {i}")
                    found = records.find(gateway.context.database, started.release.id)
                    if found is not None and found.over:
                        break
            assert found is not None and found.state == "rolled-back", gateway.said
            answer = [(await gateway.chat(key, text=f"after {i}")).status for i in range(20)]
            assert set(answer) == {200}
            incident = gateway.context.database.row("SELECT * FROM incidents")
            assert incident is not None and incident["state"] == "contained"

    with serving(answers("yes")) as server, serving(answers("yes")) as stable:
        ready = prepare(tmp_path, server.url)
        asyncio.run(story(server, stable.url))


def test_clients_meet_failures_in_the_canary_s_share_at_most_and_none_after_the_rollback(tmp_path: Path) -> None:
    async def story(server: ChatServer, stable: str) -> None:
        async with Serving(ready.base.home, workers=2) as gateway:
            gateway.route("m", stable)
            key = gateway.key()
            plan = plan_file(tmp_path, [{"rung": "canary", "share": "5 %", "requests": 10_000, "time": "1h"}, {"rung": "full"}])
            started = start(gateway, ready, plan)
            await until(lambda: all(worker.plane.watched() and "m" in worker.plane.view.routes for worker in gateway.crew))

            async def ask(i: int) -> int:
                return (await gateway.post("/v1/chat/completions", key, body(i), x_pilotbase_user=f"citizen {i}")).status

            def body(i: int) -> dict[str, object]:
                return {"model": "m", "messages": [{"role": "user", "content": f"question {i}"}]}

            healthy = await asyncio.gather(*(ask(i) for i in range(200)))
            assert set(healthy) == {200}
            server.behaviours = (sends(b"{}", status=500),)
            met: list[int] = []
            found: records.Release | None = None
            async with asyncio.timeout(60):
                for turn in itertools.count():
                    met += await asyncio.gather(*(ask(1000 + 20 * turn + i) for i in range(20)))
                    found = records.find(gateway.context.database, started.release.id)
                    if found is not None and found.over:
                        break
            assert found is not None and found.state == "rolled-back", gateway.said
            await until(lambda: all(worker.plane.view.routes["m"].route.arm is None for worker in gateway.crew))
            after = await asyncio.gather(*(ask(-1 - i) for i in range(200)))
            assert set(after) == {200}
            failures = sum(status != 200 for status in met)
            assert failures >= 1
            # The share is of callers, each a different one here: five standard deviations above it.
            assert failures <= 0.05 * len(met) + 5 * (0.05 * 0.95 * len(met)) ** 0.5 + 1
            await gateway.settled()
            assert {row["arm"] for row in gateway.rows() if row["outcome"].startswith("released")} == {"candidate"}

    with serving(answers("yes")) as server, serving(answers("yes")) as stable:
        ready = prepare(tmp_path, server.url)
        asyncio.run(story(server, stable.url))
