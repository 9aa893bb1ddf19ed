"""Whatever a candidate does ends that case, and not the run."""

import asyncio
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.fakes.patience import PATIENCE

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.errors import UserError
from pilotbase.ports import FrameReply, Prompting, TargetContext
from pilotbase.targets.process import MARK
from pilotbase.targets.python import Options, PythonTarget

CANDIDATES = textwrap.dedent(
    """
    import ctypes, fcntl, os, signal, stat, subprocess, sys, time
    import numpy as np

    def _channel():
        return int(sys.argv[1])

    def _stubborn():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass

    def _leave():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        return "left"

    def _recurse():
        return _recurse()

    def _print():
        for _ in range(300):
            print("x" * 10_000)
        return "printed"

    def _raise(error):
        raise error

    class Odd(Exception):
        def __str__(self):
            raise ValueError("no words")

    DEEDS = {
        "good": lambda: "good",
        "raise": lambda: _raise(ValueError("x" * 10_000)),
        "odd": lambda: _raise(Odd()),
        "surrogate": lambda: _raise(ValueError("\\ud800")),
        "interrupt": lambda: _raise(KeyboardInterrupt()),
        "exit": lambda: sys.exit(3),
        "memory": lambda: bytearray(2**40),
        "recurse": _recurse,
        "hang": lambda: time.sleep(1000),
        "stubborn": _stubborn,
        "leave-now": lambda: os._exit(7),
        "segfault": lambda: ctypes.string_at(0),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "close": lambda: os.closerange(3, 256),
        "garbage": lambda: os.write(_channel(), b"garbage" * 100),
        "none": lambda: None,
        "nan": lambda: float("nan"),
        "deep-nan": lambda: {"label": "a", "score": np.float64("nan")},
        "infinity": lambda: [1.0, float("inf")],
        "set": lambda: {1, 2},
        "object": lambda: object(),
        "bytes": lambda: b"\\xff\\xfe",
        "lone": lambda: "\\ud800",
        "lone-key": lambda: {"label": {"\\ud800": 1}},
        "huge": lambda: "x" * (50 * 2**20),
        "numpy": lambda: {"label": np.int64(3), "score": np.float32(0.5), "vector": np.arange(3)},
        "fork": _leave,
        "fork-return": lambda: "child" if os.fork() == 0 else "parent",
        "spawn": lambda: str(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid),
        "print": _print,
        "environment": lambda: {"text": " ".join(sorted(os.environ))},
    }

    def one(case):
        return DEEDS[case["do"]]()

    def many(cases):
        return [DEEDS[c["do"]]() for c in cases]

    def short(cases):
        return [1] * (len(cases) - 1) if any(c["do"] != "good" for c in cases) else ["good"] * len(cases)

    def frame(frame):
        return [DEEDS[d]() for d in frame["do"]]

    def columns(frame):
        return {"score": [0.5 if d == "good" else float("nan") for d in frame["do"]]}

    def always(frame):
        raise ValueError("always")

    def wide(frame):
        return np.zeros((frame.height, 3))

    number = 3
    """
)


def _context(folder: Path, **secrets: str) -> TargetContext:
    (folder / "candidate.py").write_text(CANDIDATES)
    return TargetContext(folder=folder, prompting=Prompting(), secrets=secrets.get, scratch=folder / "scratch")


def _asks(deeds: Sequence[str]) -> list[Ask]:
    return [Ask(key=i, inputs={"do": deed}) for i, deed in enumerate(deeds)]


def _run(folder: Path, deeds: Sequence[str], call: str = "candidate:one", timeout: str = "30s", **options: object) -> list[Reply]:
    """Ask each deed in turn, or all at once where `batch` is given, on one target; all must be over within a minute."""

    async def run() -> list[Reply]:
        target = PythonTarget(Options(call=call, timeout=timeout, **options), _context(folder))
        try:
            asks = _asks(deeds)
            if target.batch > 1:
                return list(await target.invoke(asks))
            return [reply for ask in asks for reply in await target.invoke([ask])]
        finally:
            await target.aclose()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def _frame(folder: Path, deeds: Sequence[str], call: str = "candidate:frame") -> FrameReply:
    async def run() -> FrameReply:
        target = PythonTarget(Options(call=call, timeout="30s", frame=100_000), _context(folder))
        try:
            return await target.invoke_frame(pl.DataFrame({"do": list(deeds)}))
        finally:
            await target.aclose()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


