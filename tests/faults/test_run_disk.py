"""A fault at every write, rename and fsync of a whole run; a healthy one goes on, and nothing is lost, doubled or left out."""

import errno
import os
import random
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_store_recovery import Faulty, Killed
from tests.flows.support import Base, accuracy, cases, check_of, estimates

from pilotbase.errors import UserError

MODES = ("full", "stays full", "dies before", "dies after", "dies in the middle", "power cut")


@dataclass(slots=True)
class StaysFull(Faulty):
    """From one call on the disk takes nothing."""

    def step(self, action: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        self.count += 1
        if 0 <= self.at < self.count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return action()


def faulty(at: int, mode: str) -> Faulty:
    return StaysFull(at=at) if mode == "stays full" else Faulty(at=at, mode=mode)


def prepare(base: Base) -> Base:
    """Recorded answers and a called candidate compared to them; 24 cases, in calls of 4."""
    rows = cases(24)
    base.write(
        rows=rows,
        candidates={
            "readers": {"target": {"recorded": {"path": "readers.csv", "answer": "opinion"}}, "role": "reference"},
            "good": {"target": base.python("batch", batch=4), "price": {"per-call": "0.01 CNY"}},
        },
        checks=[accuracy(">= 0.5"), accuracy(">= -0.5", **{"compare-to": "readers"}), {"metric": "failures", "require": "<= 3"}],
    )
    answers = [f"{row['id']},{row['label']}" for row in rows if row["x"] != 5]
    (base.folder / "readers.csv").write_text("id,opinion\n" + "\n".join(answers) + "\n")
    return base


def spread(total: int, wanted: int, seed: str) -> list[int]:
    return list(range(total)) if wanted >= total else sorted(random.Random(seed).sample(range(total), wanted))


@pytest.mark.parametrize("mode", MODES)
def test_after_a_fault_at_any_boundary_the_run_goes_on_to_the_same_result(
    base: Base, size: Callable[[int, int], int], mode: str
) -> None:
    prepare(base)
    counted = Faulty()
    unbroken = base.beside("whole").run(disk=counted.disk())
    assert counted.count > 50
    for at in spread(counted.count, size(3, counted.count), mode):
        one = base.beside(f"at-{at}")
        fault = faulty(at, mode)
        try:
            one.run(disk=fault.disk())
        except UserError as error:
            assert mode in ("full", "stays full") and error.code == 2, (at, error)
            assert "space" in str(error) or "recorded" in str(error), (at, error)
            assert error.where and error.hint, at
        except Killed:
            assert mode not in ("full", "stays full"), at
        fault.dead or fault.die()
        before = recorded(one)
        document = one.run()
        assert estimates(document) == estimates(unbroken), at
        after = recorded(one, document["run"])
        if mode != "power cut" and document["run"] == "small-1":
            assert before <= after, at
            assert len(one.counted()) <= 24 + 4, at
        assert check_of(document, "capability/accuracy", "good")["planned"] == 24


def recorded(base: Base, run: str = "small-1") -> set[tuple[str, int]]:
    """(candidate, position) of every row that can be read back."""
    if not (base.home / "runs" / run / "evidence").exists():
        return set()
    found: set[tuple[str, int]] = set()
    for candidate in ("readers", "good"):
        rows = [(candidate, row["position"]) for row in base.evidence(run, candidate)]
        assert len(rows) == len(set(rows)), "a row stands twice"
        found |= set(rows)
    return found


def test_a_disk_that_fills_for_good_is_told_in_a_sentence_and_gone_on_with(base: Base) -> None:
    base.write(rows=cases(400), checks=[accuracy(">= 0.88")])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    whole = base.beside("whole").run(early_stop=False)
    told = base.command("run", str(base.pilot), "--no-early-stop", preexec_fn=limit)
    assert told.returncode == 2 and "Traceback" not in told.stderr, told.stderr
    assert "space" in told.stderr or "disk" in told.stderr, told.stderr
    assert estimates(base.run(early_stop=False)) == estimates(whole)
    assert len(base.counted()) <= 401


@pytest.mark.parametrize("size_limit", [0, 20_000, 50_000])
def test_a_file_size_limit_at_any_stage_never_shows_a_traceback(base: Base, size_limit: int) -> None:
    base.write(rows=cases(100))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_limit, size_limit))

    told = base.command("run", str(base.pilot), preexec_fn=limit)
    assert told.returncode == 2 and "Traceback" not in told.stderr, told.stderr
    assert told.stderr.startswith("pilotbase: ") or "\npilotbase: " in told.stderr, told.stderr


def test_a_file_in_the_place_of_the_home_is_told(base: Base) -> None:
    base.write()
    base.home.write_text("not a folder")
    told = base.said("run", str(base.pilot))
    assert told.code == 2 and str(base.home) in told.err and "Traceback" not in told.err


@pytest.mark.parametrize("name", ["runs", "scratch", "pilotbase.db"])
def test_a_file_or_folder_in_the_place_of_a_part_of_the_home_is_told(base: Base, name: str) -> None:
    base.write()
    base.home.mkdir()
    if name == "pilotbase.db":
        (base.home / name).mkdir()
    else:
        (base.home / name).write_text("in the way")
    told = base.said("run", str(base.pilot))
    assert told.code == 2 and name in told.err and "Traceback" not in told.err, told.err


def segments(base: Base) -> list[Path]:
    return sorted((base.home / "runs" / "small-1" / "evidence" / "good").glob("*.parquet"))


def test_a_tampered_segment_is_named_by_every_reader(base: Base) -> None:
    base.write(rows=cases(60), candidates={"good": base.python("frame", frame=20)})
    base.run(early_stop=False)
    victim = segments(base)[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    for arguments in (("conclude", "small-1"), ("show", "small-1"), ("dossier", "small-1")):
        told = base.said(*arguments)
        assert told.code == 2 and victim.name in told.err and "Traceback" not in told.err, told.err


def test_a_run_does_not_go_on_over_a_tampered_or_missing_segment(base: Base) -> None:
    base.write(rows=cases(60), candidates={"good": base.python("frame", frame=20)})
    counted = Faulty()
    base.beside("whole").run(early_stop=False, disk=counted.disk())
    fault = Faulty(at=counted.count - 6)
    with pytest.raises(Killed):
        base.run(early_stop=False, disk=fault.disk())
    victim = segments(base)[0]
    kept = victim.read_bytes()
    for damage in (lambda: victim.write_bytes(kept[:-1]), victim.unlink):
        damage()
        with pytest.raises(UserError, match=victim.name):
            base.run(early_stop=False)
    victim.write_bytes(kept)
    assert base.run(early_stop=False)["run"] == "small-1"


def test_missing_cases_of_a_finished_run_are_told_by_file(base: Base) -> None:
    base.write()
    base.run()
    (base.home / "runs" / "small-1" / "cases.parquet").write_bytes(b"no parquet")
    told = base.said("conclude", "small-1")
    assert told.code == 2 and "cases.parquet" in told.err and "Traceback" not in told.err
