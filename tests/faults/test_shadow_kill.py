"""Workers and whole gateways killed with shadows under way: both arms are in the account, and it balances."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.gateway import until
from tests.fakes.upstream_server import UpstreamServer
from tests.faults.test_gateway_kill import COST, PRICE, Home, Load, check, home, kill, mixed

from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Arm, Tie, Upstream
from pilotbase.gateway import keys, routes
from pilotbase.gateway.secret_key import load_pepper


def shadow(one: Home, url: str, budget: str) -> str:
    """Have the route copy every request to `url`; the id of the key that pays."""
    now = datetime.now(UTC)
    with one.opened() as context:
        wanted = keys.Wanted(name="purse", budget=parse_money(budget))
        purse, _ = keys.create(context.database, load_pepper(one.path, None), wanted, who="test", now=now)
        found = routes.find_route(context.database, "progress")
        assert found is not None
        arm = Arm(
            release="r1",
            upstreams=(Upstream(url=url),),
            tie=Tie(policy="allow"),
            shadow=1.0,
            price=PRICE,
            purse=purse.id,
        )
        routes.put(context.database, replace(found.route, arm=arm), who="test", now=now, replace=True, release=True)
        return purse.id


def test_a_worker_killed_with_shadows_under_way_leaves_an_account_that_balances(
    tmp_path: Path, size: Callable[[int, int], int]
) -> None:
    chance = random.Random(5)

    async def story() -> None:
        async with (
            UpstreamServer(mixed()) as stable,
            UpstreamServer(mixed(0.05)) as candidate,
            home(tmp_path / "h", stable.url, progress="progress") as one,
        ):
            purse = shadow(one, candidate.url, "1000 CNY")
            await one.start("--workers", "2", "--drain", "2s")
            load = Load(one.url, one.key, ("progress",))
            async with load.running(clients=4):
                for _ in range(size(3, 30)):
                    goal = len(candidate.requests) + chance.randrange(3, 12)
                    # What dead workers had sent may come to the goal before another one has taken their place.
                    await until(lambda: len(candidate.requests) >= goal and one.workers())  # noqa: B023
                    kill(chance.choice(one.workers()))
                await until(lambda: len(candidate.requests) >= 40)
                await one.kill_all()
                load.over = True
            await one.start("--workers", "1")
            assert await one.end() == 0, one.said
            rows = check(one, load.whole, len(stable.requests) + len(candidate.requests))
            assert not any("Traceback" in line for line in one.said), one.said
            shadows = [row for row in rows if row["arm"] == "shadow"]
            live = {row["id"]: row for row in rows if row["arm"] == "stable"}
            assert len(shadows) + len(live) == len(rows) and len(shadows) >= len(candidate.requests)
            assert {row["access_key"] for row in shadows} == {purse}
            assert not {row["access_key"] for row in live.values()} & {purse}
            # A shadow is asked after its original was settled: that is never in doubt because of it.
            assert {live[row["copy_of"]]["settled"] for row in shadows} == {COST}
            assert any(row["state"] == "in-doubt" for row in shadows)

    asyncio.run(story())
