"""Simulated releases: wrong and right decisions of the guarded release, beside two usual policies on the same streams.

    python bench/releases.py [--scale 1] [--seed 1] [--processes 2] [--only TEXT]

No socket, no database, no sleeping: the engine's evidence, verdicts and steps on streams of requests, made by
tests/simulation/releases.py.
Every number of releases is multiplied by --scale. Each row is told on standard error as soon as it is known.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from measure import footer, table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.simulation.releases import LADDER, Ended, World, plan_with, release, shares_policy, z_policy

from pilotbase.stats.proportion import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`count` releases in one world; `most` is the plan's limit of time and `block` its unit of evidence."""

    route: str
    candidate: str
    world: World
    count: int
    most: str
    block: str = "5s"


BAD = (("3 %", 0.03), ("4 %", 0.04), ("6 %", 0.06), ("10 %", 0.10), ("dead", 1.0))
ROUTES = (
    # name, requests a second, block, limit of time, limit at the threshold, counts at 0.5, 1 and 2 %, count of each bad one
    ("busy, 20/s", 20.0, "5s", "3d", "2h", (20, 20, 20), 40),
    ("steady, 1/s", 1.0, "5s", "14d", "8h", (20, 12, 60), 120),
    ("quiet, 0.05/s", 0.05, "5m", "365d", "10d", (8, 0, 30), 60),
)
TURNS = (
    ("busy, 20/s", 20.0, (2, 1800.0), "3 % at 5 % canary", 0.03, 6),
    ("busy, 20/s", 20.0, (2, 1800.0), "6 % at 5 % canary", 0.06, 6),
    ("steady, 1/s", 1.0, (2, 1800.0), "3 % at 5 % canary", 0.03, 10),
    ("steady, 1/s", 1.0, (2, 1800.0), "6 % at 5 % canary", 0.06, 10),
    ("steady, 1/s", 1.0, (2, 1800.0), "dead at 5 % canary", 1.0, 10),
    ("steady, 1/s", 1.0, (4, 600.0), "6 % in full", 0.06, 10),
    ("busy, 20/s", 20.0, (4, 600.0), "6 % in full", 0.06, 6),
)
SPELLS = (
    ("steady, 1/s", World(rate=1.0, failures=0.01, spell=1.0), "1 %, spells of 1 s", "5s", 12),
    ("steady, 1/s", World(rate=1.0, failures=0.01, spell=10.0), "1 %, spells of 10 s", "5s", 12),
    ("steady, 1/s", World(rate=1.0, failures=0.01, spell=10.0), "1 %, spells of 10 s", "2m", 12),
    ("busy, 20/s", World(rate=20.0, failures=0.01, spell=1.0), "1 %, spells of 1 s", "5s", 6),
    ("busy, 20/s", World(rate=20.0, failures=0.01, spell=10.0), "1 %, spells of 10 s", "5s", 6),
    ("steady, 1/s", World(rate=1.0, failures=0.002, in_bursts=0.05), "2.7 % of requests, in bursts", "5s", 12),
)
POLICIES: tuple[Callable[[World, int], Ended], ...] = (
    partial(shares_policy, limit=1),
    partial(shares_policy, limit=3),
    z_policy,
)


def rows() -> list[Row]:
    """Every line of the tables, in order."""
    found: list[Row] = []
    for route, rate, block, most, at_most, counts, bad in ROUTES:
        for name, share, count, limit in zip(
            ("0.5 %", "1 %", "2 %"), (0.005, 0.01, 0.02), counts, (most, most, at_most), strict=True
        ):
            if count:
                world = World(rate=rate, failures=share)
                found.append(Row(route=route, candidate=name, world=world, count=count, most=limit, block=block))
        for name, share in BAD:
            world = World(rate=rate, failures=share)
            found.append(Row(route=route, candidate=name, world=world, count=bad, most=most, block=block))
    for route, rate, turns, name, after, count in TURNS:
        world = World(rate=rate, failures=0.005, turns=turns, after=after)
        found.append(Row(route=route, candidate=name, world=world, count=count, most="14d"))
    for route, world, name, block, count in SPELLS:
        most = "1d" if world.rate == 1.0 else "5h"
        found.append(Row(route=route, candidate=f"{name}, blocks of {block}", world=world, count=count, most=most, block=block))
    return found


