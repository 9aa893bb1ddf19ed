"""Is it getting worse? Delay, misses, false alarms and run length of change detectors on the same streams of failures.

    python bench/detectors.py [--runs 40] [--control 60000] [--without-river]

Each stream has 1 % of failures; at request 3,000 that becomes 2, 3 or 5 % for 20,000 requests. Two-state Markov streams follow,
whose failures come in spells. Peers from river run in an environment of their own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import footer, table
from numpy.typing import NDArray

from pilotbase.stats.burn import Quiet, first_quiet_alarm
from pilotbase.stats.cusum import Cusum
from pilotbase.stats.detector import Detector, block_means

ENVS = Path(__file__).parent / ".envs"
P0 = 0.01
CHANGE = 3_000
AFTER = 20_000
RATES = (0.02, 0.03, 0.05)
RUN_LENGTH = 20_000
SPELL = 0.71
"""Lag-1 correlation of the Markov stream: an intra-class correlation of about 0.1 within 50 neighbours."""

Stream = NDArray[np.float64]
Find = Callable[[Stream], int | None]

RIVER = """
import json, sys
import numpy as np
from river import drift
kinds = json.loads(sys.argv[2])
streams = np.load(sys.argv[1])
found = {}
for name, (kind, settings) in kinds.items():
    found[name] = {}
    for key in streams.files:
        alarms = []
        for row in streams[key]:
            detector = getattr(drift, kind)(**settings)
            alarm = None
            for i, x in enumerate(row.tolist()):
                detector.update(x)
                if detector.drift_detected:
                    alarm = i
                    break
            alarms.append(alarm)
        found[name][key] = alarms
print(json.dumps(found))
"""

PEERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "Page-Hinkley, river, delta 0.005, lambda 8": ("PageHinkley", {"delta": 0.005, "threshold": 8.0, "mode": "up"}),
    "Page-Hinkley, river's defaults": ("PageHinkley", {}),
    "ADWIN, river, delta 0.5": ("ADWIN", {"delta": 0.5}),
    "ADWIN, river's defaults": ("ADWIN", {}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one detector did on one set of streams."""

    alarms: Sequence[int | None]
    length: int

    def control(self) -> str:
        """Requests watched over alarms, which estimates the run length of alarms that come evenly, also where runs were cut."""
        count = sum(alarm is not None for alarm in self.alarms)
        watched = sum(self.length if alarm is None else alarm + 1 for alarm in self.alarms)
        return f"{watched / count:,.0f}" if count else f"> {watched:,} (no alarm)"

    def delay(self) -> str:
        """Mean requests from the change to the alarm, over runs without a false alarm; misses and false alarms beside it."""
        delays = [alarm - CHANGE + 1 for alarm in self.alarms if alarm is not None and alarm >= CHANGE]
        early = sum(alarm is not None and alarm < CHANGE for alarm in self.alarms)
        missed = sum(alarm is None for alarm in self.alarms)
        mean = f"{sum(delays) / len(delays):,.0f}" if delays else "-"
        return f"{mean} ({missed} / {early})"


def independent(draw: np.random.Generator, runs: int, rates: Stream) -> Stream:
    """Runs of 0/1 results, one row each, a failure with the rate of its column."""
    return (draw.random((runs, rates.size)) < rates).astype(np.float64)


def in_spells(draw: np.random.Generator, runs: int, rates: Stream) -> Stream:
    """As `independent`, but each result repeats the last one with chance SPELL: the same rates, in spells of 1 / (1 - SPELL)."""
    fresh = independent(draw, runs, rates)
    again = draw.random(fresh.shape) < SPELL
    again[:, 0] = False
    at = np.maximum.accumulate(np.where(again, 0, np.arange(rates.size)), axis=1)
    return np.take_along_axis(fresh, at, axis=1)


def streams(kind: Callable[..., Stream], runs: int, control: int, seed: int) -> dict[str, Stream]:
    """The stream in control and one for each rate after the change."""
    draw = np.random.default_rng(seed)
    made = {"control": kind(draw, runs, np.full(control, P0))}
    for rate in RATES:
        made[f"{rate:g}"] = kind(draw, runs, np.concatenate((np.full(CHANGE, P0), np.full(AFTER, rate))))
    return made


