"""The plug-in that docs/plugins.md shows is a plug-in: it keeps the contract of targets, by the test that the page shows."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from pilotbase.checks.metrics import METRICS, merge
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.scores import read_rows
from pilotbase.domain.gate import Check

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_target_that_the_page_shows_keeps_the_contract(tmp_path: Path) -> None:
    _, plugin, its_test = CODE.findall((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"))
    (tmp_path / "pilotbase_program.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "test_program.py").write_text(its_test, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "contract" / "targets" / "contract.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_the_metric_that_the_page_shows_is_a_row_that_scores(tmp_path: Path) -> None:
    code, *_ = CODE.findall((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"))
    path = tmp_path / "short_answer.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("short_answer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    row = merge(METRICS, [("short-answer", module.metric)])["short-answer"]
    cases = CaseColumns(count=2, ids=("a", "b"))
    rows = read_rows(np.array([0, 1]), ["yes", "x" * 500], cases)
    assert row.score(rows, cases, Check(metric="short-answer", require=">= 0.9")).tolist() == [1.0, 0.0]