@pytest.mark.parametrize(
    ("deed", "failure", "words"),
    [
        ("raise", "raised", "ValueError: xxx"),
        ("odd", "raised", "Odd"),
        ("surrogate", "raised", "ValueError"),
        ("interrupt", "raised", "KeyboardInterrupt"),
        ("exit", "raised", "SystemExit: 3"),
        ("memory", "raised", "MemoryError"),
        ("recurse", "raised", "RecursionError"),
        ("leave-now", "crashed", "exit code 7"),
        ("segfault", "crashed", "SIGSEGV"),
        ("kill", "crashed", "SIGKILL"),
        ("close", "crashed", ""),
        ("garbage", "crashed", "channel"),
        ("none", "shape", "None"),
        ("nan", "shape", "nan"),
        ("deep-nan", "shape", "nan"),
        ("infinity", "shape", "inf"),
        ("set", "shape", "set"),
        ("object", "shape", "object"),
        ("bytes", "shape", "bytes"),
        ("lone", "shape", "not text"),
        ("lone-key", "shape", "not text"),
        ("huge", "too-large", "52,428,802"),
    ],
)
def test_a_fault_fails_its_own_case_and_the_next_is_answered(deed: str, failure: str, words: str, tmp_path: Path) -> None:
    before, bad, after = _run(tmp_path, ["good", deed, "good"], timeout="30s")
    assert (before.answer, after.answer) == ("good", "good")
    assert (bad.failure, bad.answer) == (failure, None)
    assert words in bad.detail and len(bad.detail) <= 500
    bad.detail.encode()


@pytest.mark.parametrize("deed", ["hang", "stubborn"])
def test_a_call_without_an_end_is_a_timeout(deed: str, tmp_path: Path) -> None:
    bad, after = _run(tmp_path, [deed, "good"], timeout="3s")
    assert bad.failure == "timeout" and "3 s" in bad.detail
    assert after.answer == "good"


def test_memory_beyond_the_limit_fails_the_case(tmp_path: Path) -> None:
    bad, after = _run(tmp_path, ["memory", "good"], memory="4GiB", timeout="30s")
    assert bad.failure in ("raised", "crashed") and after.answer == "good"


def test_numpy_values_become_plain_ones(tmp_path: Path) -> None:
    (reply,) = _run(tmp_path, ["numpy"], timeout="30s")
    assert reply.answer == {"label": 3, "score": 0.5, "vector": [0, 1, 2]}


def test_only_what_is_named_of_the_environment_reaches_a_candidate(tmp_path: Path) -> None:
    async def run() -> str:
        context = _context(tmp_path, WANTED="yes", SECRET="no")
        target = PythonTarget(Options(call="candidate:one", env=("WANTED",)), context)
        try:
            (reply,) = await target.invoke(_asks(["environment"]))
            return str(reply.answer["text"])
        finally:
            await target.aclose()

    names = set(asyncio.run(run()).split())
    assert "WANTED" in names and "SECRET" not in names
    assert names <= {
        "HOME",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONUTF8",
        "WANTED",
        MARK,
    }


def test_what_is_printed_is_kept_up_to_a_mebibyte(tmp_path: Path) -> None:
    (reply,) = _run(tmp_path, ["print"], timeout="20s")
    assert reply.answer == "printed"
    (log,) = (tmp_path / "scratch").glob("*.log")
    assert 2**20 <= log.stat().st_size < 2**20 + 100
    assert log.read_text().endswith("[more was printed; it is not kept]\n")


def _marked() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (entry / "environ").read_bytes() and f"{os.getpid()}" != entry.name:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("deed", ["fork", "spawn", "fork-return", "hang", "kill"])
def test_nothing_that_a_candidate_started_outlives_its_target(deed: str, tmp_path: Path) -> None:
    before = len(_zombies())
    _run(tmp_path, [deed], timeout="1s" if deed == "hang" else "30s")
    assert not [line for line in _marked() if str(tmp_path) in line or "sleep" in line]
    assert len(_zombies()) <= before


def _zombies() -> list[str]:
    mine = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and parent == str(os.getpid()):
            mine.append(entry.parent.name)
    return mine


def test_a_forked_child_that_comes_back_answers_nothing(tmp_path: Path) -> None:
    replies = _run(tmp_path, ["fork-return", "good", "good"], timeout="30s")
    assert [r.answer for r in replies] == ["parent", "good", "good"]


@pytest.mark.parametrize(("deed", "failure"), [("raise", "raised"), ("leave-now", "crashed"), ("nan", "shape")])
def test_a_bad_case_in_a_batch_fails_alone(deed: str, failure: str, tmp_path: Path) -> None:
    deeds = ["good"] * 11 + [deed] + ["good"] * 4
    replies = _run(tmp_path, deeds, call="candidate:many", batch=16, timeout="30s")
    assert [i for i, r in enumerate(replies) if r.failure] == [11]
    assert replies[11].failure == failure
    assert replies[0].answer == "good"
    assert replies[11].attempts == (1 if deed == "nan" else 5)


def test_a_case_without_an_end_in_a_batch_fails_alone(tmp_path: Path) -> None:
    replies = _run(tmp_path, ["good", "hang", "good", "good"], call="candidate:many", batch=4, timeout="2s")
    assert [reply.failure for reply in replies] == [None, "timeout", None, None]
    assert replies[1].attempts == 3


def test_a_batch_with_the_wrong_number_of_answers_is_taken_apart(tmp_path: Path) -> None:
    replies = _run(tmp_path, ["good", "bad", "good", "good"], call="candidate:short", batch=4)
    assert [r.failure for r in replies] == [None, "shape", None, None]
    assert "a batch of 1 was answered by 0 answers" in replies[1].detail


