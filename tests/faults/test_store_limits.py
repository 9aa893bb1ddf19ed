"""Real limits of the machine: a file that may not grow, a home that is no folder."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.store.blobs import Blobs
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk, trouble
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.lock import RunLock
from pilotbase.store.memory import MemoryIndex
from pilotbase.store.segments import SegmentLog

LIMITED = """
import resource, sys
from pathlib import Path
from pilotbase.errors import UserError
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.segments import SegmentLog

home = Path(sys.argv[1])
database = Database(home / "base.db")
log = SegmentLog(home / "log", {"n": "u32", "text": "str"}, DatabaseIndex(database, "log"), LocalDisk(), roll_rows=10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
done = 0
try:
    while True:
        if sys.argv[2] == "log":
            log.append({"n": done, "text": "x" * 500})
        else:
            database.execute("INSERT INTO criteria VALUES (?, 'now', ?, NULL)", (str(done), "x" * 5000))
        done += 1
except UserError as error:
    print(done)
    print(error)
"""


def limited(home: Path, what: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(home), what], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    done, _, message = ended.stdout.partition("\n")
    return int(done), message


def test_a_log_on_a_full_disk_stops_in_words_and_keeps_every_row(tmp_path: Path) -> None:
    done, message = limited(tmp_path, "log")
    assert "00000001.journal: could not write it: no space is left for it" in message
    assert "free space" in message and "what was recorded is kept" in message
    with (
        Database(tmp_path / "base.db") as database,
        SegmentLog(tmp_path / "log", {"n": "u32", "text": "str"}, DatabaseIndex(database, "log"), LocalDisk()) as log,
    ):
        assert [n for frame in log.read(["n"]) for n in frame["n"]] == list(range(done))
        assert done > 300


def test_a_database_on_a_full_disk_stops_in_words_and_keeps_every_row(tmp_path: Path) -> None:
    done, message = limited(tmp_path, "database")
    assert "base.db: " in message and "what was recorded is kept" in message
    with Database(tmp_path / "base.db") as database:
        assert [int(row["digest"]) for row in database.rows("SELECT digest FROM criteria ORDER BY rowid")] == list(range(done))
        assert done >= 2


OPENERS: dict[str, Callable[[Path], object]] = {
    "log": lambda home: SegmentLog(home / "log", {"n": "u32"}, MemoryIndex(), LocalDisk()),
    "blobs": lambda home: Blobs(home / "blobs", LocalDisk()).put(b"x"),
    "database": lambda home: Database(home / "base.db"),
    "lock": lambda home: RunLock(home / "lock").take(),
}


@pytest.mark.parametrize("what", OPENERS)
def test_a_file_where_the_home_should_be_is_named(tmp_path: Path, what: str) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    with pytest.raises(UserError, match="a file stands where a folder is needed") as caught:
        OPENERS[what](home)
    assert str(home) in str(caught.value) and "choose another home folder" in str(caught.value)
    assert home.read_text() == "a file"


def test_a_folder_where_the_database_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.db").mkdir()
    with pytest.raises(UserError, match=r"base\.db: could not open the database"):
        Database(tmp_path / "base.db")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "raise the quota"),
        (errno.EROFS, "give this user write access"),
        (errno.EACCES, "this user may not"),
        (errno.EIO, "check the disk"),
        (errno.ENOENT, "the file is missing"),
    ],
)
def test_each_failure_says_what_where_and_what_to_do(code: int, words: str) -> None:
    text = str(trouble("write", Path("/home/file"), OSError(code, "reason")))
    assert text.startswith("/home/file: could not write it: ") and words in text
