"""A run killed with SIGKILL at about half, and run again: calls paid for twice, cases lost, records on disk.

python bench/crash.py [--cases 10000] [--concurrency 32] [--latency-ms 20] [--kills 1]
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from endpoint import Endpoint, chat_pilot, serving
from measure import bench_environment, footer, measure, table
from recorded import evidence

COMMAND = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop"]


def cut(folder: Path, home: Path, server: Endpoint, calls: int) -> int:
    """Start the run and kill it once the endpoint has been asked `calls` times; the calls that it had then answered."""
    with subprocess.Popen(
        COMMAND, cwd=folder, env=bench_environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while server.stats()["requests"] < calls:
            if process.poll() is not None:
                raise RuntimeError("the run ended before it could be killed: use more cases")
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    return server.stats()["requests"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--kills", type=int, default=1, help="times it is killed, at equal distances")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-crash-") as name, serving(latency_ms=given.latency_ms) as server:
        folder, home = Path(name), Path(name) / "home"
        chat_pilot(folder, server.url, given.cases, concurrency=given.concurrency)
        cuts = [cut(folder, home, server, given.cases * (i + 1) // (given.kills + 1)) for i in range(given.kills)]
        told = measure(COMMAND, environment=bench_environment(home), folder=folder, codes=(0, 1, 3))
        rows, calls = evidence(home), server.stats()["requests"]
        runs = len(list(home.glob("runs/*")))
    cases = rows.filter(pl.col("failure").is_null())["position"].n_unique()
    print(
        table(
            ("figure", "value"),
            (
                ("killed after calls", ", ".join(f"{c:,}" for c in cuts)),
                ("calls in all", f"{calls:,} for {given.cases:,} cases"),
                ("paid twice", f"{calls - given.cases} (at most {given.concurrency} a kill)"),
                ("records on disk", f"{rows.height:,}"),
                ("cases answered", f"{cases:,}"),
                ("cases lost", given.cases - cases),
                ("cases recorded twice", rows.height - rows["position"].n_unique()),
                ("runs in the home", runs),
                ("seconds of the run that finished it", f"{told.wall:.1f}"),
            ),
        )
    )
    print("\n" + footer(("aiohttp",)))


if __name__ == "__main__":
    main()
