"""The documentation assistant is tried end to end over its chat address, and gives the verdicts that its README states."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.flows.stories import Said, pilotbase, record_of

EXAMPLES = Path(__file__).parents[2] / "examples"
README = (EXAMPLES / "docs-assistant" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The example's own server on a free port."""
    command = [sys.executable, "-u", str(EXAMPLES / "docs-assistant" / "server.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """Copies of both examples; the first pilot asks the server's port."""
    made = tmp_path_factory.mktemp("examples")
    for name in ("docs-assistant", "any-chat-model"):
        shutil.copytree(EXAMPLES / name, made / name, ignore=shutil.ignore_patterns("__pycache__", ".pilotbase"))
    pilot = made / "docs-assistant" / "pilot.yaml"
    text = pilot.read_text(encoding="utf-8")
    assert "http://127.0.0.1:8765/v1" in text
    pilot.write_text(text.replace("http://127.0.0.1:8765/v1", url), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def said(folder: Path) -> Said:
    return pilotbase(folder / "home", "run", folder / "docs-assistant", "--json", "-q")


def _stated() -> dict[str, str]:
    """Check (or "the run") to verdict, from the README's table."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (PASS|FAIL|INCONCLUSIVE) \|$", README, re.MULTILINE)
    return {f"{gate}/{check}".replace("`", "") if gate != "the run" else check: verdict.lower() for gate, check, verdict in rows}


def _found(document: dict[str, Any]) -> dict[str, str]:
    return {k["id"]: k["verdict"] for c in document["candidates"] for g in c["gates"] for k in g["checks"]}


def test_the_assistant_gives_the_verdicts_that_its_readme_states(said: Said) -> None:
    assert said.err == ""
    assert _found(said.json) | {f"exit code {said.code}": said.json["verdict"]} == _stated()
    assert {k["failed"] for c in said.json["candidates"] for g in c["gates"] for k in g["checks"]} == {0}


def test_its_answers_came_streamed_with_usage_in_both_languages(folder: Path, said: Said) -> None:
    home = folder / "home"
    (gap,) = (k for c in said.json["candidates"] for g in c["gates"] for k in g["checks"] if k["by"] == "language")
    assert {p["group"] for p in gap["parts"]} == {"en", "zh"}
    assert pilotbase(home, "dossier", "last", "--out", folder / "dossier").code == 0
    service = record_of(folder / "dossier")["service"]["assistant"]
    assert service["tokens_in"] > 0
    assert service["tokens_out"] > 0
    assert pilotbase(home, "verify", folder / "dossier").code == 0


def test_the_readme_says_that_its_thresholds_came_after_a_first_look() -> None:
    assert "chosen after the share of right answers had been seen once: 106 of 120" in README


def test_all_questions_asked_gives_the_share_that_the_readme_tells(folder: Path, said: Said) -> None:
    done = pilotbase(folder / "second", "run", folder / "docs-assistant", "--json", "-q", "--no-early-stop")
    (contains,) = (
        k for c in done.json["candidates"] for g in c["gates"] for k in g["checks"] if k["id"] == "capability/contains"
    )
    assert (contains["n"], round(contains["value"] * 120)) == (120, 106)


def test_any_chat_model_asks_the_endpoint_that_the_environment_names(folder: Path, url: str) -> None:
    given = {"CHAT_URL": url, "CHAT_MODEL": "docs-assistant", "CHAT_KEY": "made-up-for-this-test"}
    done = pilotbase(folder / "any", "run", folder / "any-chat-model", "--json", "-q", environment=given)
    assert done.err == ""
    assert done.code in (0, 1, 3)
    assert _found(done.json)["reliability/failure-rate"] == "pass"
    assert pilotbase(folder / "any", "dossier", "last", "--out", folder / "any-dossier").code == 0
    for path in folder.joinpath("any-dossier").rglob("*.*"):
        assert b"made-up-for-this-test" not in path.read_bytes()


def test_without_its_variables_any_chat_model_says_which_is_missing(folder: Path) -> None:
    done = pilotbase(folder / "none", "run", folder / "any-chat-model", "-q")
    assert done.code in (2, 4)
    assert "CHAT_" in done.err
