"""Hostile code in the sandbox: what it tries, and what it gets. Left out where this kernel makes no namespaces."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from pilotbase.domain.bounds import Bounds
from pilotbase.domain.evidence import Ask, Reply
from pilotbase.errors import UserError
from pilotbase.ports import Prompting, TargetContext
from pilotbase.targets.python import Options, PythonTarget
from pilotbase.targets.sandbox import Held, Sandbox, probe

HELD = probe()
needs = pytest.mark.skipif(not HELD.whole, reason=f"NO NAMESPACES: {HELD.why}")

HOSTILE = """
import json
import os
import socket
import time


def tried(work):
    try:
        return work()
    except BaseException as error:
        return type(error).__name__


def network(case):
    def call(address):
        socket.create_connection(address, timeout=2).close()
        return "reached"

    def say():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))
        return "sent"

    return json.dumps([tried(lambda: call(("127.0.0.1", int(case["port"])))), tried(lambda: call(("1.1.1.1", 53))), tried(say)])


def files(case):
    def read(path):
        with open(path, "rb") as file:
            return file.read(20).decode("latin-1")

    os.symlink(case["secret"], "/tmp/out")
    return json.dumps({
        "secret": tried(lambda: read(case["secret"])),
        "linked": tried(lambda: read("/tmp/out")),
        "passwd": tried(lambda: read("/etc/passwd")),
        "own": read("data.txt"),
        "write": tried(lambda: open("/pilot/x", "w")),
        "root": tried(lambda: open("/x", "w")),
        "environment": sorted(os.environ),
        "user": os.geteuid(),
        "mount": tried(lambda: os.listdir("/proc/1/root/root")),
    })


def bomb(case):
    count = 0
    try:
        while count < 5000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return count


def memory(case):
    return len(bytearray(64 << 30))


def disk(case):
    def fill(name):
        with open(name, "wb") as file:
            while True:
                file.write(b"x" * (1 << 20))

    tried(lambda: fill("/tmp/a"))
    tried(lambda: fill("/tmp/b"))
    return sum(os.path.getsize(name) for name in ("/tmp/a", "/tmp/b"))


def forever(case):
    if os.fork() == 0:
        os.setsid()
    while True:
        pass
"""


def asked(folder: Path, call: str, policy: Any = "isolated", timeout: str = "20s", **inputs: Any) -> Reply:
    folder.mkdir(exist_ok=True)
    (folder / "hostile.py").write_text(HOSTILE)
    (folder / "data.txt").write_text("mine")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o700 if path.is_dir() else 0o600)  # as after a restore
    context = TargetContext(
        folder=folder,
        prompting=Prompting(),
        secrets=lambda _: None,
        scratch=folder.parent / "scratch",
        bounds=Bounds(code=policy),
    )

    async def story() -> Reply:
        target = PythonTarget(Options(call=f"hostile:{call}", timeout=timeout), context)
        try:
            return (await target.invoke([Ask(key=0, inputs=inputs, repetition=0)]))[0]
        finally:
            await target.aclose()

    return asyncio.run(story())


@needs
def test_no_network_is_reached_not_even_the_machines_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = orjson.loads(str(asked(tmp_path / "pilot", "network", port=server.getsockname()[1]).answer))
    assert "reached" not in said and "sent" not in said, said


@needs
def test_nothing_is_read_but_its_own_files_and_nothing_written_beside_them(tmp_path: Path) -> None:
    secret = tmp_path / "keys" / "pepper"
    secret.parent.mkdir()
    secret.write_text("very secret")
    said = orjson.loads(str(asked(tmp_path / "pilot", "files", secret=str(secret)).answer))
    assert said["own"] == "mine"
    assert (said["secret"], said["linked"], said["passwd"]) == ("FileNotFoundError",) * 3
    assert said["write"] == said["root"] == "OSError"
    assert said["user"] != 0 and said["mount"] in ("FileNotFoundError", "PermissionError")
    assert not [name for name in said["environment"] if "SECRET" in name or "PILOTBASE_H" in name]


@needs
def test_processes_memory_and_disk_have_an_end(tmp_path: Path) -> None:
    assert int(asked(tmp_path / "pilot", "bomb").answer) < 300  # type: ignore[arg-type]
    assert asked(tmp_path / "pilot", "memory").failure == "raised"
    assert int(asked(tmp_path / "pilot", "disk").answer) <= 256 << 20  # type: ignore[arg-type]


@needs
def test_what_runs_forever_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    before = {name for name in os.listdir("/proc") if name.isdigit()}
    assert asked(tmp_path / "pilot", "forever", timeout="2s").failure == "timeout"
    left = [name for name in os.listdir("/proc") if name.isdigit() and name not in before and b"sandbox_enter" in command(name)]
    assert not left


def command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_code_is_refused_where_it_may_not_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not run on this base"):
        asked(tmp_path / "pilot", "bomb", policy="off")


def test_isolation_is_not_claimed_where_something_is_missing() -> None:
    assert not Held(network=True, files=True, processes=True).whole
    open_ = Sandbox(source=Path("/srv/pilot"), held=Held(why="not permitted"))
    assert '"isolate": false' in open_.command(("python",))[4]
    assert open_.folder == "/srv/pilot"
