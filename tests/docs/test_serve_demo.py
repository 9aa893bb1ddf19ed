"""`scripts/serve-demo` and the README's snippets do what the README says, as printed: answers, and an account that balances."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks

LONGEST = 300.0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _ready(port: int, demo: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and demo.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    demo.kill()
    pytest.fail(f"the demo does not serve: {demo.communicate()}")


def _as_printed(page: str, language: str, word: str, port: int, home: Path) -> str:
    """The first snippet of a page that holds `word`, at this demo's port and home."""
    found = next(block for block in blocks(ROOT / page, language) if word in block)
    return found.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(".pilotbase/demo-key", str(home / "demo-key"))


def test_the_gateway_demo_serves_the_examples_and_the_snippets_of_both_readmes_work(tmp_path: Path) -> None:
    port = _free_port()
    environment = {**os.environ, "PILOTBASE_HOME": str(tmp_path)}
    command = [str(ROOT / "scripts/serve-demo"), "--port", str(port)]
    demo = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _ready(port, demo)
        for page in ("README.md", "README.zh.md"):
            curl = _as_printed(page, "bash", "curl", port, tmp_path)
            asked = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=60, check=True)
            assert '"object": "chat.completion"' in asked.stdout
            snippet = _as_printed(page, "python", "from openai", port, tmp_path)
            asked = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=True)
            assert "dossier" in asked.stdout.lower()
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        told, errors = demo.communicate(timeout=60)
    assert "route screening: PASS of logistic" in told + errors
    assert "Traceback" not in told + errors
    account = subprocess.run(
        [sys.executable, "-m", "pilotbase", "usage", "reconcile"], env=environment, capture_output=True, text=True, check=True
    )
    assert "balanced: reserved = settled + released + in doubt + under way" in account.stdout
