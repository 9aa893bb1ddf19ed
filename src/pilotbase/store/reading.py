"""Reading a log, by its writer or by anyone beside it: sealed segments in order, then the rows of the open journal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import polars as pl

from pilotbase.errors import UserError
from pilotbase.store.chain import SegmentIndex, SegmentInfo, check_content, check_link
from pilotbase.store.columns import Columns, from_parquet
from pilotbase.store.disk import Disk
from pilotbase.store.journal import journal_name, rows_of


class SegmentReader:
    """A log seen read-only. It takes no lock and changes no file, and may read while a writer appends and seals."""

    __slots__ = ("_columns", "_disk", "_folder", "_index")

    def __init__(self, folder: Path, schema: Mapping[str, str], index: SegmentIndex, disk: Disk) -> None:
        self._folder = folder
        self._columns = Columns(schema)
        self._index = index
        self._disk = disk

    def infos(self) -> list[SegmentInfo]:
        """The sealed segments in order."""
        return list(self._index.list())

    def read(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """One frame per segment in order, then one for the open journal if it has rows.

        Every row whose append had returned before the call is there once; rows appended meanwhile may be. Each file is checked
        against its digest and the chain: UserError names the first one that was changed or is missing.
        """
        chosen = self._columns.chosen(columns)
        before: SegmentInfo | None = None
        while True:
            fresh = self.infos()[before.seq if before else 0 :]
            for info in fresh:
                yield self._segment(before, info, chosen)
                before = info
            if fresh:
                continue
            # The index is asked before the journal is read: a journal sealed in between still has all of its rows, and one
            # that is gone by now was indexed first, so the next round finds its segment.
            path = self._folder / journal_name(before.seq + 1 if before else 1)
            data = self._disk.find(path)
            if data is not None:
                payloads, _ = rows_of(data, self._columns.kinds, str(path))
                if payloads:
                    yield self._columns.decode(payloads).select(chosen)
                return
            if len(self.infos()) == (before.seq if before else 0):
                return

    def _segment(self, before: SegmentInfo | None, info: SegmentInfo, chosen: list[str]) -> pl.DataFrame:
        path = self._folder / info.name
        check_link(before, info, str(path))
        data = self._disk.read(path)
        check_content(info, data, str(path))
        frame = from_parquet(data)
        if frame.schema != self._columns.empty().schema:
            raise UserError(
                "sealed with other columns than this version reads",
                where=str(path),
                hint="read it with the version that wrote it",
            )
        return frame.select(chosen)

    def close(self) -> None:
        """Nothing is held open; here so that a reader can be used like a log."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
