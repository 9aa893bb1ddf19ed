"""What the machine offers: interpreter, packages of the extras, and namespaces to confine a candidate in."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from pilotbase import __version__
from pilotbase.domain.health import Finding

__all__ = ["confinement", "programs"]

_EXTRAS: Final = {
    "serve": ("ahocorasick", "argon2", "babel", "fastapi", "httptools", "prometheus_client", "uvicorn"),
    "postgres": ("pg8000",),
    "telemetry": ("opentelemetry",),
}
_NEW_USER_AND_NET: Final = 0x10000000 | 0x40000000  # CLONE_NEWUSER | CLONE_NEWNET, linux/sched.h
_TRY: Final = (
    "import ctypes, sys\n"
    f"sys.exit(0 if ctypes.CDLL(None, use_errno=True).unshare({_NEW_USER_AND_NET}) == 0 else min(ctypes.get_errno(), 100) or 100)"
)
_WAIT: Final = 60.0  # seconds


def programs(*, postgres: bool) -> Iterator[Finding]:
    """The interpreter, and which extras are installed; `postgres`: whether that one is needed."""
    told = f"pilotbase {__version__}, Python {sys.version.split()[0]} on {sys.platform}"
    if sys.platform.startswith(("linux", "darwin")):
        yield Finding(check="program", state="good", told=told)
    else:
        yield Finding(check="program", state="bad", told=told, todo="run it on Linux or macOS: the store needs their locks")
    for extra, names in _EXTRAS.items():
        absent = [name for name in names if importlib.util.find_spec(name) is None]
        todo = f"pip install 'pilotbase[{extra}]'"
        if not absent:
            yield Finding(check=f"extra {extra}", state="good", told="installed")
        elif extra == "postgres" and postgres:
            yield Finding(check=f"extra {extra}", state="bad", told=f"needed, and {', '.join(absent)} is missing", todo=todo)
        else:
            told = f"not there: {', '.join(absent)}"
            yield Finding(check=f"extra {extra}", state="look", told=told, todo=f"only where it is used: {todo}")


def confinement() -> Iterator[Finding]:
    """Whether a process may make user and network namespaces, tried in a child that ends at once."""
    if not sys.platform.startswith("linux"):
        yield Finding(
            check="confinement", state="look", told="namespaces are Linux's", todo="run code that you do not trust elsewhere"
        )
        return
    try:
        done = subprocess.run([sys.executable, "-I", "-c", _TRY], capture_output=True, check=False, timeout=_WAIT).returncode
    except (OSError, subprocess.TimeoutExpired):
        done = -1
    if done == 0:
        yield Finding(check="confinement", state="good", told="user and network namespaces can be made")
    else:
        yield Finding(
            check="confinement",
            state="look",
            told="user and network namespaces cannot be made by this user",
            todo="run code that you do not trust elsewhere, or allow them: sysctl user.max_user_namespaces",
        )
