"""The gateway beside LiteLLM's proxy, nginx and the bare upstream: requests a second, processor time a request, added latency.

    python bench/gateway.py [--seconds 8] [--rounds 3] [--peer litellm,nginx,direct] [--connections 1,32,256] [--quick]
    python bench/gateway.py --memory [--counts 10000,1000000]

One upstream, one worker each, all warm. Metering, a key, a budget and a price are on for ours. The sides take turns within each
round, and the median of the rounds is shown. Processor time is user and system time of the server's own processes.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway_load import Load, bodies, drive
from gateway_process import cpu_seconds, resident
from gateway_sides import SIDES, Side, prepare_litellm, reconciled, upstream
from measure import footer, median, table

SHOWN = {"pilotbase": "pilotbase", "litellm": "LiteLLM's proxy", "nginx": "nginx `proxy_pass`", "direct": "the upstream itself"}
MODES = ("whole", "stream")
SLICE_SECONDS = 5.0
Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One measurement: processor time in seconds of the processes that serve, and of those beside them."""

    load: Load
    serving: float
    keeping: float
    megabytes: float

    @property
    def rate(self) -> float:
        """Requests a second of wall time."""
        return self.load.requests / self.load.seconds

    @property
    def cost(self) -> float:
        """Microseconds of processor time a request, keeper included."""
        return 1e6 * (self.serving + self.keeping) / max(1, self.load.requests)

    @property
    def kept(self) -> float:
        """The keeper's part of it."""
        return 1e6 * self.keeping / max(1, self.load.requests)


def yardstick() -> float:
    """Microseconds of processor time that adding up 10,000 numbers takes now: more of it says that the machine is slower."""
    found = []
    for _ in range(50):
        begun = time.process_time_ns()
        sum(range(10_000))
        found.append((time.process_time_ns() - begun) / 1000)
    return median(found)


def take(side: Side, folder: Path, body: Path, connections: int, seconds: float) -> Taken:
    """Load a side and read what its processes used meanwhile. RuntimeError where a request failed."""
    before = cpu_seconds(side.serving()), cpu_seconds(side.keeping())
    load = drive(folder, side.port, side.key, body, connections=connections, seconds=seconds, slow=side.slow)
    after = cpu_seconds(side.serving()), cpu_seconds(side.keeping())
    if load.failed or not load.requests:
        raise RuntimeError(f"{side.name}, {body.stem}, {connections} connections: {load.failed} failed of {load.requests}")
    memory = resident(side.serving() + side.keeping())
    return Taken(load=load, serving=after[0] - before[0], keeping=after[1] - before[1], megabytes=memory)


def warm(side: Side, folder: Path, paths: dict[str, Path]) -> None:
    """Run a side in before anything is counted: both kinds of request, until its time to warm is over."""
    for path in paths.values():
        drive(folder, side.port, side.key, path, connections=8, seconds=side.warm / len(paths), slow=side.slow)


