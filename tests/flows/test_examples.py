"""The examples give the verdicts that their READMEs state, offline, in a home of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast-screening"
EXITS = {"pass": 0, "fail": 1, "inconclusive": 3}


def _rows() -> list[tuple[str, str, str, list[str]]]:
    """(pilot, candidate or "the run", verdict, deciding metrics or an exit code) of each row of the README's table."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    cells = [
        [c.strip().strip("`") for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `pilot")
    ]
    return [(c[0], c[1], c[2].lower(), [m.strip() for m in c[3].split(",") if m.strip()]) for c in cells]


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    given = {**os.environ, "PILOTBASE_HOME": str(folder / "home")}
    return subprocess.run([sys.executable, *arguments], capture_output=True, cwd=folder, env=given, timeout=600, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its data written."""
    made = tmp_path_factory.mktemp("examples") / "breast-screening"
    shutil.copytree(EXAMPLE, made, ignore=shutil.ignore_patterns("cases.csv", "__pycache__", ".pilotbase"))
    done = _command(made, "prepare.py")
    assert done.returncode == 0, done.stderr.decode()
    return made


def _misses(candidate: dict[str, Any]) -> set[str]:
    """The metrics of the deciding checks whose verdict the candidate's is."""
    checks = [c for g in candidate["gates"] if g["mandatory"] for c in g["checks"] if c["role"] == "decide"]
    return {c["metric"] for c in checks if c["verdict"] == candidate["verdict"] != "pass"}


@pytest.mark.parametrize("pilot", ["pilot.yaml", "pilot-strict.yaml"])
def test_the_breast_screening_example_gives_the_verdicts_that_its_readme_states(folder: Path, pilot: str) -> None:
    done = _command(folder, "-m", "pilotbase", "run", pilot, "--json", "--quiet")
    assert done.stdout, done.stderr.decode()
    result = orjson.loads(done.stdout)
    stated = [r for r in _rows() if r[0] == pilot]
    assert {r[1]: r[2] for r in stated} == {c["id"]: c["verdict"] for c in result["candidates"]} | {"the run": result["verdict"]}
    for candidate in result["candidates"]:
        assert {m for r in stated if r[1] == candidate["id"] for m in r[3]} == _misses(candidate)
    assert done.returncode == EXITS[result["verdict"]]
    assert [f"exit code {done.returncode}"] in [r[3] for r in stated]
    assert result["confirmatory"]
    if pilot == "pilot-strict.yaml":  # it says how many more cases it needs
        short = [c for k in result["candidates"] for g in k["gates"] for c in g["checks"] if c["metric"] == "sensitivity"]
        assert [c["verdict"] for c in short] == ["inconclusive"] * 2 and all(c["needed"] > 1000 for c in short)


def test_every_verdict_appears_among_the_examples() -> None:
    assert {r[2] for r in _rows()} == {"pass", "fail", "inconclusive"}


@pytest.mark.parametrize("pilot", ["pilot.yaml", "pilot-strict.yaml"])
def test_a_good_application_has_the_chance_that_the_readme_tells(folder: Path, pilot: str) -> None:
    facts = orjson.loads(_command(folder, "-m", "pilotbase", "explain", pilot, "--json").stdout)
    checks = {c["metric"]: c for c in facts["checks"] if c["view"] is None}
    if pilot == "pilot.yaml":
        assert [round(checks[m]["pass_at"], 3) for m in ("sensitivity", "specificity")] == [0.953, 0.967]
        assert all(c["best"] for c in facts["checks"] if c["mandatory"])
        assert facts["data"]["groups"]["radius_tercile"].keys() == {"small", "middle", "large"}
    else:
        assert checks["sensitivity"]["look_line"] >= 211


def test_preparing_twice_writes_the_same_bytes(folder: Path) -> None:
    before = (folder / "cases.csv").read_bytes()
    assert _command(folder, "prepare.py").returncode == 0
    assert (folder / "cases.csv").read_bytes() == before and before.count(b"\n") == 570
