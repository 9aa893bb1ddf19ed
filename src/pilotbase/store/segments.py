"""The evidence log: rows are appended to a journal and sealed into immutable, chained, columnar segments."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import polars as pl

from pilotbase.errors import UserError
from pilotbase.store.chain import GENESIS, SegmentIndex, SegmentInfo, next_info
from pilotbase.store.columns import Columns, Kind, to_parquet
from pilotbase.store.disk import Disk, Handle
from pilotbase.store.journal import framed, heading, journal_name, rows_of
from pilotbase.store.lock import RunLock
from pilotbase.store.reading import SegmentReader
from pilotbase.store.recovery import Recovery, recover

__all__ = ["GENESIS", "Kind", "Recovery", "SegmentIndex", "SegmentInfo", "SegmentLog", "SegmentReader"]

_ROLL_BYTES = 64 * 2**20


class SegmentLog:
    """The one writer of an append-only log in `folder`; opening it recovers what an interrupted writer left.

    `schema` maps column names to kinds (see `Columns`). `recovered` tells what opening found. A row is safe from the death of
    the process when `append` returns, and from a power cut when `sync` returns. Sealed rows are not kept in memory.
    After a failed write the log refuses everything but `close`: open it again, which recovers.
    """

    __slots__ = ("_columns", "_disk", "_folder", "_index", "_journal", "_last", "_lock", "_named", "_roll_bytes", "_roll_rows",
                 "_rows", "_state", "recovered")  # fmt: skip

    def __init__(
        self,
        folder: Path,
        schema: Mapping[str, str],
        index: SegmentIndex,
        disk: Disk,
        roll_rows: int = 4096,
        *,
        roll_bytes: int = _ROLL_BYTES,
    ) -> None:
        self._folder = folder
        self._columns = Columns(schema)
        self._index = index
        self._disk = disk
        self._roll_rows = roll_rows
        self._roll_bytes = roll_bytes
        self._journal: Handle | None = None
        self._named = True
        self._state = "open"
        disk.make_folder(folder)
        self._lock = RunLock(folder / "writer.lock", disk).take()
        try:
            infos = list(index.list())
            self.recovered = recover(folder, self._columns.kinds, infos, disk)
            self._last = infos[-1] if infos else None
            self._rows = self.recovered.rows
            if self._rows:
                self._open_journal()
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def reader(folder: Path, schema: Mapping[str, str], index: SegmentIndex, disk: Disk) -> SegmentReader:
        """The same log read-only, without the lock; a writer may be active."""
        return SegmentReader(folder, schema, index, disk)

    def append(self, row: Mapping[str, object]) -> None:
        """Write one row, missing columns null. UserError, and nothing written, for an unknown column or a value out of kind."""
        payload = self._columns.encode(row)
        journal = self._journal
        try:
            if journal is None:
                journal = self._open_journal()
            journal.write(framed(payload))
        except BaseException:
            self._fail()
            raise
        self._rows += 1
        if self._rows >= self._roll_rows or journal.size >= self._roll_bytes:
            self.seal()

    def append_columns(self, columns: Mapping[str, Any] | pl.DataFrame) -> None:
        """Write many rows as a segment of their own, after sealing the open journal; no rows, no segment.

        `columns`: arrays, lists or series of one length per column, or a polars frame; columns left out are null. The rows are
        durable and part of the log when this returns; if it raises, all of them are or none.
        """
        frame = self._columns.frame(columns)
        self._check_open()
        if not frame.height:
            return
        self.seal()
        with self._failing():
            self._drop_journal()
            self._write(frame)

    def sync(self) -> None:
        """Return once every row appended so far would survive a power cut."""
        self._check_open()
        if self._journal is not None:
            with self._failing():
                self._journal.sync()
                if not self._named:
                    self._disk.sync_folder(self._folder)
                    self._named = True

    def seal(self) -> None:
        """Roll the open journal into a segment; nothing happens where it has no rows."""
        self._check_open()
        if not self._rows:
            return
        # The journal is made durable first: until the segment is indexed it is the only copy that recovery believes.
        self.sync()
        with self._failing():
            path = self._journal_path()
            payloads, _ = rows_of(self._disk.read(path), self._columns.kinds, str(path))
            if len(payloads) != self._rows:
                raise UserError(
                    f"changed while it was being written: {len(payloads)} rows instead of {self._rows}",
                    where=str(path),
                    hint="let nothing else write into this folder, then run the same command again",
                )
            # The path is that of the next segment, so it is taken before the segment is written.
            self._write(self._columns.decode(payloads))
            self._drop_journal(path)

    def read(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """One frame per segment in order, then the open journal's rows; see `SegmentReader.read`."""
        return SegmentReader(self._folder, self._columns.kinds, self._index, self._disk).read(columns)

    def infos(self) -> list[SegmentInfo]:
        """The sealed segments in order."""
        return list(self._index.list())

    def close(self) -> None:
        """Sync and give the lock back; the journal stays for the next writer. A second call does nothing."""
        try:
            if self._state == "open":
                self.sync()
        finally:
            self._state = "closed"
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _journal_path(self) -> Path:
        return self._folder / journal_name(self._last.seq + 1 if self._last else 1)

    def _open_journal(self) -> Handle:
        self._check_open()
        journal = self._disk.append(self._journal_path())
        self._journal = journal
        self._named = False
        if not journal.size:
            journal.write(heading(self._columns.kinds))
        return journal

    def _drop_journal(self, path: Path | None = None) -> None:
        journal, self._journal = self._journal, None
        self._rows = 0
        if journal is not None:
            journal.close()
            self._disk.remove(path or self._journal_path())

    def _write(self, frame: pl.DataFrame) -> None:
        data = to_parquet(frame)
        info = next_info(self._last, data, frame.height)
        self._disk.write_whole(self._folder / info.name, data)
        self._index.add(info)
        self._last = info

    def _check_open(self) -> None:
        if self._state == "closed":
            raise ValueError(f"the log in {self._folder} is closed")
        if self._state == "failed":
            raise UserError(
                "this log stopped after a failed write",
                where=str(self._folder),
                hint="remove the cause, then run the same command again; rows already recorded are kept",
            )

    def _fail(self) -> None:
        # The journal may end in half a frame now; only recovery may write after that.
        if self._state == "open":
            self._state = "failed"
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._fail()
            raise
