"""The bundled examples, copied into a home and served where they need a server."""

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from pilotbase.demo.processes import running, wait_for
from pilotbase.errors import UserError

__all__ = ["copy_example", "examples_folder", "free_port", "served"]


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
    """The example's `server.py` at a port for as long as the block lasts. UserError where it does not answer."""
    with running(["server.py", "--port", str(port)], folder, "server.log") as one:
        wait_for(f"http://127.0.0.1:{port}/v1/models", one, folder / "server.log")
        yield
