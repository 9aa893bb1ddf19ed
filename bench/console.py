"""The console's pages beside a bare FastAPI and Jinja page on the same server, at two sizes of a base.

    python bench/console.py [--scale 1.0] [--seconds 3] [--connections 1,16]

The whole base holds 100 runs with 1,000,000 observations, 100,000 audit entries and 10,000 incidents; the small one a tenth.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from measure import bench_environment, footer, table
from million import COLUMNS, EXITS, PILOT, measure, write_cases

from pilotbase.accounts import members, sessions
from pilotbase.console.app import make_console
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.incident import KINDS, Detection, Incident
from pilotbase.domain.scenario import Titles
from pilotbase.gateway.transport import Server
from pilotbase.release.incidents import open_incident
from pilotbase.server.loop import run_loop
from pilotbase.store import audit
from pilotbase.store.disk import LocalDisk

HERE = Path(__file__).parent
RUNS, OBSERVATIONS, AUDIT, INCIDENTS = 100, 1_000_000, 100_000, 10_000
EACH = 1000  # observations of every run but the first
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
BARE = Environment(autoescape=True).from_string(
    "<!doctype html><title>bare</title><table>{% for row in rows %}<tr><td>{{ row.a }}<td>{{ row.b }}</tr>{% endfor %}</table>"
)
ROWS = [{"a": f"row {i}", "b": i} for i in range(50)]


def opened(home: Path) -> contextlib.AbstractContextManager[Context]:
    return open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets=lambda _: None)


def fill(home: Path, scale: float) -> None:
    """A base of this size: two runs that were really made, copies of the smaller one, the rest by their own functions."""
    home.mkdir(parents=True)
    large = int(OBSERVATIONS * scale) - (int(RUNS * scale) - 1) * EACH
    for name, cases in (("small", EACH), ("large", large)):
        folder = home.parent / f"{home.name}-{name}"
        folder.mkdir()
        write_cases(folder / "cases.parquet", cases)
        text = PILOT.format(columns=", ".join(COLUMNS), call="by_frame", way="frame", size=65_536)
        (folder / "pilot.yaml").write_text(text.replace("bench-million", name), encoding="utf-8")
        (folder / "models.py").write_text((HERE / "models.py").read_text())
        command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop", "--json"]
        told = measure(command, environment=bench_environment(home), folder=folder, codes=EXITS)
        json.loads(told.output)  # a traceback exits with 1 too
    with opened(home) as context:
        copy_runs(context, int(RUNS * scale) - 2)
        with context.database.transaction():
            for i in range(int(AUDIT * scale)):
                at = BEGUN + timedelta(seconds=30 * i)
                audit.write(
                    context.database, who=f"member:m{i % 50}", action="key.create", subject=f"k{i}", detail={"n": i}, at=at
                )
        with context.database.transaction():
            for i in range(int(INCIDENTS * scale)):
                at = BEGUN + timedelta(minutes=5 * i)
                kind = KINDS[i % len(KINDS)]
                title = Titles(en=f"incident {i}", zh=f"事件 {i}")
                found = Incident(
                    route=f"r{i % 20}",
                    kind=kind,
                    severity=1 + i % 4,
                    detected=at,
                    detected_by=Detection(by="user"),
                    title=title,
                )
                open_incident(context.database, found, "bench", at)


def copy_runs(context: Context, count: int) -> None:
    """The small run under other names: folder, row, segments."""
    for i in range(count):
        name = f"small-{i + 2}"
        shutil.copytree(context.run_folder("small-1"), context.run_folder(name))
        with context.database.transaction():
            for which, key in (("runs", "run"), ("run_candidates", "run"), ("segments", "log")):
                old = "small-1" if key == "run" else "small-1/rule"
                new = name if key == "run" else f"{name}/rule"
                names = [column for column in context.database.columns(which) if column != key]
                listed = ", ".join(names)
                context.database.execute(
                    f"INSERT INTO {which} ({key}, {listed}) SELECT CAST(:new AS TEXT), {listed} FROM {which} WHERE {key} = :old",
                    {"new": new, "old": old},
                )


def session(home: Path) -> str:
    with opened(home) as context:
        now = context.clock.now()
        words = {"login": "li", "name": "Li", "organisation": "Base", "password": "quiet harbour 42"}
        found = members.create_first(context.database, **words, now=now)
        members.set_roles(context.database, found.id, ["operator", "auditor"], version=found.version, who="bench", now=now)
        return sessions.begin(context.database, found.id, now)[0]


def serve(home: Path) -> None:
    """In a process of its own: the console, and the bare page under `/bare`. Prints the port."""
    bare = FastAPI()

    @bare.get("/bare")
    def page() -> HTMLResponse:
        return HTMLResponse(BARE.render(rows=ROWS))

    with opened(home) as context:
        console = make_console(context, public_url=None)

        async def both(scope, receive, send) -> None:
            await (bare if scope["path"] == "/bare" else console)(scope, receive, send)

        listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        listening.setblocking(False)
        print(listening.getsockname()[1], flush=True)

        async def work() -> int:
            await Server(both, drain=1.0).serve([listening])
            return 0

        run_loop(work)  # as `pilotbase serve`, with uvloop where there is one


class Served:
    """A base served in a process of its own."""

    def __init__(self, home: Path, token: str) -> None:
        self.child = subprocess.Popen([sys.executable, __file__, "--serve", str(home)], stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        self.port, self.token = int(self.child.stdout.readline()), token

    def load(self, path: str, connections: int, seconds: float) -> list[float]:
        """Seconds of each request, by so many connections that each wait for an answer before they ask again."""
        found: list[float] = []
        wrong: list[str] = []
        end = time.perf_counter() + seconds

        def one() -> None:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            headers = {"Cookie": f"pilotbase_session={self.token}", "Accept-Language": "en"}
            while not wrong and (not found or time.perf_counter() < end):
                begun = time.perf_counter()
                client.request("GET", path, headers=headers)
                answer = client.getresponse()
                answer.read()
                found.append(time.perf_counter() - begun)
                if answer.status != 200:
                    wrong.append(f"{path}: {answer.status}")
            client.close()

        threads = [threading.Thread(target=one) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise RuntimeError(wrong[0])  # what answers an error is quick, and no page
        return sorted(found)

    def close(self) -> None:
        self.child.terminate()
        self.child.wait()


def pages(home: Path) -> Mapping[str, str]:
    with sqlite3.connect(home / "pilotbase.db") as database:
        deep = "SELECT id FROM {} ORDER BY {} LIMIT 1 OFFSET (SELECT count(*) / 2 FROM {})"
        entry = database.execute(deep.format("audit", "at", "audit")).fetchone()[0].replace("+", "%2B")
        incident = database.execute(deep.format("incidents", "detected", "incidents")).fetchone()[0]
    return {
        "bare FastAPI + Jinja": "/bare",
        "home": "/console",
        "runs": "/console/runs",
        "runs of one verdict": "/console/runs?verdict=pass",
        "a run of 1,000": "/console/runs/small-2",
        "the largest run": "/console/runs/large-1",
        "incidents": "/console/incidents",
        "incidents, from the middle": f"/console/incidents?before={incident}",
        "incidents of a state": "/console/incidents?state=open",
        "an incident": f"/console/incidents/{incident}",
        "audit log": "/console/audit",
        "audit log, from the middle": f"/console/audit?before={entry}",
        "members": "/console/members",
        "routes": "/console/gateway",
        "releases": "/console/releases",
        "my settings": "/console/own",
    }


def measured(home: Path, connections: list[int], seconds: float) -> dict[str, list[list[float]]]:
    """For each page its sorted seconds at each number of connections; the first view of the largest run stands alone."""
    served = Served(home, session(home))
    try:
        found = {"the largest run, first view": [served.load("/console/runs/large-1", 1, 0.0)] * len(connections)}
        for name, path in pages(home).items():
            served.load(path, 1, 0.2)
            found[name] = [served.load(path, count, seconds) for count in connections]
        return found
    finally:
        served.close()


def at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the larger base (default: 1.0, the whole)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load on each page")
    parser.add_argument("--connections", default="1,16")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return
    connections = [int(n) for n in given.connections.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-console-") as name:
        both = {}
        for scale in (given.scale / 10, given.scale):
            home = Path(name) / f"base-{scale:g}"
            fill(home, scale)
            both[scale] = measured(home, connections, given.seconds)
        small, large = both.values()
        for i, count in enumerate(connections):
            bare = large["bare FastAPI + Jinja"][i]
            print(f"\n{count} connection(s), ms:\n")
            rows = [
                (
                    page, f"{at(times[i], 0.5):.1f}", f"{at(times[i], 0.95):.1f}", f"{at(times[i], 0.95) / at(bare, 0.95):.1f}",
                    f"{at(times[i], 0.5) / at(small[page][i], 0.5):.2f}", str(len(times[i])),
                )
                for page, times in large.items()
            ]  # fmt: skip
            print(table(("page", "p50", "p95", "p95 / bare", "p50 / that of a tenth of the base", "requests"), rows))
    print("\n" + footer(("fastapi", "jinja2", "uvicorn")))
    print(f"load average {os.getloadavg()[0]:.1f}; {json.dumps({'scale': given.scale, 'seconds': given.seconds})}")


if __name__ == "__main__":
    main()
