"""Measuring a command and everything that it starts: processor time, wall time, peak memory; and telling it as Markdown."""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Measured", "bench_environment", "footer", "measure", "median", "table"]

EVERY_SECONDS = 0.025
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One command. `cpu` is user and system seconds of it and all that it waited for; `peak` bytes resident, the tree summed."""

    cpu: float
    wall: float
    peak: int
    code: int
    output: str

    @property
    def megabytes(self) -> float:
        """Peak memory in MB."""
        return self.peak / 1e6


def measure(
    command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, codes: Iterable[int] = (0,)
) -> Measured:
    """Run a command to its end. RuntimeError, with what it printed, where its exit code is none of `codes`."""
    log = folder / "output.log"
    with log.open("wb") as file:
        begun = time.perf_counter()
        child = subprocess.Popen(
            [str(c) for c in command], cwd=folder, env=dict(environment), stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
        sampler = _Sampler(child.pid)
        sampler.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)  # it was waited for here, not by Popen
    sampler.finish()
    output = log.read_text(errors="replace")
    if child.returncode not in set(codes):
        raise RuntimeError(f"exit code {child.returncode}: {' '.join(map(str, command))}\n{output[-4000:]}")
    return Measured(cpu=used.ru_utime + used.ru_stime, wall=wall, peak=sampler.peak, code=child.returncode, output=output)


class _Sampler(threading.Thread):
    """Looks at the resident memory of a process and its descendants forty times a second (Linux; elsewhere it sees nothing).

    `ru_maxrss` would not do: it starts from what the bench itself held when it forked.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.peak = max(self.peak, _highest(self.root), sum(_resident(pid) for pid in _tree(self.root)))

    def finish(self) -> None:
        self._ended.set()
        self.join()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(p) for p in (task / "children").read_text().split()]
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _highest(pid: int) -> int:
    """The most that one process has held since its program began, which no sample can miss."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


def bench_environment(home: Path, **more: str) -> dict[str, str]:
    """What our own commands run under: bytecode cached outside the tree, nothing inherited but the path."""
    cache = Path(__file__).parent / ".envs" / "bytecode"
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONPYCACHEPREFIX": str(cache),
        "PILOTBASE_HOME": str(home),
        **more,
    }


def median(values: Sequence[float]) -> float:
    """The middle value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: first column left, the others right."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def footer(packages: Sequence[str] = (), more: Mapping[str, str] | None = None) -> str:
    """Machine and versions, one line."""
    versions = {"Python": platform.python_version()}
    for name in ("pilotbase", *packages):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    versions.update(more or {})
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    listed = ", ".join(f"{name} {value}" for name, value in versions.items())
    return f"{listed}; {_processor()}, {cores} cores, {memory:.0f} GiB; {sys.platform}; load average at the end {load}."


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()
