"""A fault at every system call that changes durable state: whatever `append` returned for is there afterwards, once, in order."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pilotbase.errors import UserError
from pilotbase.store.chain import SegmentIndex, SegmentInfo
from pilotbase.store.database import Database
from pilotbase.store.disk import Calls, LocalDisk
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.memory import MemoryIndex
from pilotbase.store.segments import SegmentLog

SCHEMA = {"n": "u32", "text": "str"}
MODES = ("full", "dies before", "dies after", "dies in the middle", "power cut")


class Killed(BaseException):
    """The process died here."""


@dataclass(slots=True)
class Faulty:
    """System calls and index steps, counted; the one numbered `at` goes wrong as `mode` says. After death nothing happens."""

    at: int = -1
    mode: str = "dies before"
    count: int = 0
    dead: bool = False
    fds: dict[int, Path] = field(default_factory=dict)
    synced: dict[Path, int] = field(default_factory=dict)

    def disk(self) -> LocalDisk:
        return LocalDisk(
            Calls(
                open_file=self.open_file,
                write=self.write,
                sync=self.sync,
                truncate=self.guarded(os.ftruncate),
                rename=self.rename,
                unlink=self.guarded(os.unlink),
                mkdir=self.guarded(os.mkdir),
                close=self.close,
            )
        )

    def step(self, action: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if self.dead:
            raise Killed
        here = self.count == self.at
        self.count += 1
        if not here:
            return action()
        if self.mode == "full":
            if half:
                half()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.mode == "dies in the middle" and half:
            half()
        elif self.mode != "dies before":
            action()
        self.die()
        raise Killed

    def die(self) -> None:
        self.dead = True
        if self.mode == "power cut":
            for path in self.fds.values():
                os.truncate(path, min(path.stat().st_size, self.synced.get(path, 0)))
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *values: self.step(lambda: call(*values))

    def open_file(self, path: Path, flags: int, mode: int) -> int:
        def action() -> int:
            there = path.exists()
            fd = os.open(path, flags, mode)
            self.fds[fd] = path
            if there:
                self.synced.setdefault(path, path.stat().st_size)
            return fd

        return self.step(action)

    def write(self, fd: int, data: bytes) -> int:
        return self.step(lambda: os.write(fd, data), lambda: os.write(fd, data[: len(data) // 2]))

    def sync(self, fd: int) -> None:
        def action() -> None:
            os.fsync(fd)
            if fd in self.fds:
                self.synced[self.fds[fd]] = os.fstat(fd).st_size

        self.step(action)

    def rename(self, source: Path, target: Path) -> None:
        def action() -> None:
            os.replace(source, target)
            self.synced[target] = self.synced.pop(source, 0)

        self.step(action)

    def close(self, fd: int) -> None:
        if self.fds.pop(fd, None) is not None:
            os.close(fd)


@dataclass(slots=True)
class FaultyIndex:
    """An index whose `add` is one more place for a fault."""

    inner: SegmentIndex
    faulty: Faulty

    def add(self, info: SegmentInfo) -> None:
        try:
            self.faulty.step(lambda: self.inner.add(info))
        except OSError as error:
            raise UserError("could not write: no space is left on the disk") from error

    def list(self) -> Any:
        return self.inner.list()


Step = tuple[str, list[int]]
SCRIPT: list[Step] = [
    *(("append", [n]) for n in range(12)),
    ("sync", []),
    ("seal", []),
    *(("append", [n]) for n in range(12, 21)),
    ("columns", [21, 22, 23]),
    *(("append", [n]) for n in range(24, 29)),
    ("seal", []),
    *(("append", [n]) for n in range(29, 33)),
    ("sync", []),
]
EVERYTHING = list(range(33))


def row(n: int) -> dict[str, object]:
    return {"n": n, "text": f"text {n} " + "x" * (n % 7)}


def play(folder: Path, index: SegmentIndex, faulty: Faulty, done: list[int], synced: list[int], skip: int = 0) -> None:
    """Run the script from its row `skip` on; `done` collects what was acknowledged, `synced` what a sync or a seal covered."""
    log = SegmentLog(folder, SCHEMA, FaultyIndex(index, faulty), faulty.disk(), roll_rows=1000)
    for action, numbers in SCRIPT:
        if numbers and numbers[0] < skip:
            continue
        if action == "append":
            log.append(row(numbers[0]))
        elif action == "columns":
            log.append_columns({name: [row(n)[name] for n in numbers] for name in SCHEMA})
        else:
            getattr(log, action)()
        done += numbers
        if action != "append":
            synced[:] = done
    log.close()


def found(folder: Path, index: SegmentIndex) -> list[int]:
    """What is there: checked against what was written, by the writer that recovers and by a reader before and after it."""
    read = SegmentLog.reader(folder, SCHEMA, index, LocalDisk())
    before = [value for frame in read.read() for value in frame.iter_rows(named=True)]
    with SegmentLog(folder, SCHEMA, index, LocalDisk()) as log:
        values = [value for frame in log.read() for value in frame.iter_rows(named=True)]
        assert values == before
        assert values == [row(value["n"]) for value in values]
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]
    return [value["n"] for value in values]


def boundaries(folder: Path) -> int:
    faulty = Faulty()
    done: list[int] = []
    play(folder, MemoryIndex(), faulty, done, [])
    assert done == EVERYTHING
    return faulty.count


def interrupt(folder: Path, index: SegmentIndex, at: int, mode: str) -> tuple[list[int], list[int]]:
    done: list[int] = []
    synced: list[int] = []
    faulty = Faulty(at=at, mode=mode)
    with pytest.raises(UserError if mode == "full" else Killed):
        play(folder, index, faulty, done, synced)
    if mode == "full":
        faulty.die()
    return done, synced


def pending(done: list[int]) -> list[int]:
    """The rows of the step that was interrupted after `done`."""
    return next((numbers for _, numbers in SCRIPT if numbers and numbers[0] == len(done)), [])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        yield opened


@pytest.mark.parametrize("mode", MODES)
def test_after_a_fault_at_any_boundary_every_acknowledged_row_is_there_once(
    tmp_path: Path, database: Database, mode: str, size: Callable[[int, int], int]
) -> None:
    total = boundaries(tmp_path / "whole")
    assert total > 70
    step = size(3, 1)
    for at in range(MODES.index(mode) % step, total, step):  # reduced, the modes share the boundaries
        folder = tmp_path / f"log-{at}"
        index = DatabaseIndex(database, str(at))
        done, synced = interrupt(folder, index, at, mode)
        there = found(folder, index)
        if mode == "power cut":
            assert there[: len(synced)] == synced, at
            assert there == EVERYTHING[: len(there)], at
        else:
            assert there in (done, done + pending(done)), at
        rest: list[int] = []
        play(folder, index, Faulty(), rest, [], skip=len(there))
        assert there + rest == EVERYTHING == found(folder, index), at


@pytest.mark.parametrize("mode", ["dies after", "dies in the middle"])
def test_recovery_that_is_itself_interrupted_anywhere_loses_nothing(tmp_path: Path, mode: str) -> None:
    total = boundaries(tmp_path / "whole")
    recoveries = 0
    for at in range(5, total):
        folder = tmp_path / f"log-{at}"
        index = MemoryIndex()
        done, _ = interrupt(folder, index, at, mode)
        for second in range(100):
            faulty = Faulty(at=second, mode=mode)
            try:
                SegmentLog(folder, SCHEMA, index, faulty.disk()).close()
            except Killed:
                recoveries += 1
            else:
                break
        assert found(folder, index) in (done, done + pending(done)), (at, second)
    assert recoveries > total


def test_a_log_that_met_a_full_disk_takes_nothing_until_it_is_opened_again(tmp_path: Path) -> None:
    faulty = Faulty(mode="full")
    log = SegmentLog(tmp_path / "log", SCHEMA, MemoryIndex(), faulty.disk())
    log.append(row(0))
    faulty.at = faulty.count
    with pytest.raises(UserError, match="no space is left for it"):
        log.append(row(1))
    for refused in (lambda: log.append(row(1)), log.sync, log.seal, lambda: log.append_columns({"n": [1]})):
        with pytest.raises(UserError, match="stopped after a failed write"):
            refused()
    log.close()
    with SegmentLog(tmp_path / "log", SCHEMA, MemoryIndex(), LocalDisk()) as again:
        assert again.recovered.rows == 1 and again.recovered.bytes_cut > 0
        again.append(row(1))
        assert [n for frame in again.read(["n"]) for n in frame["n"]] == [0, 1]


def test_short_writes_are_finished(tmp_path: Path) -> None:
    disk = LocalDisk(Calls(write=lambda fd, data: os.write(fd, data[: max(1, len(data) // 3)])))
    index = MemoryIndex()
    with SegmentLog(tmp_path / "log", SCHEMA, index, disk) as log:
        for n in range(5):
            log.append(row(n))
            if n == 2:
                log.seal()
    assert found(tmp_path / "log", index) == list(range(5))


def test_a_frame_whose_writer_died_before_it_was_indexed_is_set_aside(tmp_path: Path) -> None:
    faulty = Faulty()
    index = MemoryIndex()
    log = SegmentLog(tmp_path / "log", SCHEMA, FaultyIndex(index, faulty), faulty.disk())
    faulty.at, faulty.mode = faulty.count + 5, "dies before"
    with pytest.raises(Killed):
        log.append_columns({"n": [1, 2, 3]})
    with SegmentLog(tmp_path / "log", SCHEMA, index, LocalDisk()) as again:
        assert again.recovered.set_aside == ("00000001.parquet.unindexed",)
        again.append_columns({"n": [4]})
        assert [n for frame in again.read(["n"]) for n in frame["n"]] == [4]


@pytest.mark.parametrize("mode", MODES)
def test_a_file_put_in_place_is_the_old_one_or_the_new_one(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "file"
    counted = Faulty()
    counted.disk().write_whole(path, b"old")
    for at in range(counted.count):
        path.write_bytes(b"old")
        faulty = Faulty(at=at, mode=mode)
        with pytest.raises(UserError if mode == "full" else Killed):
            faulty.disk().write_whole(path, b"new content")
        assert path.read_bytes() in (b"old", b"new content")
        if mode == "full":
            assert os.listdir(tmp_path) == ["file"]
        for name in os.listdir(tmp_path):
            if name != "file":
                (tmp_path / name).unlink()
