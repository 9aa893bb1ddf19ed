"""An endpoint that admits 40 calls at once and answers 429 otherwise: wasted calls, time, and the concurrency found.

python bench/rate_limits.py [--cases 8000] [--cap 40] [--latency-ms 100] [--concurrency 256]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from endpoint import chat_pilot, serving
from measure import bench_environment, footer, measure, table
from recorded import evidence, in_flight, span


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=8000)
    parser.add_argument("--cap", type=int, default=40)
    parser.add_argument("--latency-ms", type=float, default=100)
    parser.add_argument("--concurrency", type=int, default=256)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-limits-") as name,
        serving(latency_ms=given.latency_ms, cap=given.cap) as server,
    ):
        folder, home = Path(name), Path(name) / "home"
        chat_pilot(folder, server.url, given.cases, concurrency=given.concurrency)
        command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop"]
        measure(command, environment=bench_environment(home), folder=folder, codes=(0, 1, 3))
        rows, counted = evidence(home), server.stats()
    ideal = given.cases * given.latency_ms / 1000 / given.cap
    failed = int(rows["failure"].is_not_null().sum())
    print(
        table(
            ("figure", "value"),
            (
                ("cases answered", f"{rows.height - failed:,} of {given.cases:,}"),
                ("calls made", f"{counted['requests']:,}"),
                ("wasted (429)", f"{counted['refused']:,} ({counted['refused'] / given.cases:.2%} of the cases)"),
                ("most attempts of one case", int(rows["attempts"].max())),  # type: ignore[arg-type]
                ("seconds of asking", f"{span(rows):.1f} (ideal at {given.cap} at once: {ideal:.1f})"),
                ("calls under way, whole asking", f"{in_flight(rows, 0, 1):.1f}"),
                ("calls under way, last quarter", f"{in_flight(rows, 0.75, 0.98):.1f} of the {given.cap} admitted"),
            ),
        )
    )
    print("\n" + footer(("aiohttp", "uvloop")))


if __name__ == "__main__":
    main()
