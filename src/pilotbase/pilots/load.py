"""Asking under load: arrivals on a schedule fixed beforehand, timed from the scheduled moment (VERDICT.md section 6)."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.domain.gate import Load
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.observe import Pricing, from_rows, reply_row
from pilotbase.pilots.progress import Progress, Step
from pilotbase.ports import Cases, EvidenceLog, Scoreboard, Target

__all__ = ["run_load", "schedule"]


def schedule(load: Load, seed: int, name: str) -> NDArray[np.float64]:
    """Arrival moments in seconds from the start, warm-up first, then `for`; seeded, and known before the first call.

    Poisson arrivals are a sum of exponential gaps (inverse CDF of counter-based uniforms, so that no library version changes them).
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

    Nothing is written while calls are under way: what the disk does must not be timed. So a killed load starts over.
    """
    if budget.left() < len(moments):
        return budget.why or f"limits.calls leaves {budget.left()} of the {len(moments)} calls of the load"
    inputs = cases.inputs(0, min(cases.count, len(moments))).to_dicts()
    loop = asyncio.get_running_loop()
    replies: list[tuple[float, float, Reply]] = []
    tasks: set[asyncio.Task[None]] = set()
    await target.invoke([Ask(key=0, inputs=inputs[0])])  # connections and processes are up before the clock starts
    began, wall = loop.time() + 0.01, time.time()

    async def arrive(i: int, moment: float) -> None:
        started = loop.time()
        reply = (await target.invoke([Ask(key=i, inputs=inputs[i % len(inputs)])], open_loop=True))[0]
        ended = loop.time()
        offset = started - began - moment
        first = None if reply.ttft is None else max(0.0, offset) + reply.ttft
        replies.append((moment, offset, replace(reply, seconds=ended - began - moment, ttft=first, started=wall + moment)))

    for i, moment in enumerate(moments.tolist()):
        delay = began + moment - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)
        if budget.why:
            break
        task = loop.create_task(arrive(i, moment))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if i % 20 == 0:
            progress.step(Step(candidate=candidate, phase=f"load {load.rate}", done=len(replies), total=len(moments)))
    await asyncio.gather(*tasks)
    if budget.why:
        return budget.why
    rows = _rows(variant, replies, len(inputs), positive, pricing)
    for row in rows:
        log.append(row)
    log.sync()
    budget.use(len(rows), sum(r["cost"] or 0 for r in rows))
    board.add(from_rows(rows))
    return ""


def _rows(
    variant: int, replies: Sequence[tuple[float, float, Reply]], count: int, positive: str | None, pricing: Pricing
) -> list[dict[str, Any]]:
    rows = []
    for i, (moment, offset, reply) in enumerate(sorted(replies, key=lambda r: r[0])):
        row = reply_row(variant, i % count, i // count, reply, positive, pricing)
        rows.append({**row, "scheduled": moment, "late": max(0.0, offset)})
    return rows
