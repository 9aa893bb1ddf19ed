"""A million cases through a Python candidate: against the same function and scikit-learn's metrics by hand.

    python bench/million.py [--cases 1000000] [--frame 65536] [--batch 4096] [--repeat 1]

Accuracy, sensitivity and the gap of accuracy between four sites, each with bounds, early stopping off. Memory is that of our
whole tree of processes, the candidate's own included. Needs scikit-learn and SciPy.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from measure import Measured, bench_environment, footer, measure, table
from models import BIAS, COLUMNS, WEIGHTS
from recorded import evidence_bytes

HERE = Path(__file__).parent
EXITS = (0, 1, 3)

PILOT = """\
pilot: bench-million
title: {{en: A million cases, zh: 百万用例}}
scenario: {{area: industry, field: bench, owner: bench, need: Measure the frame path., risk: medium, authority: user-only}}
seed: 7
data:
  test: {{path: cases.parquet, inputs: [{columns}], target: truth, positive: 1, groups: [site]}}
candidates:
  - id: rule
    target: {{python: "models:{call}", {way}: {size}}}
gates:
  - gate: capability
    checks:
      - {{metric: accuracy, require: ">= 0.80"}}
      - {{metric: sensitivity, require: ">= 0.80"}}
  - gate: fairness
    checks:
      - {{metric: accuracy, gap-by: site, require: "<= 0.02"}}
"""


def write_cases(path: Path, count: int, seed: int = 7) -> None:
    """Ten standard normal columns, a noisy truth, four sites; the same file for the same arguments."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((count, len(COLUMNS)), dtype=np.float32).astype(np.float64)
    truth = (x @ WEIGHTS + BIAS + draw.logistic(size=count) * 0.6 > 0).astype(np.int64)
    site = np.array(["north", "east", "south", "west"])[draw.integers(0, 4, count)]
    pl.DataFrame({**{c: x[:, i] for i, c in enumerate(COLUMNS)}, "truth": truth, "site": site}).write_parquet(path)


def run_ours(folder: Path, home: Path, call: str, way: str, size: int) -> tuple[Measured, dict[str, float]]:
    """One pilot over cases.parquet in `folder`, and the values that it found."""
    (folder / "pilot.yaml").write_text(PILOT.format(columns=", ".join(COLUMNS), call=call, way=way, size=size), encoding="utf-8")
    (folder / "models.py").write_text((HERE / "models.py").read_text())
    command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop", "--json"]
    told = measure(command, environment=bench_environment(home), folder=folder, codes=EXITS)
    result = json.loads(told.output)
    checks = [c for g in result["candidates"][0]["gates"] for c in g["checks"]]
    return told, {c["id"]: c["value"] for c in checks}


def by_hand(folder: Path, size: int) -> tuple[Measured, dict[str, float]]:
    command = [sys.executable, HERE / "by_hand.py", folder / "cases.parquet", str(size)]
    told = measure(command, environment=bench_environment(folder), folder=folder)
    return told, json.loads(told.output)


def check_agreement(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """The same function on the same cases: the same values, or the times mean nothing."""
    for found, name in zip(ours.values(), ("accuracy", "sensitivity", "gap"), strict=True):
        if not math.isclose(found, theirs[name], abs_tol=1e-12):
            raise RuntimeError(f"{name}: {found} here, {theirs[name]} by hand")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--frame", type=int, default=65_536)
    parser.add_argument("--batch", type=int, default=4096, help="0: leave `batch: N` out")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, of which the median by wall time is shown")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-million-") as name:
        folder = Path(name)
        write_cases(folder / "cases.parquet", given.cases)
        by_hand(folder, given.frame)  # warms the file cache and the bytecode
        hands = sorted((by_hand(folder, given.frame) for _ in range(given.repeat)), key=lambda r: r[0].wall)
        hand, values = hands[given.repeat // 2]
        rows = [("by hand, one process", f"{hand.wall:.2f}", "1.00", f"{hand.cpu:.2f}", f"{hand.megabytes:.0f}", "-")]
        ways = [("frame", "by_frame", given.frame)] + [("batch", "by_batch", given.batch)] * bool(given.batch)
        for way, call, size in ways:
            runs = []
            for turn in range(given.repeat):
                home = folder / f"{way}-{turn}"
                told, found = run_ours(folder, home, call, way, size)
                check_agreement(found, values)
                runs.append((told, evidence_bytes(home) / given.cases))
            told, kept = sorted(runs, key=lambda r: r[0].wall)[given.repeat // 2]
            shown = f"pilotbase, `{way}: {size}`"
            rows.append(
                (
                    shown,
                    f"{told.wall:.2f}",
                    f"{told.wall / hand.wall:.2f}",
                    f"{told.cpu:.2f}",
                    f"{told.megabytes:.0f}",
                    f"{kept:.1f}",
                )
            )
        command = [sys.executable, "-m", "pilotbase", "conclude", "bench-million-1", "--json"]
        told = measure(command, environment=bench_environment(folder / "frame-0"), folder=folder, codes=EXITS)
        rows.append(
            (
                "`pilotbase conclude`",
                f"{told.wall:.2f}",
                f"{told.wall / hand.wall:.2f}",
                f"{told.cpu:.2f}",
                f"{told.megabytes:.0f}",
                "-",
            )
        )
    print(f"{given.cases:,} cases of {len(COLUMNS)} numbers; accuracy, sensitivity, gap of accuracy over four sites, bounds.\n")
    print(table(("way", "wall s", "ratio", "CPU s", "peak RSS MB, tree", "bytes kept/case"), rows))
    print("\n" + footer(("numpy", "polars", "scikit-learn", "scipy")))


if __name__ == "__main__":
    main()
