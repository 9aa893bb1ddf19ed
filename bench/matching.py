"""How long it takes to match a need with many capabilities, and to index them: `python bench/matching.py [10000]`."""

import random
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.fakes.matching_set import labelled

from pilotbase.catalog.matching import rank, terms_of
from pilotbase.catalog.similarity import Index


def main() -> None:
    """Capabilities are sentences of the labelled set in new orders: as long and as varied in words as real ones."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found, chance = labelled(), random.Random(7)
    parts = [part for one in found.capabilities for part in one.text.replace("。", "，").split("，") if part]
    entries = [
        replace(
            chance.choice(found.capabilities), id=f"c{number}", text="，".join(chance.sample(parts, 4)), data=("public",),
            price=f"{chance.randrange(1, 900)} CNY", deployments=("on-premises",),
        )
        for number in range(size)
    ]  # fmt: skip
    started = time.perf_counter()
    counted = [terms_of(one) for one in entries]
    cut = time.perf_counter()
    index = Index(counted)
    made = time.perf_counter()
    today = datetime(2026, 11, 1, tzinfo=UTC).date()
    times = []
    for need in found.needs:
        wanted = replace(need, budget="500 CNY", deployments=("on-premises",))
        begun = time.perf_counter()
        rank(wanted, entries, index, range(size), today)
        times.append(time.perf_counter() - begun)
    times.sort()
    print(f"| {size:,} capabilities | seconds |\n|---|---|")
    print(f"| cutting all texts into terms (once; then only what changed) | {cut - started:.2f} |")
    print(f"| index (after each change) | {made - cut:.2f} |")
    print(f"| one need, median of {len(times)} | {times[len(times) // 2]:.3f} |\n| one need, slowest | {times[-1]:.3f} |")


if __name__ == "__main__":
    main()
