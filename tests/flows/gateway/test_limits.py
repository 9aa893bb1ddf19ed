"""Budgets and limits a minute, with many requests at once and several workers: never exceeded, and nothing is left unused."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Answered, until
from tests.fakes.gateway_each import Each, endless
from tests.fakes.upstream_server import UpstreamServer, answers

from pilotbase.domain.price import Price
from pilotbase.gateway.quota import SPAN

CALL = Price(per_call="1 CNY")


def told(found: list[Answered]) -> Counter[tuple[int, str]]:
    """How often each status came, with its error's code."""
    return Counter((one.status, "" if one.status == 200 else one.json["error"]["code"]) for one in found)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_of_200_requests_at_once_on_a_budget_for_50_exactly_50_are_answered(tmp_path: Path, workers: int) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=workers) as gateway:
            gateway.route("m", server.url, price=CALL)
            key = gateway.key(budget="50 CNY")
            found = await asyncio.gather(*(gateway.chat(key) for _ in range(200)))
            assert told(list(found)) == {(200, ""): 50, (429, "insufficient_quota"): 150}
            assert {one.headers["x-should-retry"] for one in found if one.status == 429} == {"false"}
            assert len({one.headers["x-request-id"].split("-")[0] for one in found}) == workers
            assert len(server.requests) == 50
            await gateway.settled()
            assert sum(row["settled"] for row in gateway.rows()) == 50 * 10**9
            assert gateway.reconcile().balanced

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 3])
def test_what_requests_reserved_and_did_not_use_serves_others(tmp_path: Path, workers: int) -> None:
    async def story() -> None:
        async with (
            UpstreamServer(answers("yes", tokens_in=0, tokens_out=10)) as server,
            Each(tmp_path, workers=workers) as gateway,
        ):
            # 0.1 CNY is reserved for 100 tokens, and 0.01 CNY used: a budget for ten reservations serves a hundred requests.
            gateway.route("m", server.url, price=Price(per_million_output_tokens="1000 CNY"))
            key = gateway.key(budget="1 CNY")
            statuses: Counter[int] = Counter()
            for _ in range(120):
                statuses[(await gateway.chat(key, max_tokens=100)).status] += 1
            assert 85 <= statuses[200] <= 100
            await gateway.settled()
            assert sum(row["settled"] for row in gateway.rows()) <= 10**9
            assert gateway.reconcile().balanced

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_requests_than_the_limit_a_minute_are_let_in_by_several_workers(tmp_path: Path, workers: int) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=workers) as gateway:
            gateway.route("m", server.url)
            key = gateway.key(rpm=30)
            found = await asyncio.gather(*(gateway.chat(key) for _ in range(120)))
            assert told(list(found)) == {(200, ""): 30, (429, "rate_limit_exceeded"): 90}
            refused = next(one for one in found if one.status == 429)
            assert 1 <= int(refused.headers["retry-after"]) <= SPAN + 1
            assert refused.headers.get("x-should-retry") != "false"
            later = await gateway.chat(key)
            assert later.status == 429 and len(server.requests) == 30

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_tokens_than_the_limit_a_minute_are_used_over_several_workers(tmp_path: Path, workers: int) -> None:
    async def story() -> None:
        async with (
            UpstreamServer(answers("yes", tokens_in=10, tokens_out=90)) as server,
            Each(tmp_path, workers=workers) as gateway,
        ):
            gateway.route("m", server.url)
            key = gateway.key(tpm=2000)
            found = await asyncio.gather(*(gateway.chat(key, max_tokens=90) for _ in range(80)))
            assert set(told(list(found))) == {(200, ""), (429, "rate_limit_exceeded")}
            await gateway.settled()
            used = sum(row["tokens_in"] + row["tokens_out"] for row in gateway.rows())
            # A request reserves its prompt, estimated, and its 90: all that fits is let in.
            assert 2000 - 200 <= used <= 2000
            alone = await gateway.chat(key, max_tokens=100_000)
            assert (alone.status, alone.headers["x-should-retry"]) == (429, "false")

    asyncio.run(story())


