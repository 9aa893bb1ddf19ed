"""The chat path beside its peers: processor time, wall time, memory and bytes of evidence for each case.

    python bench/chat.py [--cases 2000] [--peers inspect,lm-eval,aiohttp] [--memory 1000,10000,100000] [--envs DIR]

The same prompts, 32 connections, one check, no cache, against an endpoint that answers at once. `marginal` is the difference
of two sizes over the difference in cases, so that what a start costs cancels; `fixed` is the rest of the small run.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from endpoint import Endpoint, chat_pilot, serving, write_cases
from measure import Measured, bench_environment, footer, measure, table
from peers import PEERS, peer_command, peer_environment, prepare_peer
from recorded import evidence, evidence_bytes

SMALL = 100
BARE = Path(__file__).with_name("bare_loop.py")
OUR_EXITS = (0, 1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One runner at two sizes."""

    name: str
    few: Measured
    many: Measured
    cases: int
    bytes: int | None

    @property
    def marginal(self) -> float:
        """Milliseconds of processor time for one more case."""
        return 1000 * (self.many.cpu - self.few.cpu) / (self.cases - SMALL)

    @property
    def fixed(self) -> float:
        """Seconds of processor time before the first case."""
        return self.few.cpu - SMALL * self.marginal / 1000

    @property
    def rate(self) -> str:
        """Cases a second of wall time once it is under way; a dash where other work on the machine hid it."""
        wall = self.many.wall - self.few.wall
        return f"{(self.cases - SMALL) / wall:,.0f}" if wall > 0 else "-"


def run_ours(folder: Path, server: Endpoint, count: int) -> tuple[Measured, int]:
    """`pilotbase run` over `count` cases in a home of its own; what was measured, and bytes kept."""
    where = folder / f"ours-{count}"
    home = where / "home"
    chat_pilot(where, server.url, count)
    command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop", "--fresh"]
    told = measure(command, environment=bench_environment(home), folder=where, codes=OUR_EXITS)
    rows = evidence(home)
    complete = rows.filter(rows["failure"].is_null())["position"].n_unique()
    if complete != count or rows.height != count:
        raise RuntimeError(f"{rows.height} records of {complete} cases, and {count} were asked")
    return told, evidence_bytes(home)


def run_peer(name: str, folder: Path, server: Endpoint, count: int, envs: Path) -> tuple[Measured, int]:
    """A peer over `count` cases."""
    programs, _ = prepare_peer(name, envs)
    where = folder / f"{name}-{count}"
    before = server.stats()["requests"]
    command = peer_command(name, programs, where, server.url, count)
    told = measure(command, environment=peer_environment(programs, where, server.url), folder=where)
    asked = server.stats()["requests"] - before
    if asked < count:
        raise RuntimeError(f"{name} made {asked} calls for {count} cases:\n{told.output[-3000:]}")
    kept = sum(p.stat().st_size for p in (where / PEERS[name].log).rglob("*") if p.is_file())
    return told, kept


def run_bare(folder: Path, server: Endpoint, count: int) -> tuple[Measured, None]:
    """The floor."""
    where = folder / f"aiohttp-{count}"
    where.mkdir(parents=True, exist_ok=True)
    cases = write_cases(where, count)
    command = [sys.executable, BARE, server.url, cases]
    return measure(command, environment=bench_environment(where), folder=where), None


def compare(folder: Path, server: Endpoint, cases: int, names: list[str], *, envs: Path, repeat: int) -> list[Line]:
    """Every runner at both sizes; the first, small run of each warms caches and is not counted."""
    lines = []
    for name in ("pilotbase", *names):
        print(f"{name} ...", file=sys.stderr)

        def once(count: int, name: str = name) -> tuple[Measured, int | None]:
            if name == "pilotbase":
                return run_ours(folder / str(len(list(folder.iterdir()))), server, count)
            if name == "aiohttp":
                return run_bare(folder, server, count)
            return run_peer(name, folder, server, count, envs)

        once(SMALL)
        few = sorted((once(SMALL)[0] for _ in range(repeat)), key=lambda m: m.cpu)[repeat // 2]
        runs = sorted((once(cases) for _ in range(repeat)), key=lambda r: r[0].cpu)
        many, kept = runs[repeat // 2]
        shown = PEERS[name].name if name in PEERS else "bare aiohttp loop" if name == "aiohttp" else name
        lines.append(Line(name=shown, few=few, many=many, cases=cases, bytes=kept))
    return lines


def show(lines: list[Line]) -> str:
    ours = lines[0].marginal
    heads = ("runner", "CPU ms/case", "ratio to ours", "fixed CPU s", "cases/s", "wall s", "peak RSS MB", "bytes kept/case")
    return table(
        heads,
        (
            (
                line.name,
                f"{line.marginal:.2f}",
                f"{line.marginal / ours:.1f}",
                f"{line.fixed:.2f}",
                line.rate,
                f"{line.many.wall:.1f}",
                f"{line.many.megabytes:.0f}",
                "-" if line.bytes is None else f"{line.bytes / line.cases:,.0f}",
            )
            for line in lines
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="the large size (the small one is 100)")
    parser.add_argument("--peers", default="aiohttp,lm-eval,inspect", help="of inspect, lm-eval, aiohttp; empty: none")
    parser.add_argument("--memory", default="1000,10000,100000", help="sizes at which our own memory is measured; empty: none")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, of which the median by CPU is shown")
    parser.add_argument("--envs", type=Path, default=Path(__file__).parent / ".envs", help="where peers are installed")
    given = parser.parse_args()
    names = [n for n in given.peers.split(",") if n]
    sizes = [int(n) for n in given.memory.split(",") if n]
    envs = given.envs.absolute()
    known = {PEERS[n].name: prepare_peer(n, envs)[1] for n in names if n in PEERS}
    with tempfile.TemporaryDirectory(prefix="bench-chat-") as name, serving() as server:
        folder = Path(name)
        print(show(compare(folder, server, given.cases, names, envs=envs, repeat=given.repeat)), flush=True)
        if sizes:
            rows = []
            for count in sizes:
                told, kept = run_ours(folder / "memory", server, count)
                rows.append(
                    (
                        f"{count:,}",
                        f"{told.wall:.2f}",
                        f"{told.cpu:.2f}",
                        f"{count / told.wall:,.0f}",
                        f"{told.megabytes:.0f}",
                        f"{kept / count:.0f}",
                    )
                )
            print("\n" + table(("cases (ours, whole run)", "wall s", "CPU s", "cases/s", "peak RSS MB", "bytes kept/case"), rows))
    print("\n" + footer(("aiohttp", "orjson", "polars", "uvloop"), known))


if __name__ == "__main__":
    main()
