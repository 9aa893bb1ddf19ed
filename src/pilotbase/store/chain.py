"""What is known of a segment, and how one segment is chained to the one before it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pilotbase.errors import UserError
from pilotbase.store.blobs import digest_of

GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInfo:
    """One sealed segment: place (from 1), file name, chained digest, the one before it, digest of its bytes, size."""

    seq: int
    name: str
    digest: str
    previous: str
    content_digest: str
    rows: int
    bytes: int


class SegmentIndex(Protocol):
    """The list of sealed segments of one log; a segment is part of the log from the moment `add` returns."""

    def add(self, info: SegmentInfo) -> None:
        """Record the next segment durably. UserError if its place is taken."""

    def list(self) -> Sequence[SegmentInfo]:
        """All segments in order."""


def chained(previous: str, content_digest: str) -> str:
    """sha256(previous || content), both as 32 raw bytes, so that a change to any segment changes every later digest."""
    raw = bytes.fromhex(previous.removeprefix("sha256:")) + bytes.fromhex(content_digest.removeprefix("sha256:"))
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def next_info(before: SegmentInfo | None, data: bytes, rows: int) -> SegmentInfo:
    """The info of the segment file `data` with `rows` rows, to stand after `before`."""
    seq = before.seq + 1 if before else 1
    previous = before.digest if before else GENESIS
    content = digest_of(data)
    return SegmentInfo(
        seq=seq,
        name=f"{seq:08d}.parquet",
        digest=chained(previous, content),
        previous=previous,
        content_digest=content,
        rows=rows,
        bytes=len(data),
    )


def check_link(before: SegmentInfo | None, info: SegmentInfo, where: str) -> None:
    """UserError unless `info` stands directly after `before` and its digests fit."""
    seq = before.seq + 1 if before else 1
    previous = before.digest if before else GENESIS
    if (info.seq, info.previous, info.digest) != (seq, previous, chained(previous, info.content_digest)):
        raise UserError(
            f"the chain of segments is broken: expected segment {seq} after {previous}, the index lists segment {info.seq}",
            where=where,
            hint="restore the database together with the folder of segments from one backup",
        )


def check_content(info: SegmentInfo, data: bytes, where: str) -> None:
    """UserError unless `data` are the bytes that were sealed."""
    if digest_of(data) != info.content_digest:
        raise UserError(
            f"changed after it was sealed: {len(data)} bytes whose digest is not {info.content_digest}",
            where=where,
            hint="restore the file from a backup; conclusions that rest on it cannot be re-derived",
        )
