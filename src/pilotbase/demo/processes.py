"""Servers of the demonstration: processes of their own, in a group each, that end with the block that started them."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pilotbase.errors import UserError

__all__ = ["running", "wait_for"]

LONGEST = 120.0
_ENDING = 30.0

Process = subprocess.Popen[bytes]


@contextmanager
def running(words: Sequence[str], folder: Path, log: str, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Python with these words in a folder, for as long as the block lasts; what it says goes into the file `log` there."""
    with (folder / log).open("wb") as file:
        one = subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=folder,
            env=dict(environment) if environment is not None else None,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield one
    finally:
        one.terminate()
        with suppress(subprocess.TimeoutExpired):
            one.wait(timeout=_ENDING)
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def wait_for(url: str, server: Process, log: Path) -> None:
    """Until the address answers. UserError where the server ends, or is silent for two minutes."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    told = log.read_text("utf-8", "replace").strip()[-500:]
    raise UserError(f"a server of the demonstration does not answer: {told or 'it says nothing'}", where=str(log))
