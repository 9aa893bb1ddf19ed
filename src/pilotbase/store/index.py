"""The index of segments in the database, keyed by the name of the log."""

from pilotbase.store.chain import SegmentInfo
from pilotbase.store.database import Database


class DatabaseIndex:
    """The segments of the log called `log`; `add` is one durable transaction."""

    __slots__ = ("_database", "_log")

    def __init__(self, database: Database, log: str) -> None:
        self._database = database
        self._log = log

    def add(self, info: SegmentInfo) -> None:
        """Record the next segment; ConflictError if its place is taken."""
        self._database.execute(
            "INSERT INTO segments (log, seq, name, digest, previous, content_digest, rows, bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._log, info.seq, info.name, info.digest, info.previous, info.content_digest, info.rows, info.bytes),
        )

    def list(self) -> tuple[SegmentInfo, ...]:
        """All segments in order."""
        found = self._database.rows(
            "SELECT seq, name, digest, previous, content_digest, rows, bytes FROM segments WHERE log = ? ORDER BY seq",
            (self._log,),
        )
        return tuple(SegmentInfo(**dict(row)) for row in found)
