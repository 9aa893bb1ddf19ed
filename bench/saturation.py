"""Whether the runner keeps an endpoint busy: 200 ms an answer, 256 at once, against the ideal 1,280 a second.

    python bench/saturation.py [--cases 25600] [--latency-ms 200] [--concurrency 256]

Times are those of the recorded calls. The whole asking includes the climb to the limit.
A bare aiohttp loop on the same endpoint stands beside it: on two cores the endpoint has its share in what is missing.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import orjson
import polars as pl
from endpoint import chat_pilot, serving
from measure import bench_environment, footer, measure, table
from recorded import evidence, in_flight, span


def rate(rows: pl.DataFrame, start: float, stop: float) -> float:
    """Calls ended a second between two shares (0 to 1) of the asking."""
    ended = rows["started"] / 1e6 + rows["seconds"]
    first, length = float(rows["started"].min() / 1e6), span(rows)  # type: ignore[operator]
    low, high = first + start * length, first + stop * length
    return int(ended.is_between(low, high).sum()) / (high - low)


async def floor(url: str, calls: int, concurrency: int) -> float:
    """Calls a second of a bare aiohttp loop that records nothing: what this endpoint and this machine let anyone reach."""
    body = orjson.dumps({"model": "bench", "messages": [{"role": "user", "content": "x" * 330}]})
    numbers = iter(range(calls))

    async def ask(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            async with session.post(f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}) as reply:
                await reply.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(concurrency)))
        return calls / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=25_600)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--concurrency", type=int, default=256)
    given = parser.parse_args()
    ideal = given.concurrency / (given.latency_ms / 1000)
    with tempfile.TemporaryDirectory(prefix="bench-saturation-") as name, serving(latency_ms=given.latency_ms) as server:
        folder, home = Path(name), Path(name) / "home"
        chat_pilot(folder, server.url, given.cases, concurrency=given.concurrency)
        command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop"]
        told = measure(command, environment=bench_environment(home), folder=folder, codes=(0, 1, 3))
        rows = evidence(home)
        counted = server.stats()
        bare = asyncio.run(floor(server.url, given.cases, given.concurrency))
    whole, steady = rows.height / span(rows), rate(rows, 0.2, 0.9)
    print(
        table(
            ("stretch", "calls/s", "share of the ideal", "calls under way"),
            (
                ("ideal", f"{ideal:,.0f}", "100 %", given.concurrency),
                ("bare aiohttp loop, whole", f"{bare:,.0f}", f"{bare / ideal:.1%}", given.concurrency),
                ("whole asking", f"{whole:,.0f}", f"{whole / ideal:.1%}", f"{in_flight(rows, 0, 1):.0f}"),
                ("steady (from 20 % to 90 %)", f"{steady:,.0f}", f"{steady / ideal:.1%}", f"{in_flight(rows, 0.2, 0.9):.0f}"),
            ),
        )
    )
    seconds = rows["seconds"]
    print(
        f"\n{rows.height:,} calls of {given.latency_ms:g} ms; median {1000 * seconds.median():.0f} ms, "  # type: ignore[operator]
        f"99th percentile {1000 * seconds.quantile(0.99):.0f} ms; at most {counted['most']} at once; "  # type: ignore[operator]
        f"the process {told.cpu:.1f} s of CPU in {told.wall:.1f} s."
    )
    print("\n" + footer(("aiohttp", "uvloop")))


if __name__ == "__main__":
    main()
