"""The gateway's figures as Prometheus reads them."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from pilotbase.gateway.counts import Counts
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.exposition import Totals, add, render

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def busy(requests: int, *, route: str = "chat", in_flight: int = 0) -> Counts:
    counts = Counts([route])
    for i in range(requests):
        counts.answered(
            Entry(
                id=f"r{i}",
                at=0.0,
                route=route,
                endpoint="chat",
                outcome="complete",
                status=200,
                read=10,
                wrote=2,
                cached=1,
                cost=1500,
                currency="CNY",
                seconds=0.1 * (i + 1),
                ttft=0.01,
                upstream_seconds=0.05,
                attempts=2,
            )
        )
    for _ in range(in_flight):
        counts.began(route)
    return counts


def samples(totals: Totals) -> Samples:
    text, _ = render(totals)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families(text.decode()) for s in f.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"pilotbase_gateway_{name}", frozenset(labels.items())]


def test_what_is_written_reads_back_with_the_sums_of_all_workers() -> None:
    totals = Totals()
    totals.take("w1", busy(3).snapshot())
    totals.take("w2", busy(2, in_flight=4).snapshot())
    found = samples(totals)
    assert value(found, "requests_total", route="chat", endpoint="chat", outcome="complete") == 5
    assert value(found, "input_tokens_total", route="chat") == 50
    assert value(found, "output_tokens_total", route="chat") == 10
    assert value(found, "cached_tokens_total", route="chat") == 5
    assert value(found, "cost_nanos_total", route="chat", currency="CNY") == 7500
    assert value(found, "retries_total", route="chat") == 5
    assert value(found, "requests_in_flight", route="chat") == 4
    assert value(found, "workers") == 2
    assert found["pilotbase_gateway_responses_total", frozenset({("class", "2xx")})] == 5
    assert value(found, "request_duration_seconds_count", route="chat") == 5
    assert value(found, "request_duration_seconds_sum", route="chat") == pytest.approx(0.9)
    assert value(found, "request_duration_seconds_bucket", route="chat", le="0.1") == 2
    assert value(found, "request_duration_seconds_bucket", route="chat", le="+Inf") == 5


def test_a_newer_snapshot_of_a_worker_replaces_its_earlier_one() -> None:
    totals = Totals()
    totals.take("w1", busy(3).snapshot())
    totals.take("w1", busy(4).snapshot())
    assert value(samples(totals), "requests_total", route="chat", endpoint="chat", outcome="complete") == 4


def test_a_dead_workers_counters_stay_and_what_it_had_in_flight_does_not() -> None:
    totals = Totals()
    totals.take("w1", busy(3, in_flight=7).snapshot())
    totals.bury("w1")
    totals.take("w1", busy(3, in_flight=7).snapshot())
    totals.bury("never-seen")
    totals.take("w2", busy(1).snapshot())
    found = samples(totals)
    assert value(found, "requests_total", route="chat", endpoint="chat", outcome="complete") == 4
    assert value(found, "requests_in_flight", route="chat") == 0
    assert value(found, "workers") == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 3)), max_size=20))
def test_totals_never_fall_whatever_workers_come_and_go(steps: list[tuple[str, bool, int]]) -> None:
    totals = Totals()
    alive: dict[str, tuple[str, Counts]] = {}
    before: Samples = {}
    for i, (slot, dies, requests) in enumerate(steps):
        name, counts = alive.setdefault(slot, (f"{slot}{i}", Counts(["chat"])))
        for j in range(requests):
            counts.answered(
                Entry(id=f"{i}-{j}", at=0.0, route="chat", endpoint="chat", outcome="ok", status=200, seconds=0.1 * j)
            )
        totals.take(name, counts.snapshot())
        if dies:
            totals.bury(name)
            del alive[slot]
        now = samples(totals)
        falling = [key for key, old in before.items() if now[key] < old and key[0] != "pilotbase_gateway_workers"]
        assert falling == []
        before = now


def test_the_format_and_its_content_type_are_those_that_the_scraper_asks_for() -> None:
    totals = Totals()
    totals.take("w1", busy(1).snapshot())
    plain, kind = render(totals)
    assert kind.startswith("text/plain; version=0.0.4") and not plain.endswith(b"# EOF\n")
    text, kind = render(totals, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    names = {f.name for f in open_families(text.decode())}
    assert "pilotbase_gateway_requests" in names and "pilotbase_gateway_request_duration_seconds" in names


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", "application/openmetrics-text; version=x", ";;;,,,", "text/plain;version="]
)
def test_an_accept_header_that_nobody_understands_gets_text(accept: str) -> None:
    text, _ = render(Totals(), accept)
    assert b"pilotbase_gateway_workers" in text


def test_every_metric_is_explained_and_named_by_the_conventions() -> None:
    totals = Totals()
    counts = busy(1)
    counts.synced(0.01, 3)
    counts.found("pii", "mobile", "mask")
    counts.opened("chat", "main")
    counts.lost("spans", 1)
    totals.take("w1", counts.snapshot())
    found = list(families(render(totals)[0].decode()))
    assert len(found) >= 20
    for family in found:
        assert family.documentation and family.name.startswith("pilotbase_gateway_"), family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_records")), family.name


def test_a_route_with_odd_signs_in_its_name_is_read_back_whole() -> None:
    totals = Totals()
    totals.take("w1", busy(1, route='org/model:7b@"quoted"\\n').snapshot())
    found = samples(totals)
    assert value(found, "input_tokens_total", route='org/model:7b@"quoted"\\n') == 10


def test_snapshots_of_different_versions_are_not_added_in_silence() -> None:
    with pytest.raises(ValueError, match=r"longer|shorter"):
        add({"counts": [1, 2]}, {"counts": [1, 2, 3]})
