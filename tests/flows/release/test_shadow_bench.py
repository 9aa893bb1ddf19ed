"""`bench/shadow.py` runs, copies what it says it copies, and its bound is the sign test's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "shadow.py"


def test_the_bench_of_shadows_runs_and_its_account_balances() -> None:
    command = [sys.executable, str(BENCH), "--pairs", "2", "--requests", "5", "--rates", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"^\| 50 \| 20 \| [\d.]+ \| [\d.]+ \| [+-][\d.]+ \| \+inf \|$", done.stdout, re.MULTILINE)
    copied = re.search(r"^(\d+) shadows beside 20 measured requests", done.stdout, re.MULTILINE)
    assert copied is not None and int(copied[1]) >= 10
    assert "our account afterwards: balanced" in done.stdout


@pytest.mark.parametrize(("n", "place"), [(5, 5), (11, 9), (40, 26), (100, 59)])
def test_the_bound_is_the_order_statistic_of_the_sign_test(n: int, place: int) -> None:
    """Places from tables of the binomial distribution with a half: the first one that is covered with 95 %."""
    script = f"import shadow; print(shadow.upper_bound(range(1, {n + 1})))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BENCH.parent, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) == place