def test_a_timed_batch_is_not_taken_apart(tmp_path: Path) -> None:
    async def run() -> Sequence[Reply]:
        target = PythonTarget(Options(call="candidate:many", batch=4), _context(tmp_path))
        try:
            return await target.invoke(_asks(["good", "raise"]), open_loop=True)
        finally:
            await target.aclose()

    assert [(r.failure, r.attempts) for r in asyncio.run(run())] == [("raised", 1), ("raised", 1)]


def test_a_bad_row_in_a_frame_fails_alone(tmp_path: Path) -> None:
    reply = _frame(tmp_path, ["good"] * 40 + ["raise"] + ["good"] * 30 + ["leave-now"] + ["good"])
    assert reply.failure is None and reply.failed is not None and reply.labels is not None
    assert reply.failed.nonzero()[0].tolist() == [40, 71]
    assert [reply.labels[i] for i in (0, 39, 40, 70, 72)] == ["good", "good", None, "good", "good"]
    assert "ValueError" in reply.detail


def test_a_score_that_is_no_number_marks_its_row(tmp_path: Path) -> None:
    reply = _frame(tmp_path, ["good", "bad", "good"], "candidate:columns")
    assert reply.failed is not None and reply.failed.tolist() == [False, True, False]
    assert reply.scores is not None and reply.scores[2] == 0.5


@pytest.mark.parametrize(
    ("call", "failure", "words"),
    [("always", "raised", "ValueError: always"), ("wide", "shape", "rows was answered by an array of shape")],
)
def test_a_function_that_takes_no_frame_fails_it_without_trying_every_row(
    call: str, failure: str, words: str, tmp_path: Path
) -> None:
    reply = _frame(tmp_path, ["good"] * 50_000, f"candidate:{call}")
    assert reply.failure == failure
    assert words in reply.detail


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("missing:one", "No module named 'missing'"),
        ("candidate:nothing", "no attribute 'nothing'"),
        ("candidate:number", "cannot be called"),
        ("broken:one", "ZeroDivisionError"),
        ("leaves:one", "exit code 9"),
        ("quits:one", "SystemExit"),
    ],
)
def test_a_candidate_that_cannot_be_loaded_ends_the_run_with_its_own_words(call: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def one(case):\n    return 1\n\nvalue = 1 / 0\n")
    (tmp_path / "leaves.py").write_text("import os\nprint('leaving', flush=True)\nos._exit(9)\n")
    (tmp_path / "quits.py").write_text("raise SystemExit('no licence')\n")
    with pytest.raises(UserError) as caught:
        _run(tmp_path, ["good"], call=call)
    assert caught.value.code == 4
    assert words in str(caught.value)
    if call == "broken:one":
        assert "value = 1 / 0" in str(caught.value)
    if call == "leaves:one":
        assert "leaving" in str(caught.value)


def test_an_import_without_an_end_ends_the_run(tmp_path: Path) -> None:
    context = _context(tmp_path)
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(1000)\n")

    async def run() -> None:
        target = PythonTarget(Options(call="endless:one"), context, start_seconds=0.3)
        try:
            await target.invoke(_asks(["good"]))
        finally:
            await target.aclose()

    with pytest.raises(UserError, match=r"no answer within 0\.3 s"):
        asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_a_candidate_that_does_not_start_again_fails_its_cases_fifty_times_and_then_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(
        "import os, pathlib\nmark = pathlib.Path(__file__).with_name('mark')\n"
        "if mark.exists():\n    os._exit(5)\nmark.touch()\n\ndef one(case):\n    os._exit(1)\n"
    )

    async def run() -> list[str | None]:
        target = PythonTarget(Options(call="once:one"), _context(tmp_path))
        failures = []
        try:
            for _ in range(50):
                failures += [r.failure for r in await target.invoke(_asks(["good"]))]
            with pytest.raises(UserError, match="exit code 5"):
                await target.invoke(_asks(["good"]))
        finally:
            await target.aclose()
        return failures

    assert asyncio.run(asyncio.wait_for(run(), 120)) == ["crashed"] * 50


def test_a_cancelled_call_leaves_the_target_usable(tmp_path: Path) -> None:
    async def run() -> str:
        target = PythonTarget(Options(call="candidate:one"), _context(tmp_path))
        try:
            await target.invoke(_asks(["good"]))
            call = asyncio.ensure_future(target.invoke(_asks(["hang"])))
            await asyncio.wait([call], timeout=0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            (reply,) = await target.invoke(_asks(["good"]))
            return str(reply.answer)
        finally:
            await target.aclose()

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE)) == "good"


def test_a_timed_call_that_finds_no_free_process_in_time_is_a_timeout(tmp_path: Path) -> None:
    async def run() -> list[Reply]:
        target = PythonTarget(Options(call="candidate:one", timeout="400ms"), _context(tmp_path))
        try:
            await target.invoke(_asks(["good"]))
            calls = [target.invoke(_asks([deed]), open_loop=True) for deed in ("hang", "hang", "hang")]
            return [reply for replies in await asyncio.gather(*calls) for reply in replies]
        finally:
            await target.aclose()

    assert [r.failure for r in asyncio.run(asyncio.wait_for(run(), PATIENCE))] == ["timeout"] * 3
