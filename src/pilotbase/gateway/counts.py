"""What a worker counts: plain integers and fixed buckets, added to on the event loop and read once a second.

Every set of labels is bounded: routes are those that the worker was told of, and of any other word the first few hundred are
told apart and the rest are counted as `other`. No key is a label.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pilotbase.gateway.entry import NO_ROUTE, Entry

__all__ = ["MICRO", "OTHER", "RECORDS", "SECONDS", "Counts", "Histogram", "RouteCounts"]

OTHER = "other"
MICRO = 1_000_000
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_MOST = 256
_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")

Table = dict[str, int]
Label = TypeVar("Label")


class Histogram:
    """How often a value fell into each bucket; bucket i holds values above bound i - 1 and up to bound i, the last one the rest.

    The sum is kept in whole millionths, so that sums added up in any order are equal and never fall.
    """

    __slots__ = ("bounds", "counts", "micros")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.micros = 0

    def add(self, value: float) -> None:
        """Count one value; one below 0 counts as 0."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0.0:
            self.micros += int(value * MICRO)

    def snapshot(self) -> dict[str, Any]:
        return {"counts": list(self.counts), "micros": self.micros}


class RouteCounts:
    """What is counted for one route."""

    __slots__ = (
        "breaker_opens",
        "cached",
        "cost",
        "cut",
        "first_byte",
        "in_doubt",
        "in_flight",
        "overhead",
        "queue_wait",
        "read",
        "requests",
        "retries",
        "seconds",
        "upstream_seconds",
        "wrote",
    )

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], int] = {}
        self.read = self.wrote = self.cached = 0
        self.cost: Table = {}
        self.in_flight = self.retries = self.cut = self.in_doubt = 0
        self.breaker_opens: Table = {}
        self.seconds = Histogram()
        self.first_byte = Histogram()
        self.upstream_seconds = Histogram()
        self.overhead = Histogram()
        self.queue_wait = Histogram()

    def snapshot(self) -> dict[str, Any]:
        requests: dict[str, Table] = {}
        for (endpoint, outcome), count in self.requests.items():
            requests.setdefault(endpoint, {})[outcome] = count
        return {
            "requests": requests,
            "read": self.read,
            "wrote": self.wrote,
            "cached": self.cached,
            "cost": dict(self.cost),
            "in_flight": self.in_flight,
            "retries": self.retries,
            "cut": self.cut,
            "in_doubt": self.in_doubt,
            "breaker_opens": dict(self.breaker_opens),
            "seconds": self.seconds.snapshot(),
            "first_byte": self.first_byte.snapshot(),
            "upstream_seconds": self.upstream_seconds.snapshot(),
            "overhead": self.overhead.snapshot(),
            "queue_wait": self.queue_wait.snapshot(),
        }


