"""What shadows add to the latency of the requests that they copy: paired blocks on one running gateway.

    python bench/shadow.py [--rates 25,100] [--pairs 150] [--requests 10] [--streams]

Two routes of one gateway have the same upstream; one of them is under a release that copies every request to a candidate, and
scores none. Requests come at random times (Poisson) of the same schedule to both sides of a pair, in random order, and each
is timed from its scheduled moment. A shadow runs after its answer went out, so that it can hold up only those which come later:
whole blocks are compared, and between two of them shadows have time to end. The median of the paired differences of the blocks'
medians is shown with its upper 95 % bound by the sign test (Conover, Practical Nonparametric Statistics, section 3.4: order
statistics, no assumption on the distribution).
"""

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway_load import bodies
from gateway_process import cpu_seconds
from gateway_sides import Side, free_port, reconciled, running, upstream, wait_ready
from measure import bench_environment, footer, median, table

from pilotbase.context import SystemClock, open_context
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Arm, Route, Tie, Upstream
from pilotbase.gateway import keys, routes
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.store.disk import LocalDisk

PRICE = Price(per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
SIDES = ("alone", "shadowed")
REST_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
WATCHED_SECONDS = 120.0
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """What came of one rate: medians of all requests of each side, and of the paired differences with its bound, in ms."""

    rate: float
    requests: int
    medians: dict[str, float]
    added: float
    upper: float


def upper_bound(values: Sequence[float], level: float = 0.95) -> float:
    """The one-sided upper bound for the median of what `values` are drawn from: infinite where there are too few."""
    ordered, n = sorted(values), len(values)
    below = 0.0
    for k in range(n):
        below += math.comb(n, k) / 2**n  # P(at most k of them lie below the median)
        if below >= level:
            return ordered[k]
    return math.inf


@contextmanager
def gateway(folder: Path, upstream_port: int) -> Iterator[Side]:
    """`pilotbase serve` with the two routes."""
    home = folder / "home"
    environment = bench_environment(home)
    now = datetime.now(UTC)
    with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets={}.get) as context:
        pepper = load_pepper(home, None)
        _, token = keys.create(
            context.database, pepper, keys.Wanted(name="bench", budget=parse_money("1000000 CNY")), who="bench", now=now
        )
        purse, _ = keys.create(
            context.database, pepper, keys.Wanted(name="purse", budget=parse_money("1000000 CNY")), who="bench", now=now
        )
        one = Upstream(url=f"http://127.0.0.1:{upstream_port}/v1")
        tie = Tie(policy="allow", by="bench", reason="measuring")
        arm = Arm(release="bench", upstreams=(one,), tie=tie, shadow=1.0, price=PRICE, purse=purse.id)
        for name in SIDES:
            route = Route(name=name, upstreams=(one,), price=PRICE, tie=tie)
            routes.put(context.database, route, who="bench", now=now)
        shadowed = replace(route, arm=arm)
        routes.put(context.database, shadowed, who="bench", now=now, replace=True, release=True)
    port = free_port()
    command = [sys.executable, "-m", "pilotbase", "serve", "--port", str(port)]
    with running(command, environment=environment, folder=folder) as process:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz", folder)
        yield Side(name="pilotbase", port=port, key=token, warm=3.0, slow=False, pid=process.pid)


