"""`kill -9` at random moments of real runs; then the run goes on to the result of an unbroken one."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.fakes.chat_server import answers
from tests.fakes.patience import PATIENCE
from tests.flows.support import Base, accuracy, cases, estimates, serving

from pilotbase.pilots.records import find_run

CHECKS = [accuracy(">= 0.5"), {"metric": "sensitivity", "require": ">= 0.5"}, {"metric": "failures", "require": "<= 0"}]


def kill_after_calls(base: Base, calls: int, asked: Callable[[], int], chance: random.Random) -> bool:
    """Start, wait until some calls were made, kill with a signal that cannot be caught. Whether it was still at work."""
    process = base.start("run", str(base.pilot), "-q", "--no-early-stop", start_new_session=True)
    while process.poll() is None and asked() < calls:
        time.sleep(0.002)
    time.sleep(chance.random() * 0.02)
    running = process.poll() is None
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return running


@pytest.mark.parametrize(
    ("call", "options", "repeated"),
    [("good", {}, 1), ("batch", {"batch": 8}, 8), ("frame", {"frame": 16}, 16), ("good", {"workers": 3}, 3)],
)
def test_a_python_run_killed_again_and_again_ends_as_an_unbroken_one(
    base: Base, size: Callable[[int, int], int], call: str, options: dict[str, Any], repeated: int
) -> None:
    base.write(rows=cases(160), candidates={"good": base.python(call, **options)}, checks=CHECKS)
    unbroken = base.beside("whole").run(early_stop=False)
    chance = random.Random(f"{call}{options}")
    for series in range(size(1, 25)):
        one = base.beside(f"killed-{series}")
        kills = 0
        for _ in range(3):
            asked = len(one.counted())
            kills += kill_after_calls(one, asked + chance.randrange(1, 50), lambda: len(one.counted()), chance)  # noqa: B023
        document = one.run(early_stop=False)
        if document["run"] != "small-1":
            continue  # it had finished before the last signal came
        assert estimates(document) == estimates(unbroken)
        times = Counter(one.counted())
        assert len(times) == 160
        assert sum(times.values()) <= 160 + kills * repeated


def test_a_chat_run_killed_again_and_again_repeats_no_more_than_it_had_under_way(
    base: Base, size: Callable[[int, int], int]
) -> None:
    with serving(answers("yes")) as server:
        target = {"openai": {"url": server.url, "model": "m", "concurrency": 4}}
        base.write(rows=cases(120), candidates={"chat": {"target": target, "prompt": "Is {x} odd?"}}, checks=CHECKS)
        unbroken = base.beside("whole").run(early_stop=False)
        chance = random.Random(4)
        for series in range(size(1, 25)):
            one = base.beside(f"killed-{series}")
            server.bodies.clear()
            kills = 0
            for _ in range(3):
                kills += kill_after_calls(one, len(server.bodies) + chance.randrange(1, 40), lambda: len(server.bodies), chance)
            document = one.run(early_stop=False)
            if document["run"] == "small-1":
                assert estimates(document) == estimates(unbroken)
                assert 120 <= len(server.bodies) <= 120 + kills * 4


def test_no_process_of_a_candidate_outlives_a_killed_run(base: Base) -> None:
    base.write(rows=cases(300), candidates={"good": base.python("good")}, models=PIDS)
    process = base.start("run", str(base.pilot), "-q", "--no-early-stop", start_new_session=True)
    while process.poll() is None and len(base.counted()) < 3:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    pid = int(base.counted()[0])
    deadline = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


PIDS = """
import os
import time


def good(case):
    fd = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{os.getpid()}\\n".encode())
    os.close(fd)
    time.sleep(0.05)
    return "yes"
"""


HELD = """while os.path.getsize(os.environ["CALLS"]) > 200 and not os.path.exists(os.environ["CALLS"].replace(".txt", ".go")):
        time.sleep(0.01)"""
"""What a candidate does after some calls until it may go on: the run is at work when the signal comes on any machine."""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_says_how_to_go_on_and_the_run_goes_on(base: Base) -> None:
    base.write(rows=cases(150), candidates={"slow": base.python("good")}, models=PIDS.replace("time.sleep(0.05)", HELD))
    process = base.start("run", str(base.pilot), "--no-early-stop", start_new_session=True)
    while process.poll() is None and len(base.counted()) < 5:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and not out
    assert "run small-1 was interrupted" in err and f"pilotbase run {base.pilot} --no-early-stop" in err
    with base.opened() as context:
        assert find_run(context.database, "small-1").state == "interrupted"
    base.calls.with_suffix(".go").touch()
    recorded = len(base.evidence("small-1", "slow"))
    assert 4 <= recorded < 150
    document = base.run(early_stop=False)
    assert document["run"] == "small-1" and len(base.evidence("small-1", "slow")) == 150
    assert len(base.counted()) <= 151