def test_a_key_may_use_its_routes_and_sees_no_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=2) as gateway:
            for name in ("a", "b", "secret"):
                gateway.route(name, server.url)
            key = gateway.key(routes=("a", "b", "coming"))
            found = {
                name: {(await gateway.chat(key, model=name)).status for _ in range(2)} for name in ("a", "b", "secret", "no")
            }
            assert found == {"a": {200}, "b": {200}, "secret": {404}, "no": {404}}
            one, other = [(await gateway.chat(key, model=name)).json["error"] for name in ("secret", "noroute")]
            assert one["code"] == other["code"] == "model_not_found"
            assert one["message"].replace("secret", "noroute") == other["message"]
            assert [model["id"] for model in (await gateway.get("/v1/models", key)).json["data"]] == ["a", "b"]
            gateway.route("coming", server.url)
            assert {(await gateway.chat(key, model="coming")).status for _ in range(2)} == {200}

    asyncio.run(story())


def test_a_budget_in_one_currency_pays_for_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=1) as gateway:
            gateway.route("dollars", server.url, price=Price(per_call="1 USD"))
            gateway.route("free", server.url)
            key = gateway.key(budget="100 CNY")
            answer = await gateway.chat(key, model="dollars")
            assert (answer.status, answer.json["error"]["code"]) == (403, "currency_mismatch")
            assert "CNY" in answer.json["error"]["message"] and "USD" in answer.json["error"]["message"]
            assert (await gateway.chat(key, model="free")).status == 200
            assert len(server.requests) == 1
            await gateway.settled()
            assert [row["settled"] for row in gateway.rows()] == [0] and gateway.reconcile().balanced

    asyncio.run(story())


def test_a_key_without_limits_asks_the_keeper_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Each(tmp_path, workers=2) as gateway:
            gateway.route("m", server.url, price=CALL)
            key = gateway.key()
            for _ in gateway.crew:
                await gateway.chat(key)
            asked: list[str] = []
            plain = gateway.keeper.answer

            async def answer(worker: str, word: str, body: Any) -> Any:
                asked.append(word)
                return await plain(worker, word, body)

            gateway.keeper.answer = answer  # type: ignore[method-assign]
            assert {(await gateway.chat(key)).status for _ in range(40)} == {200}
            # Counts and changes go their way whatever is asked; no request waits for them.
            assert set(asked) <= {"counts", "changes"}

    asyncio.run(story())


def test_leases_of_a_worker_that_was_killed_are_free_after_recovery(tmp_path: Path) -> None:
    async def story() -> None:
        go_on = asyncio.Event()
        async with UpstreamServer(endless(go_on), endless(go_on), answers("yes")) as server, Each(tmp_path, workers=2) as gateway:
            gateway.route("m", server.url, price=CALL, in_doubt="release")
            key = gateway.key(budget="8 CNY")
            live = [await gateway.stream(key, at=0) for _ in range(2)]
            row = gateway.context.database.row("SELECT granted - returned - charged AS held FROM leases WHERE worker = 'w0'")
            assert row is not None and row["held"] >= 2 * 10**9
            # What a kill leaves: a log that nobody holds, leases that nobody will give back.
            worker = gateway.crew[0]
            worker.plane.ledger._handle.close()  # type: ignore[union-attr]
            found = await gateway.keeper.left("w0")
            assert found.settled_in_doubt == 2
            assert gateway.context.database.row("SELECT 1 FROM leases WHERE worker = 'w0'") is None
            gateway.urls = gateway.urls[1:]
            statuses = Counter([(await gateway.chat(key)).status for _ in range(10)])
            assert statuses == {200: 8, 429: 2}
            # A worker that was given up gets nothing more, should it still be there.
            assert (await gateway.keeper.answer("w0", "lease", {"key": key.split("_")[1], "nanos": 1, "urgent": True}))["limit"]
            for one in live:
                one.response.close()
            go_on.set()
            await until(lambda: not worker.plane.under_way)
            assert gateway.reconcile().balanced

    asyncio.run(story())
