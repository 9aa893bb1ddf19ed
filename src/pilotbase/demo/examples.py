"""The bundled examples, copied into a home and served where they need a server."""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from pilotbase.errors import UserError

__all__ = ["copy_example", "examples_folder", "free_port", "served"]

LONGEST = 60.0


def examples_folder() -> Path:
    """Where they lie: in the installed package, or beside the sources of a checkout. UserError where neither is there."""
    inside = Path(str(resources.files("pilotbase.demo"))) / "examples"
    beside = Path(__file__).resolve().parents[3] / "examples"
    for folder in (inside, beside):
        if (folder / "breast-screening" / "pilot.yaml").is_file():
            return folder
    raise UserError("the bundled examples are not here", hint="install the package anew, or use a checkout of the project")


def copy_example(name: str, into: Path, *, port: int | None = None) -> Path:
    """A copy of an example in the folder `into`, whose pilot calls `port`. UserError where it is there already."""
    folder = into / name
    if folder.exists():
        raise UserError("there is something here already", where=str(folder), hint="the demonstration fills fresh homes only")
    unwanted = shutil.ignore_patterns("__pycache__", ".pilotbase", "home", "dossier", "key.txt", "cases.csv")
    shutil.copytree(examples_folder() / name, folder, ignore=unwanted if name == "breast-screening" else None)
    if port is not None:
        pilot = folder / "pilot.yaml"
        pilot.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", pilot.read_text("utf-8")), "utf-8")
    return folder


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """The example's `server.py` at a port for as long as the block lasts. UserError where it does not answer within a minute."""
    log = folder / "server.log"
    with log.open("wb") as file:
        one = subprocess.Popen(
            [sys.executable, "-u", "server.py", "--port", str(port)], cwd=folder, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _answers(f"http://127.0.0.1:{port}/v1/models", one, log)
        yield
    finally:
        one.terminate()
        with suppress(subprocess.TimeoutExpired):
            one.wait(timeout=10)
        one.kill()
        one.wait()


def _answers(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    told = log.read_text("utf-8", "replace").strip()[-500:]
    raise UserError(f"the example's server does not answer: {told or 'it says nothing'}", where=str(log.parent))
