"""What a worker counts."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.counts import OTHER, SECONDS, Counts, Histogram, count
from pilotbase.gateway.entry import NO_ROUTE, Entry, drawn


def entry(**changes: object) -> Entry:
    given: dict[str, object] = {"id": "r1", "at": 0.0, "route": "chat", "endpoint": "chat", "outcome": "complete", "status": 200}
    return Entry(**{**given, **changes})  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 2000)))
def test_every_value_falls_into_the_bucket_whose_bound_is_the_first_not_below_it(values: list[float]) -> None:
    kept = Histogram()
    for value in values:
        kept.add(value)
    for i, bound in enumerate(SECONDS):
        assert sum(kept.counts[: i + 1]) == sum(value <= bound for value in values)
    assert sum(kept.counts) == len(values)
    assert abs(kept.micros / 1e6 - sum(values)) <= 1e-6 * (len(values) + 1) + 1e-9 * sum(values)


def test_a_time_below_zero_counts_as_zero() -> None:
    kept = Histogram()
    kept.add(-1.0)
    assert (kept.counts[0], kept.micros) == (1, 0)


def test_an_answered_request_is_counted_once_everywhere() -> None:
    counts = Counts(["chat"])
    counts.began("chat")
    assert counts.of("chat").in_flight == 1
    counts.ended(
        entry(
            read=10,
            wrote=5,
            cached=4,
            cost=7,
            currency="CNY",
            seconds=1.0,
            ttft=0.2,
            upstream_seconds=0.6,
            waited=0.3,
            attempts=3,
        )
    )
    route = counts.snapshot()["routes"]["chat"]
    assert route["requests"] == {"chat": {"complete": 1}}
    assert (route["read"], route["wrote"], route["cached"], route["cost"]) == (10, 5, 4, {"CNY": 7})
    assert (route["in_flight"], route["retries"]) == (0, 2)
    assert route["seconds"]["micros"] == 1_000_000
    assert route["first_byte"]["micros"] == 200_000
    assert route["upstream_seconds"]["micros"] == 600_000
    assert route["overhead"]["micros"] == pytest.approx(100_000, abs=1)
    assert counts.snapshot()["classes"]["2xx"] == 1


def test_a_request_that_no_upstream_saw_has_no_upstream_time_and_no_overhead() -> None:
    counts = Counts(["chat"])
    counts.answered(entry(status=429, error="rate_limit_exceeded", outcome="refused"))
    route = counts.snapshot()["routes"]["chat"]
    assert sum(route["upstream_seconds"]["counts"]) == sum(route["overhead"]["counts"]) == 0
    assert counts.snapshot()["refusals"] == {"rate_limit_exceeded": 1}
    assert counts.snapshot()["classes"]["4xx"] == 1


def test_names_that_callers_make_up_never_become_labels() -> None:
    counts = Counts(["chat"])
    for i in range(1000):
        counts.answered(entry(route=f"made-up-{i}", key=f"key{i}"))
    assert set(counts.snapshot()["routes"]) == {NO_ROUTE}
    assert "key7" not in orjson.dumps(counts.snapshot()).decode()


def test_words_without_end_are_bounded_and_the_rest_are_counted_together() -> None:
    table: dict[str, int] = {}
    for i in range(5000):
        count(table, f"code-{i}")
    assert len(table) <= 257 and sum(table.values()) == 5000 and table[OTHER] == 5000 - 256
    counts = Counts(["chat"])
    for i in range(2000):
        counts.answered(entry(outcome=f"o{i}", error=f"e{i}"))
        counts.found(f"g{i}", "rule", "mask")
        counts.found("g0", "rule", "mask")
    snapshot = counts.snapshot()
    assert (
        sum(snapshot["routes"]["chat"]["requests"]["chat"].values()) + snapshot["routes"]["chat"]["requests"][OTHER][OTHER]
        == 2000
    )
    assert sum(n for rules in snapshot["findings"].values() for kinds in rules.values() for n in kinds.values()) == 4000
    assert snapshot["findings"]["g0"]["rule"]["mask"] == 2001


def test_a_route_that_went_away_keeps_its_counts_and_a_new_one_gets_its_own() -> None:
    counts = Counts(["old"])
    counts.answered(entry(route="old"))
    counts.know(["new"])
    counts.answered(entry(route="new"))
    assert set(counts.snapshot()["routes"]) == {"old", "new"}


def test_everything_else_that_happens_is_counted() -> None:
    counts = Counts(["chat"])
    counts.answered(entry())
    counts.queued("chat", 0.02)
    counts.opened("chat", "main")
    counts.cut("chat")
    counts.doubted("chat")
    counts.synced(0.004, 12)
    counts.found("pii", "mobile", "mask")
    counts.lost("access log", 3)
    counts.lost("access log", 5)
    snapshot = counts.snapshot()
    route = snapshot["routes"]["chat"]
    assert (route["breaker_opens"], route["cut"], route["in_doubt"]) == ({"main": 1}, 1, 1)
    assert route["queue_wait"]["micros"] == 20_000
    assert snapshot["ledger_batch"]["micros"] == 12_000_000 and sum(snapshot["ledger_sync"]["counts"]) == 1
    assert snapshot["findings"] == {"pii": {"mobile": {"mask": 1}}}
    assert snapshot["dropped"] == {"access log": 5}


def test_a_snapshot_goes_over_the_wire_and_stays_as_it_was() -> None:
    counts = Counts(["chat"])
    counts.answered(entry(cost=10**17, currency="CNY"))
    taken = counts.snapshot()
    sent = orjson.loads(orjson.dumps(taken))
    counts.answered(entry())
    assert taken == sent


def test_a_sample_is_the_same_everywhere_and_as_large_as_its_share() -> None:
    ids = [f"req-{i}" for i in range(4000)]
    chosen = [one for one in ids if drawn(one, 0.25)]
    assert abs(len(chosen) - 1000) < 150
    assert set(chosen) <= {one for one in ids if drawn(one, 0.5)}
    assert not any(drawn(one, 0.0) for one in ids) and all(drawn(one, 1.0) for one in ids)
