"""The sandbox of code that members upload: how its process is started, and what this kernel lets it hold.

`sandbox_enter.py` does the work in the process itself, before any of the code is read. What is held is probed, never assumed.
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from pilotbase.domain.bounds import Bounds
from pilotbase.errors import UserError

__all__ = ["MEMORY", "Held", "Limits", "Sandbox", "probe", "sandbox_of"]

_ENTER = Path(__file__).with_name("sandbox_enter.py")
_WORKER = Path(__file__).with_name("python_worker.py")
MEMORY: Final = 4 << 30
_PATIENCE: Final = 60.0
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each process: `memory` bytes of addresses, `cpu` seconds, `file` bytes of one file, `open` files, `processes` (of its
    user, threads included). `scratch` is the size of the one folder that can be written, in memory, bytes.
    """

    memory: int = MEMORY
    cpu: int = 3600
    file: int = 256 << 20
    open: int = 256
    processes: int = 256
    scratch: int = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the sandbox holds on this machine; `why` tells what the kernel said where something is missing."""

    network: bool = False
    files: bool = False
    processes: bool = False
    user: bool = False
    why: str = ""

    @property
    def whole(self) -> bool:
        """Whether it may be called isolated."""
        return self.network and self.files and self.processes and self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One candidate's sandbox. `folder` is where its files are seen from within."""

    source: Path
    held: Held
    limits: Limits = field(default_factory=Limits)

    @property
    def folder(self) -> str:
        return "/pilot" if self.held.whole else str(self.source.resolve())

    def command(self, inner: Sequence[str]) -> tuple[str, ...]:
        """The command that goes into the sandbox and then becomes `inner`."""
        told = {
            "isolate": self.held.whole,
            "source": str(self.source.resolve()),
            "show": _shown() if self.held.whole else [],
            "limits": asdict(self.limits),
        }
        return (sys.executable, "-I", "-S", str(_ENTER), json.dumps(told), *inner)

    def environment(self, usual: Mapping[str, str]) -> dict[str, str]:
        """The variables of its process: a home and a place for passing files that are its own."""
        own = {"HOME": "/tmp", "TMPDIR": "/tmp"} if self.held.whole else {"HOME": "/nonexistent"}
        return {**usual, **own}


def sandbox_of(bounds: Bounds | None, folder: Path, memory: int) -> Sandbox | None:
    """The sandbox for code in `folder`; None for a pilot of the operator's own. UserError where it may not run here."""
    if bounds is None:
        return None
    if bounds.code == "off":
        raise UserError("code that was uploaded is not run on this base", hint="an operator allows it by PILOTBASE_UPLOADED_CODE")
    held = probe()
    if bounds.code == "isolated" and not held.whole:
        raise UserError(
            f"code that was uploaded cannot be isolated on this machine: {held.why}",
            hint="use a chat endpoint or recorded answers",
        )
    if held.whole and (around := next((path for path in _shown() if folder.resolve().is_relative_to(path)), None)):
        # What Python needs is shown whole, and the home that lies in it would be too.
        raise UserError(
            f"code that was uploaded cannot be isolated: the home lies within {around}", hint="move the home elsewhere"
        )
    if os.geteuid() == 0:
        _open_up(folder)
    return Sandbox(source=folder, held=held, limits=Limits(memory=min(memory or MEMORY, MEMORY)))


def _open_up(folder: Path) -> None:
    """Let any user read the files: code that root starts runs as nobody, and a restored home holds them for their owner alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


@cache
def probe() -> Held:
    """Try the sandbox once with a process that looks around in it."""
    own = Path(__file__).parent
    trial = Sandbox(source=own, held=Held(network=True, files=True, processes=True, user=True))
    looks = (sys.executable, "-I", "-S", "-c", _LOOK, str(Path.cwd()), str(_ENTER.parent))
    try:
        done = subprocess.run(
            trial.command(looks), env={"PATH": os.defpath}, capture_output=True, timeout=_PATIENCE, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Held(why=f"its process could not be tried: {type(error).__name__}")
    if done.returncode != 0:
        return Held(why=(done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1][:300])
    try:
        found = json.loads(done.stdout)
        missing = ", ".join(name for name, holds in found.items() if not holds)
        return Held(**found, why=f"not held: {missing}" if missing else "")
    except (ValueError, TypeError):
        return Held(why="its process told nothing that can be read")


_LOOK: Final = """
import json, os, socket, sys
def reached(address):
    try:
        socket.create_connection(address, timeout=1).close()
        return True
    except OSError:
        return False
links = set(os.listdir("/sys/class/net")) - {"lo"} if os.path.isdir("/sys/class/net") else set()
try:
    open("/pilot/.written", "w").close()
    written = True
except OSError:
    written = False
status = dict(line.split(":", 1) for line in open("/proc/self/status")) if os.path.exists("/proc/self/status") else {}
others = [name for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
print(json.dumps({
    "network": not reached(("192.0.2.1", 80)) and not reached(("127.0.0.1", 80)) and not links
        and len(socket.if_nameindex()) <= 1,
    "files": not written and "sandbox_enter.py" in os.listdir("/pilot")
        and not any(map(os.path.exists, ("/etc/passwd", "/var", "/srv"))),
    "processes": os.getpid() < 10 and len(others) < 10,
    "user": os.geteuid() != 0 and int(status.get("CapEff", "0").strip() or "0", 16) == 0
        and status.get("NoNewPrivs", "1").strip() == "1",
}))
"""


def _shown() -> list[str]:
    """The folders and files of the machine that code needs in order to run: Python, its packages, the system's libraries."""
    # Of the search path packages alone: it may begin with the working directory, where a home may lie.
    packages = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values(), *packages, str(_WORKER)}
    wanted = {os.path.realpath(path) for path in (*_SYSTEM, *python) if os.path.exists(path)} | {sys.prefix}
    links = {path for path in _SYSTEM if os.path.islink(path)}
    return sorted(_outermost({*wanted, *links, *(path for path in _SYSTEM if os.path.exists(path))}))


def _outermost(paths: set[str]) -> set[str]:
    return {path for path in paths if not any(path != other and path.startswith(other.rstrip("/") + "/") for other in paths)}
