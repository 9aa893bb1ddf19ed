"""Processor time and memory of running processes, from /proc (Linux; proc(5))."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["children", "cpu_seconds", "resident", "tree"]

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far, summed; children that have ended are counted with whoever waited for them."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def resident(pids: Iterable[int]) -> float:
    """Resident memory now, in MB, summed."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return total / 1e6
