"""Shadows over real sockets: they cost the caller nothing, reach nobody, keep within their budget, and are in the account."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.gateway import until
from tests.fakes.patience import PATIENCE
from tests.fakes.released import PRICE, Released, text_of
from tests.fakes.upstream_server import answers, hangs, holds, piece, says, streams, usage_only

from pilotbase.domain.traffic import GuardUse, Upstream
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.shadow import MOST_WAITING

COST = 10**6 + 11 * 2000 + 3 * 6000
"""Nanos of one answer of the upstreams here."""


async def over(one: Released) -> None:
    """Every request and every shadow is settled and applied, and the account balances."""
    await one.gateway.settled()
    assert one.gateway.reconcile().balanced and one.gateway.reconcile().problems == ()


def test_a_shadow_is_a_row_of_its_own_paid_by_the_release_and_told_to_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            purse = one.purse("1 CNY")
            await one.put(shadow=1.0, purse=purse)
            seen = [await one.ask(f"q{n}") for n in range(10)]
            assert {text_of(answer) for answer in seen} == {"old"}
            assert not [name for answer in seen for name in answer.headers if name.startswith("x-pilotbase")]
            await over(one)
            live, shadows = one.rows("stable"), one.rows("shadow")
            assert len(live) == len(shadows) == 10
            assert {row["copy_of"] for row in shadows} == {row["id"] for row in live} == {a.headers["x-request-id"] for a in seen}
            customer = one.gateway.find_key(one.token).id
            assert {(row["access_key"], row["settled"]) for row in live} == {(customer, COST)}
            assert {(row["access_key"], row["settled"]) for row in shadows} == {(purse, COST)}
            assert {row["person"] for row in shadows} == {row["person"] for row in live}
            by_key = {line.key: line.settled for line in one.gateway.reconcile().lines}
            assert by_key == {customer: 10 * COST, purse: 10 * COST}

    asyncio.run(story())


def test_shadows_may_be_priced_apart_and_go_out_without_what_names_the_caller(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(shadow=1.0, price=None)
            await one.ask(headers={"X-Pilotbase-User": "Wang Fang", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
            await over(one)
            (row,) = one.rows("shadow")
            assert (row["settled"], row["tokens_in"]) == (0, 11)
            sent = one.new.requests[0]
            assert sent.document == one.old.requests[0].document
            assert "traceparent" not in sent.headers and "wang" not in str(sent.headers).lower()

    asyncio.run(story())


def test_half_a_share_copies_about_half_and_always_the_same(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    n = size(120, 2_000)

    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(shadow=0.5)
            for i in range(n):
                await one.ask(f"q{i}")
            await over(one)
            copied = len(one.rows("shadow")) + one.gateway.crew[0].gateway.shadows.dropped
            assert abs(copied - n / 2) < 5 * (n / 4) ** 0.5

    asyncio.run(story())


def test_the_budget_of_shadows_is_never_exceeded_by_a_nano_even_with_many_at_once(tmp_path: Path) -> None:
    budget = 7 * COST + COST // 2  # of which the last part suffices for nobody

    async def story() -> None:
        async with Released(tmp_path, workers=2) as one:
            purse = one.purse(f"{budget / 1e9:.9f} CNY")
            await one.put(shadow=1.0, purse=purse, concurrency=16)
            seen = await asyncio.gather(*(one.ask(f"q{n}", max_tokens=3) for n in range(60)))
            assert {text_of(answer) for answer in seen} == {"old"}
            await over(one)
            spent = [row["settled"] + row["overrun"] for row in one.rows("shadow")]
            assert 0 < sum(spent) <= budget and len(spent) == len(one.new.requests)
            assert len(one.rows("stable")) == 60

    asyncio.run(story())


@pytest.mark.parametrize(
    "carried",
    [
        {"tools": [{"type": "function", "function": {"name": "pay", "parameters": {}}}]},
        {"functions": [{"name": "pay", "parameters": {}}]},
        {"web_search_options": {}, "tools": [{"type": "web_search"}]},
    ],
)
def test_a_request_with_tools_is_not_copied(tmp_path: Path, carried: dict[str, Any]) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(shadow=1.0)
            assert text_of(await one.ask(**carried)) == "old"
            await over(one)
            assert not one.new.requests and one.gateway.crew[0].gateway.shadows.left_out == 1
            await one.put(shadow=1.0, tools="ask")
            await one.ask(**carried)
            await over(one)
            assert len(one.new.requests) == 1

    asyncio.run(story())


def test_what_goes_on_from_an_earlier_answer_or_was_not_served_is_not_copied(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, stable=says(500)) as one:
            await one.put(shadow=1.0)
            assert (await one.ask()).status == 502
            assert (await one.ask(model="nothing")).status == 404
            one.old.behaviours = (answers("old"),)
            body = {"model": "m", "input": "hi"}
            first = await one.gateway.post("/v1/responses", one.token, body)
            assert first.status in (200, 503)
            await one.gateway.settled()
            copied = len(one.new.requests)
            again = await one.gateway.post("/v1/responses", one.token, {**body, "previous_response_id": "resp_1"})
            await over(one)
            assert again.status in (200, 404, 503) and len(one.new.requests) == copied

    asyncio.run(story())


def test_streams_are_copied_whole_and_the_clients_is_the_same_with_and_without_them(tmp_path: Path) -> None:
    parts = [piece("y"), piece("e"), piece("s"), piece(None, finish="stop"), usage_only()]
    other = [piece("n"), piece("o"), piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        async with Released(tmp_path, stable=streams(parts), candidate=streams(other)) as one:
            before = await one.ask(stream=True)
            await one.put(shadow=1.0)
            during = await one.ask(stream=True)
            assert during.body == before.body and during.body.endswith(b"data: [DONE]\n\n")
            await over(one)
            (shadow,) = one.rows("shadow")
            assert (shadow["state"], shadow["outcome"], shadow["settled"]) == ("settled", "answered", COST)
            assert one.new.requests[0].document["stream_options"] == {"include_usage": True}

    asyncio.run(story())


def test_documents_are_the_same_with_and_without_shadows(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            before = await one.ask()
            await one.put(shadow=1.0)
            during = await one.ask()
            passing = {"x-request-id", "date"}
            assert during.body == before.body
            assert {k: v for k, v in during.headers.items() if k not in passing} == {
                k: v for k, v in before.headers.items() if k not in passing
            }
            await over(one)

    asyncio.run(story())


def test_a_candidate_that_hangs_delays_nobody_and_what_cannot_wait_is_dropped_and_counted(tmp_path: Path) -> None:
    more = MOST_WAITING + 20

    async def story() -> None:
        async with Released(tmp_path, candidate=hangs()) as one:
            await one.put(shadow=1.0, concurrency=2)
            async with asyncio.timeout(PATIENCE):
                for n in range(more):
                    assert text_of(await one.ask(f"q{n}")) == "old"
            worker = one.gateway.crew[0]
            await one.new.arrival(2)
            assert len(one.new.requests) == 2  # no more at once than the plan says
            await until(lambda: worker.gateway.shadows.dropped == more - MOST_WAITING)
            worker.report()
            assert worker.counts.dropped["shadows"] == more - MOST_WAITING
            # Shadows are no requests of the route's users.
            assert sum(worker.counts.routes["m"].requests.values()) == more
            # The end of the release ends those that wait; a stop ends those under way.
            one.gateway.stop("route", "m")
            await over(one)
            assert {row["outcome"] for row in one.rows("shadow")} == {"stopped"}

    asyncio.run(story())


def test_the_kill_switch_ends_shadows_too_and_what_they_used_is_settled(tmp_path: Path) -> None:
    async def pace(i: int) -> None:
        if i == 2:
            await asyncio.Event().wait()

    parts = [piece("y"), piece("e"), piece("s")]

    async def story(kind: str) -> None:
        async with Released(tmp_path / kind, stable=answers("old"), candidate=streams(parts, pace=pace)) as one:
            purse = one.purse("1 CNY")
            await one.put(shadow=1.0, purse=purse, concurrency=1)
            for n in range(3):
                assert (await one.ask(f"q{n}", stream=True)).status == 200
            began = await one.new.arrival(1)
            one.gateway.stop(kind, {"all": "", "route": "m", "key": purse}[kind])
            async with asyncio.timeout(PATIENCE):
                await began.gone()
                await one.gateway.settled()
            (row,) = one.rows("shadow")
            assert (row["outcome"], row["state"]) == ("stopped", "settled") and row["settled"] >= 10**6
            assert len(one.new.requests) == 1  # those that waited were never asked
            assert one.gateway.reconcile().balanced

    for kind in ("all", "route", "key"):
        asyncio.run(story(kind))


def test_shadows_that_wait_are_not_asked_once_the_release_is_over_or_unwatched(tmp_path: Path) -> None:
    async def story(end: str) -> None:
        go_on = asyncio.Event()
        async with Released(tmp_path / end, candidate=holds(go_on)) as one:
            await one.put(shadow=1.0, concurrency=1)
            for n in range(4):
                await one.ask(f"q{n}")
            await one.new.arrival(1)
            if end == "over":
                one.gateway.release(one.route, None)
            else:
                await one.gateway.watch(0.0)
            go_on.set()
            await over(one)
            assert len(one.new.requests) == 1 and len(one.rows("shadow")) == 1

    for end in ("over", "unwatched"):
        asyncio.run(story(end))


def test_two_releases_at_once_keep_to_their_own_limits(tmp_path: Path) -> None:
    async def story() -> None:
        go_on = asyncio.Event()
        async with Released(tmp_path, candidate=holds(go_on)) as one:
            await one.put(shadow=1.0, concurrency=1)
            second = one.gateway.route("n", one.old.url, price=PRICE)
            one.gateway.release(second, one.arm(release="r2", shadow=1.0, concurrency=2, purse=one.purse("1 CNY")))
            for n in range(5):
                await one.ask(f"q{n}")
                await one.ask(f"q{n}", model="n")
            await one.new.arrival(3)
            shadows = one.gateway.crew[0].gateway.shadows
            assert shadows._waiting == {"r1": 5, "r2": 5} and len(one.new.requests) == 3
            go_on.set()
            await over(one)
            assert len(one.rows("shadow")) == 10
            assert not shadows._waiting and not shadows._places and not shadows._bytes

    asyncio.run(story())


@pytest.mark.parametrize("purse", ["none", "unknown", "revoked", "empty"])
def test_without_a_purse_that_can_pay_nothing_is_asked_and_the_route_goes_on(tmp_path: Path, purse: str) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            token = one.gateway.key("p", budget="0.000001 CNY" if purse == "empty" else "1 CNY")
            if purse == "revoked":
                one.gateway.revoke(token)
            paying = {"none": "", "unknown": "0" * 16}.get(purse, one.gateway.find_key(token).id)
            await one.put(shadow=1.0, purse=paying)
            for n in range(3):
                assert text_of(await one.ask(f"q{n}")) == "old"
            await over(one)
            assert not one.new.requests and not one.rows("shadow")

    asyncio.run(story())


def test_a_failing_candidate_fails_in_the_account_of_its_shadows_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, candidate=says(500)) as one:
            await one.put(shadow=1.0)
            for n in range(4):
                assert text_of(await one.ask(f"q{n}")) == "old"
            await over(one)
            assert {row["outcome"].partition(":")[0] for row in one.rows("shadow")} == {"released"}
            assert {row["settled"] for row in one.rows("shadow")} == {0}
            # A later canary of the same worker is not held back by what shadows met at this release's own breaker.
            assert not one.gateway.crew[0].plane.breakers

    asyncio.run(story())


def test_guards_look_at_what_a_shadow_says_and_a_block_is_a_failure_of_the_candidate(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, candidate=answers("call 13800138000")) as one:
            one.route = one.gateway.route("m", one.old.url, price=PRICE, guards=[GuardUse(guard="pii", on="output")])
            await one.put(shadow=1.0)
            assert text_of(await one.ask()) == "old"
            await over(one)
            assert [row["outcome"] for row in one.rows("shadow")] == ["blocked"]

    asyncio.run(story())


def test_a_gateway_that_ends_settles_the_shadows_under_way(tmp_path: Path) -> None:
    async def pace(i: int) -> None:
        if i == 2:
            await asyncio.Event().wait()

    parts = [piece("y"), piece("e"), piece("s")]

    async def story() -> None:
        async with Released(tmp_path, candidate=streams(parts, pace=pace)) as one:
            await one.put(shadow=1.0)
            assert (await one.ask(stream=True)).status == 200
            await one.new.arrival(1)
            gateway, context = one.gateway, one.gateway.context
            worker = gateway.crew[0]
            await until(lambda: any(x.reading or x.first for x in worker.plane.under_way.values()))
            worker.leaving.set()
            async with asyncio.timeout(PATIENCE):
                await gateway._lives[0]
            await gateway.keeper.inside(gateway.keeper.apply_all)
            (row,) = one.rows("shadow")
            assert row["state"] == "settled" and row["settled"] > 0
            assert reconcile(context.database, gateway.keeper.folder, context.disk).balanced

    asyncio.run(story())


def test_sampled_bodies_of_every_arm_arrive_whole_or_without_what_is_too_large(tmp_path: Path) -> None:
    parts = [piece("y"), piece("es"), piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(shadow=1.0, sample=1.0, sample_stable=1.0, people=("customer/named",))
            plain, named = await one.ask("答案?"), await one.ask(user="named")
            await over(one)
            one.old.behaviours = one.new.behaviours = (streams(parts),)
            streamed = await one.ask(stream=True)
            await over(one)
            large = await one.ask("x" * 300_000, stream=True)
            await over(one)
            await until(lambda: len(one.samples()) == 7)
            found = one.samples()
            copy = {row["copy_of"]: row["id"] for row in one.rows("shadow")}
            names = [answer.headers["x-request-id"] for answer in (plain, named, streamed, large)]
            assert [found[name]["arm"] for name in names] == ["stable", "candidate", "stable", "stable"]
            first, shadow = found[names[0]], found[copy[names[0]]]
            assert orjson.loads(first["asked"])["messages"][0]["content"] == "答案?" and first["asked"] == shadow["asked"]
            assert first["answered"].encode() == plain.body and not first["streamed"]
            assert shadow["arm"] == "shadow" and "new" in shadow["answered"]
            assert found[names[2]]["streamed"] and found[names[2]]["answered"].encode() == streamed.body
            assert found[copy[names[2]]]["answered"].endswith("data: [DONE]\n\n")
            for one_ in (found[names[3]], found[copy[names[3]]]):
                assert one_["asked"] is None and one_["answered"] is None
            assert {(row["release_id"], row["endpoint"]) for row in found.values()} == {("r1", "chat")}

    asyncio.run(story())


def test_a_long_stream_is_sampled_without_bodies_rather_than_in_part(tmp_path: Path) -> None:
    parts = [piece("z" * 4_000) for _ in range(100)] + [piece(None, finish="stop"), usage_only()]

    async def story() -> None:
        async with Released(tmp_path, stable=streams(parts)) as one:
            await one.put(shadow=0.0, share=0.0, sample_stable=1.0)
            assert len((await one.ask(stream=True)).body) > 400_000
            await over(one)
            await until(one.samples)
            (row,) = one.samples().values()
            assert row["answered"] is None and row["asked"] is None

    asyncio.run(story())


def test_a_shadow_is_in_the_sample_where_its_original_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(shadow=1.0, sample=0.5, sample_stable=0.5)
            for n in range(30):
                await one.ask(f"q{n}")
            await over(one)
            copy = {row["copy_of"]: row["id"] for row in one.rows("shadow")}

            def pairs() -> set[tuple[bool, bool]]:
                kept = one.samples()
                return {(name in kept, copy[name] in kept) for name in copy}

            await until(lambda: pairs() == {(True, True), (False, False)})

    asyncio.run(story())


def test_a_shadow_takes_a_candidate_with_settings_of_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            upstream = Upstream(url=one.new.url, model="fresh-1", defaults={"temperature": 0})
            await one.put(shadow=1.0, upstreams=(upstream,))
            await one.ask()
            await over(one)
            assert one.new.requests[0].document["model"] == "fresh-1" and one.new.requests[0].document["temperature"] == 0
            assert one.old.requests[0].document["model"] == "m"

    asyncio.run(story())
