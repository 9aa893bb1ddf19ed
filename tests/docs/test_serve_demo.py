"""`scripts/serve-demo` does what the README says: routes over the examples' candidates, answers, and an account that balances."""

import os
import socket
import subprocess
from pathlib import Path

from tests.docs.pages import ROOT


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_gateway_demo_serves_the_examples_and_its_account_balances(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts/serve-demo"), "--once", "--port", str(_free_port())]
    done = subprocess.run(
        command, env={**os.environ, "PILOTBASE_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "route screening: PASS of logistic" in told
    assert '"object": "chat.completion"' in done.stdout
    assert '"name":"label"' in done.stdout.replace(" ", "")
    assert "balanced: reserved = settled + released + in doubt + under way" in done.stdout
    assert "Traceback" not in told
