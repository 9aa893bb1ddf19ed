"""What can be seen of a gateway from outside: figures, the access log, sampled bodies, and nothing that must not be seen."""

import asyncio
import tempfile
from pathlib import Path

import orjson
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes.gateway import Serving
from tests.fakes.upstream_server import UpstreamServer, answers

from pilotbase.domain.price import Price

SECRET = "upstream-secret-4711"


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def lines(folder: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines()]


def test_the_metrics_count_requests_tokens_syncs_and_refusals_and_nothing_stays_in_flight(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(answers("yes", tokens_in=11, tokens_out=3)) as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, price=Price(per_call="1 CNY"))
            key = gateway.key(budget="2 CNY")
            for _ in range(3):
                await gateway.chat(key)
            await gateway.chat(None)
            # What a worker reports and what it asks go the same way, in order: the report is there when the metrics are read.
            gateway.crew[0].report()
            found = figures((await gateway.get("/metrics")).body.decode())
            answered = (("endpoint", "chat"), ("outcome", "answered"), ("route", "m"))
            assert found["pilotbase_gateway_requests_total", answered] == 2
            assert found["pilotbase_gateway_input_tokens_total", (("route", "m"),)] == 22
            assert found["pilotbase_gateway_errors_total", (("code", "insufficient_quota"),)] == 1
            assert found["pilotbase_gateway_errors_total", (("code", "invalid_api_key"),)] == 1
            assert found["pilotbase_gateway_requests_in_flight", (("route", "m"),)] == 0
            assert found["pilotbase_gateway_ledger_sync_seconds_count", ()] >= 2

    asyncio.run(story())


def test_the_access_log_has_a_line_a_request_and_no_body_key_or_address(tmp_path: Path) -> None:
    environment = {"UPSTREAM_KEY": SECRET}

    async def story() -> tuple[str, str]:
        async with UpstreamServer(answers("the secret plan")) as server, Serving(tmp_path, environment=environment) as gateway:
            gateway.route("m", server.url, upstream={"key_env": "UPSTREAM_KEY"})
            key = gateway.key()
            await gateway.chat(key, text="a question of mine")
            await gateway.chat(key, stream=True)
            assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
            return key, server.url

    key, url = asyncio.run(story())
    found = lines(tmp_path / "gateway" / "logs")
    assert [(line["route"], line["status"], line["stream"]) for line in found] == [("m", 200, False), ("m", 200, True)]
    text = orjson.dumps(found).decode()
    for hidden in ("secret plan", "a question of mine", key, SECRET, url):
        assert hidden not in text
    assert found[0]["key"] == key.split("_")[1]


def test_bodies_are_kept_only_where_asked_for_and_without_personal_data(tmp_path: Path) -> None:
    mobile = "13800138000"

    async def story(home: Path, share: float) -> list[dict[str, object]]:
        async with UpstreamServer(answers(f"call {mobile}")) as server, Serving(home, options={"bodies": share}) as gateway:
            gateway.route("m", server.url)
            key = gateway.key()
            await gateway.chat(key, text=f"my number is {mobile}")
            await gateway.chat(key, stream=True)
        return lines(home / "gateway" / "bodies")

    assert asyncio.run(story(tmp_path / "off", 0.0)) == []
    kept = asyncio.run(story(tmp_path / "on", 1.0))
    assert len(kept) == 2
    text = orjson.dumps(kept).decode()
    assert "[手机号]" in text and mobile not in text


def test_the_administration_api_answers_through_a_worker_and_only_to_its_key() -> None:
    with tempfile.TemporaryDirectory(prefix="pb") as home:  # a Unix socket's path is short

        async def story() -> None:
            async with Serving(Path(home)) as gateway:
                admin = gateway.key("admin", admin=True)
                customer = gateway.key()
                assert (await gateway.get("/api/v1/routes")).status == 401
                assert (await gateway.get("/api/v1/routes", customer)).status in (401, 403)
                assert (await gateway.get("/api/v1/routes", admin)).status == 200
                assert (await gateway.get("/api/openapi.json")).json["openapi"].startswith("3.")

        asyncio.run(story())
