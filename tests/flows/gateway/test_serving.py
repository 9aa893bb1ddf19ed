"""Requests through the whole gateway: what goes out is what came, but for what has to change."""

import asyncio
from pathlib import Path

from tests.fakes.gateway import Serving
from tests.fakes.upstream_server import UpstreamServer, answers, sends

from pilotbase.domain.price import Price

PRICE = Price(per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")


def test_a_chat_is_answered_metered_and_balanced(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes", tokens_in=11, tokens_out=3)) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, price=PRICE)
            key = gateway.key(budget="1 CNY")
            answer = await gateway.chat(key)
            assert answer.status == 200
            assert answer.json["choices"][0]["message"]["content"] == "yes"
            assert answer.headers["x-request-id"].startswith("w0-")
            await gateway.settled()
            (row,) = gateway.rows()
            assert (row["state"], row["tokens_in"], row["tokens_out"], row["source"]) == ("settled", 11, 3, "upstream")
            assert row["settled"] == 11 * 2000 + 3 * 6000
            assert row["reserved"] == row["settled"] + row["released"]
            assert gateway.reconcile().balanced

    asyncio.run(story())


def test_unknown_fields_pass_through_untouched_both_ways(tmp_path: Path) -> None:
    reply = b'{"id":"x", "choices":[],  "unknown":{"a":1.50,"a":2},"usage":{"prompt_tokens":1,"completion_tokens":0}}'
    body = b'{"model":"m","messages":[{"role":"user","content":"\\u4f60"}],"future":{"x":[1,2.50,1e30]},"temperature":1.0}'

    async def story() -> None:
        async with UpstreamServer(sends(reply, kind="application/json")) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url)
            answer = await gateway.post("/v1/chat/completions", gateway.key(), body)
            assert answer.body == reply
            assert server.requests[0].body == body

    asyncio.run(story())


def test_two_workers_share_a_port_and_a_budget(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes")) as server, Serving(tmp_path, workers=2) as gateway:
            gateway.route("m", server.url, price=Price(per_call="1 CNY"))
            key = gateway.key(budget="50 CNY")
            found = await asyncio.gather(*(gateway.chat(key) for _ in range(200)))
            assert sorted({one.status for one in found}) == [200, 429]
            assert sum(one.status == 200 for one in found) == 50
            refused = next(one for one in found if one.status == 429)
            assert refused.json["error"]["code"] == "insufficient_quota"
            assert refused.headers["x-should-retry"] == "false"
            await gateway.settled()
            assert sum(row["settled"] for row in gateway.rows()) == 50 * 10**9
            assert gateway.reconcile().balanced

    asyncio.run(story())