def blocked(size: int) -> Find:
    """An e-detector over block means that promises the same run length in requests; alarms are told in requests."""

    def find(values: Stream) -> int | None:
        alarm = Detector(P0, RUN_LENGTH / size, block=size).update_many(block_means(values, size))
        return None if alarm is None else (alarm + 1) * size - 1

    return find


OURS: Mapping[str, Find] = {
    "Bernoulli CUSUM, p1 2 %, h 4.6": lambda x: Cusum(P0, 0.02, 4.6).update_many(x),
    "Bernoulli CUSUM, p1 3 %, h 5.0": lambda x: Cusum(P0, 0.03, 5.0).update_many(x),
    "**mixture e-SR, run length 20,000 promised**": lambda x: Detector(P0, RUN_LENGTH).update_many(x),
    "e-SR on means of 50, the same promise": blocked(50),
    "two windows, 2,000 and 200, burn 2": lambda x: first_quiet_alarm(x, P0, Quiet(rate=2.0, many=2000, few=200)),
    "two windows, 2,000 and 200, burn 1.6": lambda x: first_quiet_alarm(x, P0, Quiet(rate=1.6, many=2000, few=200)),
}

SPELLS: Mapping[str, Find] = {
    "Bernoulli CUSUM, p1 3 %, h 5.0, each request": OURS["Bernoulli CUSUM, p1 3 %, h 5.0"],
    "e-SR, each request": OURS["**mixture e-SR, run length 20,000 promised**"],
    "e-SR on means of 20": blocked(20),
    "e-SR on means of 50": blocked(50),
    "e-SR on means of 200": blocked(200),
}


def watch(find: Find, made: Mapping[str, Stream]) -> dict[str, Found]:
    """One of our detectors on every set of streams."""
    return {key: Found(alarms=[find(row) for row in rows], length=rows.shape[1]) for key, rows in made.items()}


def watch_river(made: Mapping[str, Stream]) -> tuple[dict[str, dict[str, Found]], str]:
    """The peers on the same streams, and river's version. CalledProcessError or OSError where it cannot be installed or run."""
    python = ENVS / "river" / "bin" / "python"
    if not python.exists():
        print(f"installing river into {python.parent.parent} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    ask = [str(python), "-c", "import river; print(river.__version__)"]
    known = subprocess.run(ask, capture_output=True, text=True, check=False)
    if known.returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", "river"], check=True)
        known = subprocess.run(ask, capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.npz"
        np.savez(path, allow_pickle=False, **{key: rows.astype(np.int8) for key, rows in made.items()})
        command = [str(python), "-c", RIVER, str(path), json.dumps(PEERS)]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = {
        name: {key: Found(alarms=alarms, length=made[key].shape[1]) for key, alarms in sets.items()}
        for name, sets in answer.items()
    }
    return found, known.stdout.strip()


def row(name: str, found: Mapping[str, Found]) -> tuple[str, ...]:
    """One line of a table."""
    return (name, found["control"].control(), *(found[f"{rate:g}"].delay() for rate in RATES))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="streams in control, and streams for each rate")
    parser.add_argument("--control", type=int, default=60_000, help="requests of a stream in control")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--without-river", action="store_true")
    given = parser.parse_args()
    heads = ("detector", "run length in control", *(f"to {rate:.0%}" for rate in RATES))
    made = streams(independent, given.runs, given.control, given.seed)
    rows = [row(name, watch(find, made)) for name, find in OURS.items()]
    more: dict[str, str] = {}
    left_out = "left out as asked" if given.without_river else ""
    if not given.without_river:
        try:
            peers, more["river"] = watch_river(made)
        except (subprocess.CalledProcessError, OSError) as error:
            left_out = f"left out, since it could not be installed or run ({type(error).__name__})"
        else:
            rows += [row(name, found) for name, found in peers.items()]
    print(f"1 % of failures, independent; a change at request {CHANGE:,}; {given.runs} streams a cell.")
    print(f"Mean delay in requests (missed in {AFTER:,} / false alarms before the change).\n")
    print(table(heads, rows))
    if left_out:
        print(f"\nriver: {left_out}.")
    made = streams(in_spells, given.runs, given.control, given.seed + 1)
    print(f"\nFailures in spells: a two-state Markov stream with a lag-1 correlation of {SPELL:g}.\n")
    print(table(heads, [row(name, watch(find, made)) for name, find in SPELLS.items()]))
    print("\n" + footer(("numpy",), more))


if __name__ == "__main__":
    main()
