"""Asking under load: arrivals on a schedule fixed beforehand, timed from the scheduled moment (VERDICT.md section 6)."""

import asyncio
import gc
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.domain.evidence import OBSERVATION, Ask, Reply
from pilotbase.domain.gate import Load
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.observe import Pricing, from_rows, reply_row
from pilotbase.pilots.progress import Progress, Step
from pilotbase.ports import Cases, EvidenceLog, Scoreboard, Target

__all__ = ["run_load", "schedule"]


def schedule(load: Load, seed: int, name: str) -> NDArray[np.float64]:
    """Arrival moments in seconds from the start, warm-up first, then `for`; seeded, and known before the first call.

    Poisson arrivals are a sum of exponential gaps (inverse CDF of counter-based uniforms: no library version changes them).
    """
    end = load.warmup_seconds + load.seconds
    if load.arrivals == "uniform":
        return np.arange(0.0, end, 1.0 / load.per_second)
    key = int.from_bytes(hashlib.sha256(f"{seed}/load/{name}".encode()).digest()[:8], "big")
    count = int(end * load.per_second + 10 * (end * load.per_second) ** 0.5 + 20)
    raw = np.random.Philox(key=key).random_raw(count)
    gaps = -np.log1p(-((raw >> np.uint64(11)) * 2.0**-53)) / load.per_second
    moments = np.cumsum(gaps)
    return moments[moments < end]


async def run_load(
    variant: int,
    load: Load,
    moments: NDArray[np.float64],
    *,
    target: Target,
    cases: Cases,
    board: Scoreboard,
    log: EvidenceLog,
    positive: str | None,
    pricing: Pricing,
    budget: Budget,
    progress: Progress,
    candidate: str,
) -> str:
    """Send each arrival at its moment, whether or not earlier ones have ended. Why it was cut short, or "".

    Nothing is written while calls are under way: what the disk does must not be timed. All arrivals are then recorded at once
    or, where the process dies, none of them, and a killed load starts over.
    """
    left = budget.left(each=pricing.call)
    if left < len(moments):
        return budget.why(each=pricing.call) or f"the limits leave {left} of the {len(moments)} calls of the load"
    places = _places(cases, len(moments))
    if not len(places):
        return "every case comes from an incident, and a load is made of ordinary ones"
    inputs = cases.inputs(0, int(places[-1]) + 1)[places].to_dicts()
    loop = asyncio.get_running_loop()
    replies: list[tuple[float, float, Reply]] = []
    tasks: set[asyncio.Task[None]] = set()
    await target.invoke([Ask(key=0, inputs=inputs[0])])  # connections and processes are up before the clock starts
    with _no_pauses():
        # Not the event loop's clock: uvloop's has whole milliseconds only, and stands still within a turn.
        began, wall = time.perf_counter() + 0.01, time.time()

        why = ""

        async def arrive(i: int, moment: float) -> None:
            started = time.perf_counter()
            reply = (await target.invoke([Ask(key=i, inputs=inputs[i % len(inputs)])], open_loop=True))[0]
            ended = time.perf_counter()
            offset = started - began - moment
            first = None if reply.ttft is None else max(0.0, offset) + reply.ttft
            replies.append((moment, offset, replace(reply, seconds=ended - began - moment, ttft=first, started=wall + moment)))

        for i, moment in enumerate(moments.tolist()):
            while (delay := began + moment - time.perf_counter()) > 0:  # a sleep may end early by a fraction of a millisecond
                await asyncio.sleep(delay)
            if why := budget.why():
                break
            task = loop.create_task(arrive(i, moment))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if i % 20 == 0:
                progress.step(Step(candidate=candidate, phase=f"load {load.rate}", done=len(replies), total=len(moments)))
        await asyncio.gather(*tasks)
    if why:
        budget.use(len(replies), pricing.call * len(replies))
        return why
    rows = _rows(variant, replies, places, positive, pricing)
    log.append_columns({name: [row.get(name) for row in rows] for name in OBSERVATION})
    budget.use(len(rows), sum(r["cost"] or 0 for r in rows))
    board.add(from_rows(rows))
    return ""


def _places(cases: Cases, most: int) -> NDArray[np.int64]:
    """The first positions, at most so many, whose inputs arrive in turn; cases from incidents are none of them."""
    if cases.incidents is None:
        return np.arange(min(cases.count, most))
    return np.flatnonzero(cases.incidents.codes < 0)[:most]


@contextmanager
def _no_pauses() -> Iterator[None]:
    """No garbage collection while arrivals are timed: a full one stops this process for tens of milliseconds."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _rows(
    variant: int, replies: Sequence[tuple[float, float, Reply]], places: NDArray[np.int64], positive: str | None, pricing: Pricing
) -> list[dict[str, Any]]:
    rows = []
    for i, (moment, offset, reply) in enumerate(sorted(replies, key=lambda r: r[0])):
        row = reply_row(variant, int(places[i % len(places)]), i // len(places), reply, positive, pricing)
        rows.append({**row, "scheduled": moment, "late": max(0.0, offset)})
    return rows