class Line(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.answered: asyncio.Future[bool] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    @property
    def closed(self) -> bool:
        """Whether the other side has ended it."""
        return self.transport is None or self.transport.is_closing()

    def ask(self, request: bytes) -> "asyncio.Future[bool]":
        """Send a request; whether it was answered with 200, when its last byte has come."""
        assert self.transport is not None
        self.buffer.clear()
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answered

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.answered is None or self.answered.done():
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            whole = len(self.buffer) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        else:
            whole = self.buffer.endswith(LAST_CHUNK)
        if whole:
            self.answered.set_result(head.startswith(b"http/1.1 200"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(False)


class Client:
    """Requests at given moments over as many connections as it takes."""

    def __init__(self, port: int, request: dict[str, bytes]) -> None:
        self.port = port
        self.request = request
        self.free: list[Line] = []

    async def block(self, side: str, schedule: Sequence[float]) -> list[float]:
        """Milliseconds from each scheduled moment (seconds from now) to the last byte. RuntimeError where one failed."""
        start = time.perf_counter() + 0.01
        return list(await asyncio.gather(*(self._one(side, start + at) for at in schedule)))

    async def _one(self, side: str, at: float) -> float:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        line = self.free.pop() if self.free else None
        if line is None or line.closed:  # the gateway ends those that were not used for a while
            _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", self.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            well = await line.ask(self.request[side])
        if not well:
            raise RuntimeError(f"a request failed: {bytes(line.buffer[:300])!r}")
        taken = 1000 * (time.perf_counter() - at)
        self.free.append(line)
        return taken

    def close(self) -> None:
        for line in self.free:
            if line.transport is not None:
                line.transport.close()


async def compare(client: Client, rate: float, pairs: int, requests: int) -> Paired:
    """All pairs of one rate, in requests a second."""
    chance = random.Random(7)
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    differences = []
    for _ in range(pairs):
        gaps = [chance.expovariate(rate) for _ in range(requests)]
        schedule = [sum(gaps[: n + 1]) for n in range(requests)]
        middle = {}
        for side in SIDES if chance.random() < 0.5 else SIDES[::-1]:
            taken = await client.block(side, schedule)
            await asyncio.sleep(REST_SECONDS)
            times[side] += taken
            middle[side] = median(taken)
        differences.append(middle["shadowed"] - middle["alone"])
    return Paired(
        rate=rate,
        requests=2 * pairs * requests,
        medians={side: median(taken) for side, taken in times.items()},
        added=median(differences),
        upper=upper_bound(differences),
    )


async def measure(side: Side, home: Path, request: dict[str, bytes], given: argparse.Namespace) -> list[Paired]:
    """All rates, once shadows are asked: they are not before the keeper vouches that the release is watched."""
    client = Client(side.port, request)
    try:
        deadline = time.monotonic() + WATCHED_SECONDS
        while not shadows(home):
            if time.monotonic() > deadline:
                raise RuntimeError("no shadow was asked: the keeper does not vouch for the release")
            for name in SIDES:
                await client.block(name, [n / 50 for n in range(50)])
            await asyncio.sleep(1.0)
        found = []
        for rate in given.rates:
            found.append(await compare(client, rate, given.pairs, given.requests))
            print(f"{rate:g}/s: {found[-1].added:.3f} ms added, at most {found[-1].upper:.3f}", file=sys.stderr)
        await asyncio.sleep(2.0)  # the keeper applies a batch within a second
        return found
    finally:
        client.close()


def shadows(home: Path) -> int:
    """How many shadows the account of a home holds."""
    with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets={}.get) as context:
        row = context.database.row("SELECT COUNT(*) AS number FROM requests WHERE arm = 'shadow' AND state = 'settled'")
        return int(row["number"]) if row is not None else 0


def request_bytes(folder: Path, key: str, mode: str) -> dict[str, bytes]:
    """The request of each side, as it goes out."""
    document = json.loads(bodies(folder)[mode].read_text())
    found = {}
    for side in SIDES:
        body = json.dumps({**document, "model": side}, separators=(",", ":")).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        found[side] = f"{head}Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    return found


def show(found: Sequence[Paired], mode: str) -> str:
    """One table: a row a rate."""
    rows = [
        (
            f"{one.rate:g}",
            f"{one.requests:,}",
            f"{one.medians['alone']:.2f}",
            f"{one.medians['shadowed']:.2f}",
            f"{one.added:+.3f}",
            f"{one.upper:+.3f}",
        )
        for one in found
    ]
    what = "streams" if mode == "stream" else "whole answers"
    heads = (f"{what}, requests/s", "requests", "median ms alone", "shadowed", "median added, paired", "upper 95 % bound")
    return table(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", type=_rates, default=[25.0, 100.0], help="requests a second, low and moderate")
    parser.add_argument("--pairs", type=int, default=150, help="pairs of blocks")
    parser.add_argument("--requests", type=int, default=10, help="of each block")
    parser.add_argument("--streams", action="store_true", help="streams of 66 chunks instead of whole answers")
    given = parser.parse_args()
    mode = "stream" if given.streams else "whole"
    with tempfile.TemporaryDirectory(prefix="bench-shadow-") as made:
        folder = Path(made)
        home = folder / "home"
        (folder / "upstream").mkdir()
        with upstream(folder / "upstream", 1) as port, gateway(folder, port) as side:
            before = cpu_seconds(side.serving())
            found = asyncio.run(measure(side, home, request_bytes(folder, side.key, mode), given))
            spent = cpu_seconds(side.serving()) - before
            copied = shadows(home)
        print(show(found, mode))
        asked = sum(one.requests for one in found)
        print(f"\n{copied:,} shadows beside {asked:,} measured requests; the worker used {spent:.1f} s of processor time")
        print(f"our account afterwards: {reconciled(home)}\n")
        print(footer(("uvicorn", "httptools", "uvloop", "aiohttp", "orjson")))


def _rates(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


if __name__ == "__main__":
    main()
