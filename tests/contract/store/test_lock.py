"""The lock that keeps a second writer out."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.patience import PATIENCE

from pilotbase.errors import UserError
from pilotbase.store.lock import RunLock


def test_the_second_taker_learns_who_holds_it_and_since_when(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with RunLock(path, now=lambda: datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)) as lock:
        assert lock.held
        with pytest.raises(UserError) as caught:
            RunLock(path).take()
        assert f"in use by process {os.getpid()} on " in str(caught.value)
        assert "since 2026-03-04T05:06:07+00:00" in str(caught.value)
        assert "wait until it is finished or stop it" in str(caught.value)
    with RunLock(path) as again:
        assert again.held


def test_taking_and_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock").take().take()
    lock.release()
    lock.release()
    assert not lock.held


def test_a_holder_that_has_not_written_its_name_yet_is_another_process(tmp_path: Path) -> None:
    with RunLock(tmp_path / "lock"):
        (tmp_path / "lock").write_bytes(b"")
        with pytest.raises(UserError, match="in use by another process"):
            RunLock(tmp_path / "lock").take()


HOLDER = """
import sys
from pathlib import Path
from pilotbase.store.lock import RunLock
lock = RunLock(Path(sys.argv[1])).take()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_goes_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on "):
            RunLock(path).take()
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=PATIENCE)
    with RunLock(path) as lock:
        assert lock.held
