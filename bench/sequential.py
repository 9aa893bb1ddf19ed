"""Calls to a right verdict: the sequential rule against a fixed sample planned for the same errors.

    python bench/sequential.py [--threshold 0.90] [--confidence 0.95] [--trials 2000] [--most 20000]

For each true rate the fixed sample is the smallest number of cases whose exact test gives the right verdict with probability
`--power`; it must be chosen before the first call, by someone who knows the true rate. The sequential rule knows nothing of it.
Both say the wrong thing with probability at most 1 - confidence on each side.
"""

import argparse

import numpy as np
from measure import footer, table

from pilotbase.stats.power import boundaries, needed, stopping_times


def verdicts(threshold: float, true: float, most: int, confidence: float, *, trials: int, seed: int) -> tuple[float, float]:
    """Shares of simulated runs that pass and that fail at the sequential rule's first decision."""
    draw = np.random.default_rng(seed)
    hits = np.zeros(trials, dtype=np.int64)
    said = np.zeros(trials, dtype=np.int8)
    asked = 0
    for look, reject, accept in boundaries(threshold, most, confidence):
        hits += draw.binomial(look - asked, true, trials)
        asked = look
        said[(said == 0) & (hits >= accept)] = 1
        said[(said == 0) & (hits <= reject)] = -1
        if said.all():
            break
    return float((said == 1).mean()), float((said == -1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threshold", type=float, default=0.90)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument(
        "--power", type=float, default=0.95, help="chance of the right verdict that the fixed sample is planned for"
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--most", type=int, default=20_000, help="cases at which the sequential rule gives up")
    parser.add_argument("--fixed", type=int, default=2000, help="a fixed sample of one size, as people choose it")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    t, level = given.threshold, given.confidence
    rows = []
    shares = []
    for distance in (-0.10, -0.07, -0.05, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09):
        true = round(t + distance, 6)
        if not 0 < true < 1:
            continue
        times = stopping_times(">=", t, true, given.most, level, trials=given.trials, seed=given.seed)
        passed, failed = verdicts(t, true, given.most, level, trials=given.trials, seed=given.seed + 1)
        planned = needed(">=", t, true, level, given.power)
        right = passed if true > t else failed if true < t else 1 - passed
        median = float(np.median(times))
        share = median / planned if planned else float("nan")
        if abs(distance) >= 0.03:
            shares.append(median / given.fixed)
        rows.append(
            (
                f"{true:.2f}",
                "either bound" if distance == 0 else "PASS" if distance > 0 else "FAIL",
                f"{right:.1%}",
                f"{median:,.0f}",
                f"{times.mean():,.0f}",
                f"{np.quantile(times, 0.95):,.0f}",
                f"{planned:,}" if planned else "-",
                f"{share:.0%}" if planned else "-",
                f"{median / given.fixed:.0%}",
            )
        )
    heads = (
        "true rate",
        "right verdict",
        "found",
        "median calls",
        "mean",
        "95 % of runs",
        f"fixed n, {given.power:.0%} power",
        "median / that",
        f"median / {given.fixed:,}",
    )
    print(f"`require: >= {t:g}` at confidence {level:g}; {given.trials:,} simulated runs a row, at most {given.most:,} calls.\n")
    print(table(heads, rows))
    if shares:
        print(
            f"\nFrom 3 points away from the threshold the median is {min(shares):.0%} to {max(shares):.0%} "
            f"of a fixed {given.fixed:,}."
        )
    print("\n" + footer(("numpy",)))


if __name__ == "__main__":
    main()