class Counts:
    """Everything that one incarnation of a worker counts. Counters only grow; `in_flight` is the one figure that falls."""

    __slots__ = ("_unknown", "classes", "dropped", "findings", "ledger_batch", "ledger_sync", "refusals", "routes")

    def __init__(self, routes: Iterable[str] = ()) -> None:
        self._unknown = RouteCounts()
        self.routes: dict[str, RouteCounts] = {}
        self.classes = [0] * len(_CLASSES)
        self.refusals: Table = {}
        self.findings: dict[tuple[str, str, str], int] = {}
        self.dropped: Table = {}
        self.ledger_sync = Histogram()
        self.ledger_batch = Histogram(RECORDS)
        self.know(routes)

    def know(self, routes: Iterable[str]) -> None:
        """Tell these routes apart from now on. What was counted for a route that went away stays."""
        for name in routes:
            if name not in self.routes:
                self.routes[name] = RouteCounts()

    def of(self, route: str) -> RouteCounts:
        """The counts of a route; those of the unknown ones together where it is none that is known."""
        return self.routes.get(route, self._unknown)

    def began(self, route: str) -> None:
        """A request was let in. `ended` must follow, whatever becomes of it."""
        self.routes.get(route, self._unknown).in_flight += 1

    def ended(self, entry: Entry) -> None:
        """A request that was let in is over."""
        self.routes.get(entry.route, self._unknown).in_flight -= 1
        self.answered(entry)

    def answered(self, entry: Entry) -> None:
        """A request got its answer, be it an error: counted by route, endpoint, outcome and status, with tokens and times."""
        route = self.routes.get(entry.route, self._unknown)
        pair = (entry.endpoint, entry.outcome)
        if pair in route.requests:
            route.requests[pair] += 1
        else:
            _first(route.requests, pair, (OTHER, OTHER), 1)
        place = entry.status // 100
        self.classes[place if 0 < place < 6 else 0] += 1
        route.read += entry.read
        route.wrote += entry.wrote
        route.cached += entry.cached
        if entry.cost:
            count(route.cost, entry.currency, entry.cost)
        if entry.error:
            count(self.refusals, entry.error)
        if entry.attempts > 1:
            route.retries += entry.attempts - 1
        route.seconds.add(entry.seconds)
        if entry.ttft is not None:
            route.first_byte.add(entry.ttft)
        spent = entry.upstream_seconds
        if spent is not None:
            route.upstream_seconds.add(spent)
            route.overhead.add(entry.seconds - entry.waited - spent)

    def queued(self, route: str, seconds: float) -> None:
        """A request waited this long for a place."""
        self.of(route).queue_wait.add(seconds)

    def opened(self, route: str, upstream: str) -> None:
        """The circuit breaker of an upstream opened."""
        count(self.of(route).breaker_opens, upstream)

    def cut(self, route: str) -> None:
        """A stream ended before its end."""
        self.of(route).cut += 1

    def doubted(self, route: str) -> None:
        """A request was settled by policy, because nobody can know what it used."""
        self.of(route).in_doubt += 1

    def synced(self, seconds: float, records: int) -> None:
        """The ledger was made durable: how long it took, and how many records it was."""
        self.ledger_sync.add(seconds)
        self.ledger_batch.add(records)

    def found(self, guard: str, rule: str, action: str) -> None:
        """A guard found something, and this is what was done."""
        label = (guard, rule, action)
        if label in self.findings:
            self.findings[label] += 1
        else:
            _first(self.findings, label, (OTHER, OTHER, action), 1)

    def lost(self, sink: str, total: int) -> None:
        """How many records a sink (the access log, spans) has dropped since this worker began."""
        self.dropped[sink] = total

    def snapshot(self) -> dict[str, Any]:
        """All of it as nested JSON objects whose leaves are integers or lists of them; made for `exposition.Totals`."""
        findings: dict[str, dict[str, Table]] = {}
        for (guard, rule, action), number in self.findings.items():
            findings.setdefault(guard, {}).setdefault(rule, {})[action] = number
        return {
            "routes": {
                name: route.snapshot() for name, route in ({NO_ROUTE: self._unknown} | self.routes).items() if _used(route)
            },
            "classes": dict(zip(_CLASSES, self.classes, strict=True)),
            "refusals": dict(self.refusals),
            "findings": findings,
            "dropped": dict(self.dropped),
            "ledger_sync": self.ledger_sync.snapshot(),
            "ledger_batch": self.ledger_batch.snapshot(),
        }


def count(table: Table, label: str, amount: int = 1) -> None:
    """Add to one word of a table, or to `other` once the table is full."""
    if label in table:
        table[label] += amount
    else:
        _first(table, label, OTHER, amount)


def _first(table: dict[Label, int], label: Label, other: Label, amount: int) -> None:
    if len(table) >= _MOST:
        label = other
    table[label] = table.get(label, 0) + amount


def _used(route: RouteCounts) -> bool:
    return bool(route.requests or route.in_flight or route.in_doubt or route.breaker_opens or any(route.queue_wait.counts))
