"""The gateway's figures as Prometheus reads them: the snapshots of all workers added up and written out.

Formats: Prometheus text exposition 0.0.4, or OpenMetrics 1.0.0, as the scraper's `Accept` header asks.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from pilotbase.gateway.counts import MICRO, RECORDS, SECONDS

__all__ = ["Totals", "add", "render"]

Snapshot = Mapping[str, Any]
Row = tuple[tuple[str, ...], Any]
_BURIED = 1000


class Totals(Collector):
    """The sums over all workers that ever reported in the life of this process.

    A worker's snapshot replaces its earlier one. The counters of a worker that ended stay in the sums, so totals never fall;
    what it had in flight does not.
    """

    def __init__(self) -> None:
        self._live: dict[str, Snapshot] = {}
        self._past: Snapshot = {}
        self._buried: deque[str] = deque(maxlen=_BURIED)

    def take(self, worker: str, snapshot: Snapshot) -> None:
        """The newest snapshot of a worker. `worker` names one incarnation: a process that replaces another has its own name."""
        if worker not in self._buried:
            self._live[worker] = snapshot

    def bury(self, worker: str) -> None:
        """A worker ended. A snapshot of it that arrives late is not counted again."""
        last = self._live.pop(worker, None)
        self._buried.append(worker)
        if last is not None:
            still = {name: {**route, "in_flight": 0} for name, route in last.get("routes", {}).items()}
            self._past = add(self._past, {**last, "routes": still})

    def sums(self) -> Snapshot:
        """All of it added up, in the shape of a snapshot."""
        total = self._past
        for snapshot in self._live.values():
            total = add(total, snapshot)
        return total

    def collect(self) -> Iterator[Metric]:
        """The metric families, for prometheus_client."""
        total = self.sums()
        routes = total.get("routes", {})
        yield _gauge("workers", "Workers that serve at present", (), [((), len(self._live))])
        yield from _traffic(routes)
        yield from _times(routes)
        yield _counter("responses", "Answers by class of HTTP status", ("class",), _rows(total.get("classes", {}), 1))
        yield _counter("errors", "Answers that were an error, by its code", ("code",), _rows(total.get("refusals", {}), 1))
        yield _counter(
            "guard_findings",
            "What guards found, and what was done about it",
            ("guard", "rule", "action"),
            _rows(total.get("findings", {}), 3),
        )
        yield _counter("dropped_records", "Records that a slow sink lost", ("sink",), _rows(total.get("dropped", {}), 1))
        for name, help_text, key, bounds in (
            ("ledger_sync_seconds", "Time to make the ledger durable", "ledger_sync", SECONDS),
            ("ledger_batch_records", "Ledger records made durable at once", "ledger_batch", RECORDS),
        ):
            yield _histogram(name, help_text, (), [((), total[key])] if key in total else [], bounds)


def render(totals: Totals, accept: str = "") -> tuple[bytes, str]:
    """(the document, its content type): OpenMetrics 1.0.0 where an `Accept` header names it, else plain text 0.0.4."""
    for asked in accept.split(","):
        kind, *parameters = (part.strip() for part in asked.split(";"))
        versions = [part for part in parameters if part.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            text: bytes = openmetrics.generate_latest(totals, version="1.0.0")  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
    return exposition.generate_latest(totals), exposition.CONTENT_TYPE_PLAIN_0_0_4


def add(one: Any, other: Any) -> Any:
    """Two snapshots as one: objects by their keys, lists by their places, numbers added. What only one has stays as it is.

    Raises ValueError where two lists differ in length: they come from different versions.
    """
    if isinstance(one, Mapping):
        both = dict(one)
        for key, value in other.items():
            both[key] = add(both[key], value) if key in both else value
        return both
    if isinstance(one, Sequence):
        return [a + b for a, b in zip(one, other, strict=True)]
    return one + other


def _traffic(routes: Mapping[str, Snapshot]) -> Iterator[Metric]:
    yield _counter(
        "requests",
        "Requests that were answered",
        ("route", "endpoint", "outcome"),
        [((name, *labels), value) for name, route in routes.items() for labels, value in _rows(route["requests"], 2)],
    )
    for name, help_text, key in (
        ("input_tokens", "Tokens read; those from a cache are among them", "read"),
        ("output_tokens", "Tokens written", "wrote"),
        ("cached_tokens", "Of the tokens read, those that the upstream had kept", "cached"),
        ("retries", "Further attempts at an upstream", "retries"),
        ("cut_streams", "Streams that ended before their end", "cut"),
        ("in_doubt_settlements", "Requests settled by policy, because what they used is unknown", "in_doubt"),
    ):
        yield _counter(name, help_text, ("route",), [((route,), values[key]) for route, values in routes.items()])
    yield _counter(
        "cost_nanos",
        "What requests cost, in billionths of a unit of the currency; the ledger is the account",
        ("route", "currency"),
        [((name, *labels), value) for name, route in routes.items() for labels, value in _rows(route["cost"], 1)],
    )
    yield _counter(
        "breaker_opens",
        "Times that the circuit breaker of an upstream opened",
        ("route", "upstream"),
        [((name, *labels), value) for name, route in routes.items() for labels, value in _rows(route["breaker_opens"], 1)],
    )
    in_flight: list[Row] = [((name,), route["in_flight"]) for name, route in routes.items()]
    yield _gauge("requests_in_flight", "Requests under way", ("route",), in_flight)


def _times(routes: Mapping[str, Snapshot]) -> Iterator[Metric]:
    for name, help_text, key in (
        ("request_duration_seconds", "From the first byte of a request to the last of its answer", "seconds"),
        ("time_to_first_byte_seconds", "From the first byte of a request to the first of its answer's content", "first_byte"),
        ("upstream_duration_seconds", "Of a request, the time for upstreams", "upstream_seconds"),
        ("overhead_seconds", "Of a request, the time that the gateway itself took", "overhead"),
        ("queue_wait_seconds", "Waiting for a place at an upstream", "queue_wait"),
    ):
        yield _histogram(name, help_text, ("route",), [((route,), values[key]) for route, values in routes.items()], SECONDS)


def _rows(table: Mapping[str, Any], depth: int) -> list[Row]:
    if depth == 1:
        return [((label,), value) for label, value in table.items()]
    return [((label, *rest), value) for label, inner in table.items() for rest, value in _rows(inner, depth - 1)]


def _counter(name: str, help_text: str, labels: Sequence[str], rows: Sequence[Row]) -> Metric:
    family = CounterMetricFamily(f"pilotbase_gateway_{name}", help_text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _gauge(name: str, help_text: str, labels: Sequence[str], rows: Sequence[Row]) -> Metric:
    family = GaugeMetricFamily(f"pilotbase_gateway_{name}", help_text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(name: str, help_text: str, labels: Sequence[str], rows: Sequence[Row], bounds: Sequence[float]) -> Metric:
    family = HistogramMetricFamily(f"pilotbase_gateway_{name}", help_text, labels=labels)
    for values, kept in rows:
        so_far, buckets = 0, []
        for bound, number in zip([*map(str, map(float, bounds)), "+Inf"], kept["counts"], strict=True):
            so_far += number
            buckets.append((bound, so_far))
        family.add_metric(values, buckets, kept["micros"] / MICRO)
    return family
