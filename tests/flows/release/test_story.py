"""The story of `examples/guarded-release`, run as a user runs it, and told by the pages with the same commands."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from tests.fakes.patience import PATIENCE

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "guarded-release"
PAGES = (ROOT / "docs/guarded-release.md", ROOT / "docs/zh/guarded-release.md")
LONGEST = 400


def _python(*arguments: str, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    given = os.environ | ({"TMPDIR": str(temporary)} if temporary is not None else {})
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=EXAMPLE, env=given, capture_output=True, text=True, timeout=LONGEST, check=False)


def _listed() -> list[str]:
    """The commands that the story runs, in their order."""
    return _python("story.py", "--list").stdout.splitlines()


def _left(folder: Path) -> list[str]:
    """Processes that work in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(place.readlink()).startswith(str(folder)):
                found.append(place.parent.name)
        except OSError:
            continue
    return found


def _nobody_left(folder: Path) -> bool:
    """Whether a folder is gone with all that worked in it; what was killed may take a moment to be gone."""
    end = time.monotonic() + PATIENCE
    while _left(folder) and time.monotonic() < end:
        time.sleep(0.1)
    # A gateway that had to be killed, on a machine that is very busy, leaves the folder of its sockets.
    own = [path for path in folder.iterdir() if not path.name.startswith("pilotbase-")]
    return not _left(folder) and not own


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the whole story prints; it went well, and left nothing behind."""
    folder = tmp_path_factory.mktemp("story")
    done = _python("story.py", temporary=folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert _nobody_left(folder)
    return done.stdout


def test_a_regression_that_came_live_is_caught_by_the_next_pilot(told: str) -> None:
    marks = (
        "router-2: ✔ PASS",
        "bears the risk",
        "▶ canary 25 %",
        "router-2 was updated; its name and its version are as before",
        "■ canary 25 %  rolled-back",
        "shape/regex FAILS on live traffic" if "FAILS on live traffic" in told else "shape/regex is getting worse",
        "\n  alert ",
        "contained: rollback",
        "it has no regression case",
        "lift-1, lift-2",
        "closed, version",
        "router-2: ✘ FAIL",
    )
    places = [told.index(mark) for mark in marks]
    assert places == sorted(places)


def test_the_new_case_alone_is_what_catches_it(told: str) -> None:
    last = told.rpartition("router-2: ✘ FAIL")[2]
    rows = re.findall(r"^\S* +(\S+) +[<>]?= .*(PASS|FAIL) *$", last, re.MULTILINE)
    assert dict(rows) == {"exact": "PASS", "regex": "PASS", "failure-rate": "PASS", "regressions": "FAIL"}


def test_citizens_meet_the_failure_for_a_while_and_as_few_as_were_exposed(told: str) -> None:
    found = re.search(r"what citizens could not use: ([\d.]+)% before.*?([\d.]+)% until.*?([\d.]+)% after", told)
    assert found is not None
    before, between, after = map(float, found.groups())
    assert before == after == 0.0
    assert 0.0 < between <= 35.0


def test_each_command_of_the_story_is_shown_as_it_is_run(told: str) -> None:
    shown = [line.removeprefix("$ ").removesuffix(" &") for line in told.splitlines() if line.startswith("$ ")]
    assert [re.sub(r"\binc-[\w-]+", "INCIDENT", one) for one in shown] == _listed()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_page_tells_the_commands_that_the_story_runs_in_their_order(page: Path) -> None:
    commands = re.findall(r"^\$ (.+?)(?: &)?$", page.read_text("utf-8"), re.MULTILINE)
    assert [one for one in commands if not one.startswith(("cp ", "cd "))] == _listed()


def test_a_story_that_is_stopped_ends_what_it_started(tmp_path: Path) -> None:
    given = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "story.py"], cwd=EXAMPLE, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as story:
        assert story.stdout is not None
        seen = next((line for line in story.stdout if line.startswith("$ pilotbase run")), None)
        assert seen is not None  # the gateway was started before
        assert len(_left(tmp_path)) >= 2
        story.send_signal(signal.SIGINT)
        _, errors = story.communicate(timeout=60)
    assert story.returncode == 130
    assert "everything that was started has ended" in errors
    assert "Traceback" not in errors
    assert _nobody_left(tmp_path)


def test_the_cases_are_those_that_the_script_makes_and_none_is_about_a_lift() -> None:
    made = _python("hotline.py").stdout
    assert made == (EXAMPLE / "cases.jsonl").read_text("utf-8")
    cases = [orjson.loads(line) for line in made.splitlines()]
    assert len({case["text"] for case in cases}) == len({case["id"] for case in cases}) == 300
    assert not [case for case in cases if re.search("lift|elevator|电梯|電梯", case["text"], re.IGNORECASE)]
    assert {case["incident"] for case in cases} == {""}


@contextmanager
def _routers() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-u", "server.py", "--port", "0"], cwd=EXAMPLE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def _said(url: str, model: str, text: str) -> Any:
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
    with urllib.request.urlopen(f"{url}/chat/completions", data=body, timeout=PATIENCE) as answer:
        return orjson.loads(answer.read())["choices"][0]["message"]["content"]


def test_the_update_changes_what_router_2_says_of_lifts_and_nothing_else() -> None:
    lifts = ("幸福小区电梯坏了，老人下不了楼。", "at the West Gate the lift jumps up and down.")
    others = ("家里停电", "the bus comes half an hour late")
    with _routers() as url:
        before = {(model, text): _said(url, model, text) for model in ("router-1", "router-2") for text in (*lifts, *others)}
        done = _python("server.py", "--regress", "--port", str(urlsplit(url).port))
        assert done.returncode == 0
        after = {(model, text): _said(url, model, text) for model, text in before}
    assert {before["router-2", text] for text in lifts} == {"market"}
    assert {pair for pair in before if before[pair] != after[pair]} == {("router-2", text) for text in lifts}
    assert after["router-2", lifts[0]] not in ("housing", "transport", "utilities", "environment", "market")


def test_what_is_no_request_is_refused_in_words() -> None:
    with _routers() as url:
        for body, status in ((b"{}", 400), (b"[", 400), (b'{"model": "router-3", "messages": []}', 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{url}/chat/completions", data=body, timeout=PATIENCE)
            assert refused.value.code == status
            assert orjson.loads(refused.value.read())["error"]["message"]
    gone = _python("server.py", "--regress", "--port", "1")
    assert gone.returncode == 1
    assert "nothing that can be updated answers on port 1" in gone.stderr
    assert "Traceback" not in gone.stderr
