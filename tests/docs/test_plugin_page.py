"""The plug-in that docs/plugins.md shows is a plug-in: it keeps the contract of targets, by the test that the page shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_target_that_the_page_shows_keeps_the_contract(tmp_path: Path) -> None:
    plugin, its_test = CODE.findall((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"))
    (tmp_path / "pilotbase_program.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "test_program.py").write_text(its_test, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "contract" / "targets" / "contract.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