def follow(row: Row, seed: int) -> list[Ended]:
    """One release, and what each policy makes of its stream."""
    ours = release(row.world, seed, plan_with(LADDER, most=row.most, block=row.block))
    return [ours, *(policy(row.world, seed) for policy in POLICIES)]


def share(hits: int, count: int) -> str:
    """A share, and its exact two-sided 95 % bounds where it is about rare things."""
    bounds = exact(hits, count, 0.975)
    return f"{100 * hits / count:.0f} % ({100 * (bounds.low or 0.0):.0f} to {100 * (bounds.high or 0.0):.0f})"


def lasting(seconds: Sequence[float]) -> str:
    """The median and the 90 % point of durations."""
    if not seconds:
        return "-"
    known = sorted(seconds)
    return " / ".join(told(known[min(len(known) - 1, math.floor(q * len(known)))]) for q in (0.5, 0.9))


def told(seconds: float) -> str:
    """A duration in the unit that fits."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def middle(counts: Sequence[int]) -> str:
    """The median and the 90 % point of counts."""
    known = sorted(counts)
    return " / ".join(f"{known[min(len(known) - 1, math.floor(q * len(known)))]:,}" for q in (0.5, 0.9)) if known else "-"


def decided(row: Row, found: Sequence[Sequence[Ended]]) -> tuple[str, ...]:
    """What became of them: ours with its causes, then back / full of each policy."""
    ours, count = [one[0] for one in found], len(found)
    back = [one for one in ours if one.how == "back"]
    kinds = {kind: sum(kind in one.kinds for one in back) for kind in ("failing-check", "worse", "burn")}
    return (
        row.route,
        row.candidate,
        str(count),
        share(len(back), count),
        ", ".join(f"{kind} {n}" for kind, n in kinds.items() if n) or "-",
        share(sum(one.promoted is not None for one in ours), count),
        *(
            f"{100 * sum(one[i].how == 'back' for one in found) / count:.0f} %"
            f" / {100 * sum(one[i].promoted is not None for one in found) / count:.0f} %"
            for i in range(1, len(POLICIES) + 1)
        ),
    )


def timed(row: Row, found: Sequence[Sequence[Ended]]) -> tuple[str, ...]:
    """How long it took and what it cost: ours, then the median of each policy."""
    ours = [one[0] for one in found]
    back = [one for one in ours if one.how == "back"]
    climbed = [one.promoted for one in ours if one.promoted is not None and row.world.turns is None]
    cells = [
        row.route,
        row.candidate,
        lasting([one.waited for one in back]),
        middle([one.failed for one in back]),
        lasting(climbed),
    ]
    for i in range(1, len(POLICIES) + 1):
        went = [one[i] for one in found if one[i].how == "back" and one[i].waited > 0.0]
        first, failed = (text.split(" / ")[0] for text in (lasting([o.waited for o in went]), middle([o.failed for o in went])))
        cells.append(f"{first}, {failed}" if went else "-")
    return tuple(cells)


NAMES = ("share of 5 min, limit 1", "share of 5 min, limit 3", "z-test each minute")
DECIDED = ("route", "candidate fails", "releases", "back", "by", "reached full", *(f"{name}: back / full" for name in NAMES))
TIMED = (
    "route", "candidate fails", "time to back", "clients' failed requests", "time to full",
    *(f"{name}: time, failed" for name in NAMES),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every number of releases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="only the rows whose `ROUTE: CANDIDATE` has this in it")
    given = parser.parse_args()
    begun, total = time.perf_counter(), 0
    first: list[tuple[str, ...]] = []
    second: list[tuple[str, ...]] = []
    with Pool(given.processes) as pool:
        for i, row in enumerate(rows()):
            if given.only and given.only not in f"{row.route}: {row.candidate}":
                continue
            count = max(1, round(row.count * given.scale))
            seeds = [given.seed * 10**6 + i * 10**4 + k for k in range(count)]
            found = pool.map(partial(follow, row), seeds, chunksize=1)
            first.append(decided(row, found))
            second.append(timed(row, found))
            print(" | ".join(first[-1]), file=sys.stderr, flush=True)
            total += count
    print("What became of them; shares with exact 95 % bounds.\n")
    print(table(DECIDED, first))
    print("\nTime and cost, median / 90 %; of the policies the median.\n")
    print(table(TIMED, second))
    print(f"\n{total:,} releases in {time.perf_counter() - begun:.0f} s.\n\n" + footer(("numpy",)))


if __name__ == "__main__":
    main()
