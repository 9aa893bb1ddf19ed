"""Twins in memory of what the store keeps on disk; they pass the same contract tests."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import polars as pl

from pilotbase.errors import UserError
from pilotbase.store.blobs import absent, digest_of, hex_of
from pilotbase.store.chain import SegmentIndex, SegmentInfo, check_content, check_link, next_info
from pilotbase.store.columns import Columns, from_parquet, to_parquet
from pilotbase.store.recovery import Recovery


class MemoryBlobs:
    """Blobs in a dictionary."""

    __slots__ = ("_blobs",)

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Keep `data` and return its digest."""
        digest = digest_of(data)
        self._blobs[digest] = bytes(data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of this digest; UserError if they were never put here."""
        hex_of(digest)
        if digest not in self._blobs:
            raise absent(digest, "memory")
        return self._blobs[digest]

    def has(self, digest: str) -> bool:
        """Whether this digest was put here."""
        hex_of(digest)
        return digest in self._blobs


class MemoryIndex:
    """A list of segments in memory."""

    __slots__ = ("_infos",)

    def __init__(self) -> None:
        self._infos: list[SegmentInfo] = []

    def add(self, info: SegmentInfo) -> None:
        """Record the next segment; UserError if its place is taken."""
        if any(known.seq == info.seq for known in self._infos):
            raise UserError(f"segment {info.seq} is already there", hint="open the log again")
        self._infos.append(info)

    def list(self) -> Sequence[SegmentInfo]:
        """All segments in order."""
        return tuple(sorted(self._infos, key=lambda info: info.seq))


class MemorySegmentLog:
    """A log whose segments and journal live in memory; rows, digests and errors are those of `SegmentLog`."""

    __slots__ = ("_columns", "_files", "_index", "_journal", "_open", "_roll_rows", "recovered")

    def __init__(self, schema: Mapping[str, str], index: SegmentIndex | None = None, roll_rows: int = 4096) -> None:
        self._columns = Columns(schema)
        self._index: SegmentIndex = index if index is not None else MemoryIndex()
        self._files: dict[str, bytes] = {}
        self._journal: list[bytes] = []
        self._open = True
        self._roll_rows = roll_rows
        self.recovered = Recovery()

    def reader(self) -> Self:
        """The same log; reading needs no lock."""
        return self

    def reopen(self) -> Self:
        """Use the log again after `close`, as opening the folder again would."""
        self._open = True
        self.recovered = Recovery(rows=len(self._journal))
        return self

    def append(self, row: Mapping[str, object]) -> None:
        """Keep one row."""
        payload = self._columns.encode(row)
        self._check_open()
        self._journal.append(payload)
        if len(self._journal) >= self._roll_rows:
            self.seal()

    def append_columns(self, columns: Mapping[str, Any] | pl.DataFrame) -> None:
        """Keep many rows as a segment of their own; no rows, no segment."""
        frame = self._columns.frame(columns)
        self._check_open()
        if not frame.height:
            return
        self.seal()
        self._write(frame)

    def sync(self) -> None:
        """Nothing to do: memory outlives no process."""
        self._check_open()

    def seal(self) -> None:
        """Roll the open rows into a segment; nothing happens where there are none."""
        self._check_open()
        if not self._journal:
            return
        self._write(self._columns.decode(self._journal))
        self._journal = []

    def read(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """One frame per segment in order, then one for the open rows."""
        chosen = self._columns.chosen(columns)
        before: SegmentInfo | None = None
        for info in self._index.list():
            check_link(before, info, info.name)
            check_content(info, self._files[info.name], info.name)
            yield from_parquet(self._files[info.name], chosen)
            before = info
        if self._journal:
            yield self._columns.decode(self._journal).select(chosen)

    def infos(self) -> list[SegmentInfo]:
        """The sealed segments in order."""
        return list(self._index.list())

    def close(self) -> None:
        """Refuse further writing until `reopen`."""
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, frame: pl.DataFrame) -> None:
        infos = self._index.list()
        data = to_parquet(frame)
        info = next_info(infos[-1] if infos else None, data, frame.height)
        self._files[info.name] = data
        self._index.add(info)

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("the log is closed")