def compare(folder: Path, names: list[str], places: list[Place], given: argparse.Namespace) -> None:
    """Measure all sides and print the tables."""
    paths = bodies(folder)
    found: dict[Place, dict[str, list[Taken]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        port = stack.enter_context(upstream(_folder(folder, "upstream"), given.upstreams))
        sides = []
        for name in names:
            print(f"starting {name} ...", file=sys.stderr)
            sides.append(stack.enter_context(SIDES[name](_folder(folder, name), port, given.envs)))
        for side in sides:
            warm(side, folder, paths)
        speeds = [yardstick()]
        for turn in range(given.rounds):
            for place in places:
                speeds.append(yardstick())
                # Every other round goes backwards, so that no side is always first after a pause.
                for side in sides if turn % 2 == 0 else sides[::-1]:
                    mode, connections = place
                    taken = take(side, folder, paths[mode], connections, given.seconds)
                    found[place][side.name].append(taken)
                    print(f"{side.name} {mode} {connections}: {taken.cost:,.0f} us, {taken.rate:,.0f}/s", file=sys.stderr)
    for place, taken_by in found.items():
        print(show(place, taken_by), end="\n\n", flush=True)
    print(f"our account afterwards: {reconciled(folder / 'pilotbase' / 'home')}\n")
    slowest, quickest = max(speeds), min(speeds)
    print(f"adding up 10,000 numbers took {median(speeds):.0f} us ({quickest:.0f} to {slowest:.0f}) between the measurements\n")


def show(place: Place, found: dict[str, list[Taken]]) -> str:
    """One table: a row a side."""

    def middle(name: str, what: str) -> float:
        return median([float(getattr(one, what) if hasattr(one, what) else getattr(one.load, what)) for one in found[name]])

    mode, connections = place
    floor = "direct" in found
    rows = []
    for name in found:
        cost = middle(name, "cost")
        served = name != "direct"
        added = [f"{middle(name, q) - middle('direct', q):.2f}" if floor and served else "-" for q in ("p50", "p99")]
        rows.append(
            (
                SHOWN[name],
                f"{middle(name, 'rate'):,.0f}",
                f"{cost:,.0f}" if served else "-",
                f"{middle(name, 'kept'):,.0f}" if name == "pilotbase" else "-",
                f"{cost / middle('pilotbase', 'cost'):.2f}" if served else "-",
                f"{middle(name, 'p50'):.2f}",
                f"{middle(name, 'p99'):.2f}",
                *added,
                f"{middle(name, 'megabytes'):.0f}" if served else "-",
            )
        )
    heads = (
        f"{'streams of 66 chunks' if mode == 'stream' else 'whole answers'}, {connections} at once",
        "requests/s",
        "CPU us/request",
        "of it the keeper",
        "ratio to ours",
        "p50 ms",
        "p99 ms",
        "p50 added",
        "p99 added",
        "RSS MB",
    )
    told = table(heads, rows)
    if "litellm" in found:
        ratio = middle("litellm", "cost") / middle("pilotbase", "cost")
        told += f"\n\nrequests per CPU second, ours / LiteLLM: **{ratio:.1f}**"
    return told


def memory(folder: Path, counts: list[int], given: argparse.Namespace) -> None:
    """Resident memory of our worker and keeper after so many requests, of which one in ten slices is of streams."""
    paths = bodies(folder)
    rows = []
    with ExitStack() as stack:
        port = stack.enter_context(upstream(_folder(folder, "upstream"), given.upstreams))
        side = stack.enter_context(SIDES["pilotbase"](_folder(folder, "pilotbase"), port, given.envs))
        done, turn, begun = 0, 0, time.monotonic()
        for count in counts:
            while done < count:
                mode = "stream" if turn % 10 == 9 else "whole"
                taken = take(side, folder, paths[mode], 32, SLICE_SECONDS if count - done > 20_000 else 1.0)
                done, turn = done + taken.load.requests, turn + 1
            worker, keeper = resident(side.serving()), resident(side.keeping())
            rows.append((f"{done:,}", f"{worker:.1f}", f"{keeper:.1f}", f"{time.monotonic() - begun:.0f}"))
            print(f"{done:,}: worker {worker:.1f} MB, keeper {keeper:.1f} MB", file=sys.stderr)
    print(table(("requests", "worker RSS MB", "keeper RSS MB", "after s"), rows))
    growth = [float(rows[-1][at]) / float(rows[0][at]) - 1 for at in (1, 2)]
    print(f"\ngrowth from the first row to the last: worker {growth[0]:+.1%}, keeper {growth[1]:+.1%}\n")
    print(f"our account afterwards: {reconciled(folder / 'pilotbase' / 'home')}\n")


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(exist_ok=True)
    return made


def _versions(names: list[str], envs: Path) -> dict[str, str]:
    found = {}
    if "litellm" in names:
        found["litellm"] = prepare_litellm(envs)[1]
    if program := shutil.which("nginx") or shutil.which("/usr/sbin/nginx"):
        told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
        found["nginx"] = told.rpartition("/")[2].strip()
    found["load by"] = "wrk and our client" if shutil.which("wrk") else "our client"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, of which the median is shown")
    parser.add_argument("--peer", default="direct,nginx,litellm", help="of litellm, nginx, direct; empty: none")
    parser.add_argument("--connections", default="1,32,256", help="requests at once")
    parser.add_argument("--modes", default=",".join(MODES), help="of whole, stream")
    parser.add_argument("--upstreams", type=int, default=1, help="processes of the upstream")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds at 1 and 32")
    parser.add_argument("--memory", action="store_true", help="our memory over many requests instead")
    parser.add_argument("--counts", default="10000,1000000", help="with --memory: where it is read")
    parser.add_argument("--envs", type=Path, default=Path(__file__).parent / ".envs", help="where LiteLLM is installed")
    given = parser.parse_args()
    given.envs = given.envs.absolute()
    if given.quick:
        given.seconds, given.rounds, given.connections = 2.0, 1, "1,32"
    names = [name for name in SIDES if name == "pilotbase" or name in given.peer.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as made:
        folder = Path(made)
        if given.memory:
            names = ["pilotbase"]
            memory(folder, [int(count) for count in given.counts.split(",")], given)
        else:
            places = [(mode, int(count)) for mode in given.modes.split(",") for count in given.connections.split(",")]
            compare(folder, names, places, given)
        print(footer(("uvicorn", "httptools", "uvloop", "aiohttp", "orjson"), _versions(names, given.envs)))


if __name__ == "__main__":
    main()
