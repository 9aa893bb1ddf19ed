"""Writers that are killed at random moments: what they acknowledged is there, once, in order."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.segments import SegmentLog

SCHEMA = {"n": "u32", "text": "str"}
WRITER = """
import os, sys
from pathlib import Path
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.segments import SegmentLog

home, n = Path(sys.argv[1]), int(sys.argv[2])
index = DatabaseIndex(Database(home / "base.db"), "log")
with SegmentLog(home / "log", {"n": "u32", "text": "str"}, index, LocalDisk(), roll_rows=40) as log:
    while True:
        if n % 97 == 0:
            log.append_columns({"n": [n, n + 1, n + 2], "text": ["frame"] * 3})
            n += 3
        else:
            log.append({"n": n, "text": "x" * (n % 300)})
            n += 1
        os.write(1, b"%d\\n" % n)
"""


def numbers(home: Path, database: Database) -> list[int]:
    with SegmentLog(home / "log", SCHEMA, DatabaseIndex(database, "log"), LocalDisk(), roll_rows=40) as log:
        return [n for frame in log.read(["n"]) for n in frame["n"]]


def test_a_writer_killed_at_any_moment_loses_no_row_that_it_acknowledged(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    moments = random.Random(20260101)
    count, kills = 0, size(10, 300)
    with Database(tmp_path / "base.db") as database:
        for _ in range(kills):
            command = [sys.executable, "-c", WRITER, str(tmp_path), str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
                assert writer.stdout is not None
                acknowledged = count
                for _ in range(moments.randrange(1, 300)):
                    acknowledged = int(writer.stdout.readline())
                writer.send_signal(signal.SIGKILL)
                for line in writer.stdout.read().splitlines(keepends=True):
                    if line.endswith(b"\n"):
                        acknowledged = int(line)
                writer.wait(timeout=60)
            there = numbers(tmp_path, database)
            assert there == list(range(len(there)))
            # The step in flight, of one row or of three, may be there without its acknowledgement.
            assert acknowledged <= len(there) <= acknowledged + 3
            count = len(there)
    assert count > 50 * kills
