"""Which process a number means: numbers are used again, and one that is must not be taken for the one before it."""

import os
import signal
from contextlib import suppress
from pathlib import Path

__all__ = ["end", "identity", "lives"]

_START = 19  # of the fields of /proc/PID/stat behind the name: the start in clock ticks since the machine's


def identity(pid: int) -> str:
    """`PID:START` of a living process; an empty start where the system does not tell it."""
    return f"{pid}:{_start(pid)}"


def lives(told: str) -> bool:
    """Whether the process of an identity still runs on this machine. Where the system tells no starts, the number decides."""
    pid, _, start = told.partition(":")
    if not pid.isdigit():
        return False
    if start:
        return _start(int(pid)) == start
    with suppress(OSError):
        os.kill(int(pid), 0)
        return True
    return False


def end(told: str) -> None:
    """Kill the process of an identity; nothing happens where it is gone, or where its number may be another's."""
    pid, _, start = told.partition(":")
    if start and lives(told):
        with suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)


def _start(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[_START]
