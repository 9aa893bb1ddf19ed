"""An unbroken run, and one that is cut at any recorded call and gone on with: equal results, and no call too many."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.flows.support import Base, accuracy, cases, estimates

from pilotbase.store.disk import Calls, LocalDisk

CHECKS = [
    accuracy(">= 0.6"),
    {"metric": "sensitivity", "require": "<= 0.5", "gap-by": "site"},
    {"metric": "stability", "require": ">= 0.5", "repeat": 2},
    {"metric": "auroc", "require": ">= 0.5"},
    accuracy("<= 0.3", **{"drop-under": {"transform": "missing", "scale": 0.2}}),
]
COUNT = 90


MISSING = """
import os

def scored(case):
    x = case["x"]
    fd = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{x}\\n".encode())
    os.close(fd)
    if x is None:
        return {"label": "no", "score": 0.5}
    said = (x % 2 == 1) != (x % 10 == 3)
    return {"label": "yes" if said else "no", "score": 0.9 if said else 0.1 + (x % 7) / 100}
"""


class Cut(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Cutting:
    """Ends at the `at`-th write of a row, before or after it."""

    at: int
    after: bool
    rows: int = 0
    dead: bool = False

    def disk(self) -> LocalDisk:
        return LocalDisk(Calls(write=self.write))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.dead:
            raise Cut
        self.rows += 1
        if self.rows == self.at:
            self.dead = True
            if self.after:
                os.write(fd, data)
            raise Cut
        return os.write(fd, data)


def prepare(base: Base) -> Base:
    """The call is noted by case; a transform, a repetition and several kinds of estimate are among the checks."""
    return base.write(
        rows=cases(COUNT),
        candidates={"good": base.python("scored")},
        models=MISSING,
        checks=CHECKS,
        data={"groups": ["site"]},
    )


@pytest.mark.parametrize("early", [True, False])
def test_a_run_cut_at_any_recorded_call_and_gone_on_with_ends_the_same(
    tmp_path: Path, size: Callable[[int, int], int], early: bool
) -> None:
    base = prepare(Base(folder=tmp_path / "pilot", home=tmp_path / "home"))
    whole = base.run(early_stop=early)
    calls = len(base.counted())

    @settings(max_examples=size(8, 150), deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.lists(st.tuples(st.integers(1, calls + 12), st.booleans()), min_size=1, max_size=3))
    def cut_and_go_on(cuts: list[tuple[int, bool]]) -> None:
        with TemporaryDirectory(dir=tmp_path) as folder:
            one = base.beside(Path(folder).name)
            broken = 0
            for at, after in cuts:
                try:
                    one.run(early_stop=early, disk=Cutting(at=at, after=after).disk())
                except Cut:
                    broken += 1
                else:
                    break
            document = one.run(early_stop=early) if broken == len(cuts) else one.conclude("small-1")
            assert document["run"] == "small-1"
            assert estimates(document, whole=not early) == estimates(whole, whole=not early)
            if not early:
                assert calls <= len(one.counted()) <= calls + broken
            rows = one.evidence("small-1", "good")
            places = Counter((row["variant"], row["position"], row["repetition"]) for row in rows)
            assert max(places.values()) == 1

    cut_and_go_on()


def test_a_load_that_was_cut_while_it_was_written_down_is_run_again_as_a_whole(base: Base) -> None:
    load: dict[str, Any] = {"rate": "100/s", "for": "500ms", "warmup": "10ms", "arrivals": "uniform"}
    base.write(rows=cases(20), checks=[{"metric": "latency.p95", "require": "<= 10 s", "load": load}])
    arrivals = 51
    whole = base.beside("whole").run()
    for at in range(1, 12):
        one = base.beside(f"at-{at}")
        try:
            one.run(disk=Cutting(at=at, after=True).disk())
        except Cut:
            document = one.run()
        else:
            document = one.conclude()
        rows = [row for row in one.evidence("small-1", "good") if row["scheduled"] is not None]
        assert len(rows) == arrivals
        found, told = (d["candidates"][0]["gates"][0]["checks"][0] for d in (document, whole))
        assert (found["planned"], found["n"], found["failed"]) == (told["planned"], told["n"], told["failed"])
