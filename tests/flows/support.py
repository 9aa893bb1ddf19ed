"""A small pilot in a folder, its home, and ways to run it: in this process with a disk and clock of one's own, or in another."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from tests.fakes.chat_server import Behaviour, ChatServer
from tests.flows.commands import Said, pilotbase

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.flows.conclude import conclude_run
from pilotbase.flows.document import document_of
from pilotbase.flows.evidence import read_log
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import load_pilot
from pilotbase.flows.run import run_pilot
from pilotbase.pilots.progress import Progress, Silent
from pilotbase.pilots.records import find_run
from pilotbase.ports import Clock
from pilotbase.store.disk import Disk, LocalDisk

__all__ = ["Backwards", "Base", "accuracy", "cases", "check_of", "estimates", "serving", "verdicts"]

# Each call is written down, in one write, in the file that CALLS names: what was asked, and how often.
MODELS = '''
import os


def note(x):
    path = os.environ.get("CALLS")
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{x}\\n".encode())
        os.close(fd)


def answer(x):
    """Right but for every tenth."""
    truth = x % 2 == 1
    return "yes" if truth != (x % 10 == 3) else "no"


def good(case):
    note(case["x"])
    return answer(case["x"])


def scored(case):
    note(case["x"])
    said = answer(case["x"])
    return {"label": said, "score": 0.9 if said == "yes" else 0.1}


def batch(cases):
    return [good(case) for case in cases]


def frame(frame):
    return [good({"x": x}) for x in frame["x"].to_list()]


def coin(case):
    note(case["x"])
    return "yes" if case["x"] % 4 < 2 else "no"


def wrong(case):
    note(case["x"])
    return "no" if case["x"] % 2 else "yes"
'''


def cases(count: int) -> list[dict[str, Any]]:
    """Made-up cases: `label` is yes for odd x; two sites, and clusters of four."""
    return [
        {"id": f"c{x}", "x": x, "site": "north" if x % 3 else "south", "patient": f"p{x // 4}", "label": "yes" if x % 2 else "no"}
        for x in range(count)
    ]


def accuracy(require: str = ">= 0.7", **more: Any) -> dict[str, Any]:
    """A check that `good` passes with some hundred cases."""
    return {"metric": "accuracy", "require": require, **more}


class Backwards:
    """A clock that goes back an hour at each look."""

    def __init__(self) -> None:
        self._now = datetime(2026, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now -= timedelta(hours=1)
        return self._now


@dataclass(slots=True, kw_only=True)
class Base:
    """One pilot in `folder` and one home beside it. `write` puts the pilot there; further files may be added by hand."""

    folder: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def pilot(self) -> Path:
        return self.folder / "pilot.yaml"

    @property
    def calls(self) -> Path:
        """Where candidates note their calls, once `counting`."""
        return self.home.parent / "calls.txt"

    def counted(self) -> list[str]:
        """What was asked so far."""
        return self.calls.read_text().split() if self.calls.exists() else []

    def write(
        self,
        *,
        rows: Sequence[Mapping[str, Any]] | None = None,
        candidates: Mapping[str, Any] | None = None,
        checks: Sequence[Mapping[str, Any]] = (),
        models: str = MODELS,
        data: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
        scenario: Mapping[str, Any] | None = None,
    ) -> "Base":
        """Write pilot.yaml (JSON is YAML), test.csv and models.py. `candidates` maps ids to targets, or to whole candidates."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = cases(60) if rows is None else list(rows)
        names = list(found[0])
        table = [",".join(names), *(",".join(_cell(row[name]) for name in names) for row in found)]
        (self.folder / "test.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
        (self.folder / "models.py").write_text(models, encoding="utf-8")
        given = candidates or {"good": self.python("good")}
        document = {
            "pilot": "small",
            "scenario": {
                "area": "industry",
                "field": "tests",
                "owner": "nobody",
                "need": "Tell odd from even.",
                "risk": "medium",
                "authority": "user-only",
                **(scenario or {}),
            },
            "seed": 7,
            "data": {
                "test": {"path": "test.csv", "id": "id", "inputs": ["x"], "target": "label", "positive": "yes", **(data or {})}
            },
            "candidates": [{"id": name, **(c if "target" in c else {"target": c})} for name, c in given.items()],
            "gates": [{"gate": "capability", "checks": list(checks) or [accuracy()]}],
            **(more or {}),
        }
        self.pilot.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return self

    def python(self, call: str, **options: Any) -> dict[str, Any]:
        """A python target that notes its calls."""
        self.environment["CALLS"] = str(self.calls)
        return {"python": {"call": f"models:{call}", "env": ["CALLS"], **options}}

    @contextmanager
    def opened(self, disk: Disk | None = None, clock: Clock | None = None) -> Iterator[Context]:
        """The home."""
        with open_context(
            self.home, disk=disk or LocalDisk(), clock=clock or SystemClock(), secrets=self.environment.get
        ) as context:
            yield context

    def run(
        self, *, disk: Disk | None = None, clock: Clock | None = None, progress: Progress | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run in this process; the document of VERDICT.md section 8."""
        with self.opened(disk, clock) as context:
            return document_of(run_pilot(context, load_pilot(self.pilot), RunOptions(**options), progress or Silent()))

    def conclude(self, run: str = "last", **options: Any) -> dict[str, Any]:
        """Conclude again from what is recorded."""
        with self.opened() as context:
            return conclude_run(context, find_run(context.database, run), **options)[1]

    def evidence(self, run: str, candidate: str) -> list[dict[str, Any]]:
        """All recorded rows of a candidate."""
        with self.opened() as context:
            return [row for frame in read_log(context, run, candidate) for row in frame.iter_rows(named=True)]

    def said(self, *arguments: object) -> Said:
        """`pilotbase ARGUMENTS` in this process."""
        return pilotbase(self.home, *arguments, environment=self.environment)

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`pilotbase ARGUMENTS` in a process of its own."""
        return subprocess.run(
            command(*arguments),
            env=self.variables(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            command(*arguments),
            env=self.variables(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def variables(self) -> dict[str, str]:
        """The environment of a process."""
        return {**os.environ, "PILOTBASE_HOME": str(self.home), "LANG": "C.UTF-8", **self.environment}

    def beside(self, name: str) -> "Base":
        """The same pilot in another home."""
        home = self.home.parent / name / "home"
        home.parent.mkdir(exist_ok=True)
        return Base(folder=self.folder, home=home, environment={**self.environment, "CALLS": str(home.parent / "calls.txt")})


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pilotbase", *arguments]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text


def check_of(document: Mapping[str, Any], check: str, candidate: str | None = None) -> dict[str, Any]:
    """One check's result by its id, of the first candidate unless one is named."""
    for c in document["candidates"]:
        if candidate in (None, c["id"]):
            return next(k for g in c["gates"] for k in g["checks"] if k["id"] == check)
    raise KeyError(candidate)


def estimates(document: Mapping[str, Any], *, whole: bool = True) -> dict[Any, Any]:
    """All that a verdict says, by candidate and check. With early stopping (`whole=False`) what came after may differ."""
    kept = ["verdict", "value", "low", "high", "n", "planned", "method"]
    kept += ["failed", "not_asked", "literal", "needed", "reasons", "parts"] if whole else []
    return {
        (c["id"], k["id"]): {name: k[name] for name in kept}
        for c in document["candidates"]
        for g in c["gates"]
        for k in g["checks"]
    } | {c["id"]: c["verdict"] for c in document["candidates"]}


def verdicts(document: Mapping[str, Any]) -> dict[str, str]:
    """Candidate to verdict."""
    return {c["id"]: c["verdict"] for c in document["candidates"]}


@contextmanager
def serving(*behaviours: Behaviour) -> Iterator[ChatServer]:
    """A chat endpoint in a thread of its own, for runs that have an event loop of theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = ChatServer(*behaviours)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
