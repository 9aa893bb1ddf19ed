"""What holds of the log on disk alone: readers beside a writer, tampering, a second writer, a lost index."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.store.disk import LocalDisk
from pilotbase.store.memory import MemoryIndex
from pilotbase.store.segments import SegmentInfo, SegmentLog, SegmentReader

SCHEMA = {"n": "u32", "text": "str"}


def opened(folder: Path, index: MemoryIndex, schema: dict[str, str] = SCHEMA) -> SegmentLog:
    return SegmentLog(folder / "log", schema, index, LocalDisk())


def reader(folder: Path, index: MemoryIndex) -> SegmentReader:
    return SegmentLog.reader(folder / "log", SCHEMA, index, LocalDisk())


def numbers(log: SegmentLog | SegmentReader) -> list[int]:
    return [n for frame in log.read(["n"]) for n in frame["n"]]


def filled(folder: Path, index: MemoryIndex) -> None:
    with opened(folder, index) as log:
        for n in range(6):
            log.append({"n": n, "text": "x" * 50})
            if n in (1, 3):
                log.seal()


def test_a_reader_sees_the_rows_of_an_active_writer(tmp_path: Path) -> None:
    index = MemoryIndex()
    with opened(tmp_path, index) as log, reader(tmp_path, index) as beside:
        assert numbers(beside) == []
        log.append({"n": 1})
        assert numbers(beside) == [1]
        log.seal()
        log.append({"n": 2})
        assert numbers(beside) == [1, 2]


def test_a_reader_misses_and_doubles_nothing_when_the_journal_is_sealed_meanwhile(tmp_path: Path) -> None:
    index = MemoryIndex()
    with opened(tmp_path, index) as log:
        log.append({"n": 1})
        log.seal()
        log.append({"n": 2})
        frames = reader(tmp_path, index).read(["n"])
        seen = list(next(frames)["n"])
        log.seal()
        log.append({"n": 3})
        seen += [n for frame in frames for n in frame["n"]]
        assert seen == [1, 2, 3]


class SealingIndex(MemoryIndex):
    """Seals the writer's journal between a reader's look at the index and its look at the journal."""

    def __init__(self) -> None:
        super().__init__()
        self.writer: SegmentLog | None = None

    def list(self) -> tuple[SegmentInfo, ...]:
        found = tuple(super().list())
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.seal()
        return found


def test_a_journal_that_vanishes_under_a_reader_is_found_as_a_segment(tmp_path: Path) -> None:
    index = SealingIndex()
    with opened(tmp_path, index) as log:
        log.append({"n": 1})
        index.writer = log
        assert numbers(reader(tmp_path, index)) == [1]


def test_a_reader_ignores_a_torn_tail_and_leaves_it_alone(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    journal = tmp_path / "log" / "00000003.journal"
    with journal.open("ab") as file:
        file.write(b"\x10\x00\x00\x00torn")
    before = journal.read_bytes()
    assert numbers(reader(tmp_path, index)) == list(range(6))
    assert journal.read_bytes() == before


@pytest.mark.parametrize("tail", [b"\0" * 64, b"\x05", b"\xff\xff\xff\xff\0\0\0\0abc", b"\x02\0\0\0\0\0\0\0[]"])
def test_a_torn_tail_is_cut_and_reported(tmp_path: Path, tail: bytes) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    with (tmp_path / "log" / "00000003.journal").open("ab") as file:
        file.write(tail)
    with opened(tmp_path, index) as log:
        assert (log.recovered.rows, log.recovered.bytes_cut) == (2, len(tail))
        log.append({"n": 6})
        assert numbers(log) == list(range(7))


def changed_places(path: Path) -> Iterator[int]:
    size = path.stat().st_size
    yield from range(0, size, max(1, size // 25))
    yield size - 1


def test_one_changed_byte_of_a_segment_is_found_and_the_file_named(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    path = tmp_path / "log" / "00000002.parquet"
    sealed = path.read_bytes()
    for place in changed_places(path):
        path.write_bytes(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
        with pytest.raises(UserError, match=r"00000002\.parquet: changed after it was sealed"):
            numbers(reader(tmp_path, index))
    path.write_bytes(sealed)
    assert numbers(reader(tmp_path, index)) == list(range(6))


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    (tmp_path / "log" / "00000001.parquet").unlink()
    with pytest.raises(UserError, match=r"00000001\.parquet: could not read it: the file is missing"):
        numbers(reader(tmp_path, index))


def test_segments_that_were_swapped_break_the_chain(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    first, second = index.list()
    swapped = MemoryIndex()
    swapped.add(SegmentInfo(**{name: getattr(second, name) for name in SegmentInfo.__slots__} | {"seq": 1}))
    with pytest.raises(UserError, match="the chain of segments is broken: expected segment 1"):
        numbers(reader(tmp_path, swapped))
    assert first.digest == second.previous


def test_a_second_writer_is_told_who_holds_the_log(tmp_path: Path) -> None:
    index = MemoryIndex()
    with opened(tmp_path, index), pytest.raises(UserError, match=r"in use by process \d+ on .* since 2"):
        opened(tmp_path, index)
    with opened(tmp_path, index) as log:
        log.append({"n": 1})


def test_a_lost_index_is_reported_and_no_file_is_touched(tmp_path: Path) -> None:
    filled(tmp_path, MemoryIndex())
    before = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir() if path.suffix != ".lock"}
    with pytest.raises(UserError, match="not in the index, which ends at segment 0"):
        opened(tmp_path, MemoryIndex())
    after = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir() if path.suffix != ".lock"}
    assert after == before


def test_a_journal_begun_with_other_columns_is_not_guessed_at(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    with pytest.raises(UserError, match="begun with other columns"):
        opened(tmp_path, index, {"text": "str", "n": "u32"})


def test_segments_sealed_with_other_columns_are_not_guessed_at(tmp_path: Path) -> None:
    index = MemoryIndex()
    filled(tmp_path, index)
    other = SegmentLog.reader(tmp_path / "log", {"n": "i64"}, index, LocalDisk())
    with pytest.raises(UserError, match="sealed with other columns"):
        list(other.read())
