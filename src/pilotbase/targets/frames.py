"""Columns that came back for a frame: read without trusting them, and put together again where a frame went in pieces."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from pilotbase.domain.evidence import Failure
from pilotbase.ports import FrameReply

__all__ = ["Columns", "Fault", "encode", "join", "read_columns"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call as a whole has no answer."""

    failure: Failure
    detail: str


@dataclass(slots=True, kw_only=True)
class Columns:
    """The answers to some rows; each column has one value a row."""

    labels: Sequence[Any] | NDArray[Any] | None = None
    scores: NDArray[np.float64] | None = None
    texts: Sequence[str | None] | None = None

    def missing(self, height: int) -> NDArray[np.bool_]:
        """Rows without an answer: a score that is not finite, or no value in any column."""
        empty = np.ones(height, dtype=np.bool_)
        for values in (self.labels, self.texts):
            if isinstance(values, np.ndarray):
                empty &= ~np.isfinite(values) if values.dtype.kind == "f" else False
            elif values is not None and None in values:
                empty &= np.fromiter((v is None for v in values), np.bool_, height)
            elif values is not None:
                empty[:] = False
        if self.scores is not None:
            finite = np.isfinite(self.scores)
            return np.asarray((empty & ~finite) | ~finite, dtype=np.bool_)
        return empty


def encode(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow IPC file, uncompressed."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def read_columns(body: bytes, height: int) -> Columns:
    """Read a reply (the layout stands at `python_worker.pack_columns`). Raises ValueError where it is not of that layout."""
    start = 4 + int.from_bytes(body[:4], "little")
    head = orjson.loads(body[4:start])
    columns = Columns()
    for name, code, size in head:
        data = memoryview(body)[start : start + size]
        start += size
        values: Any = orjson.loads(data) if code == "json" else np.frombuffer(data, {"f8": "<f8", "i8": "<i8", "b1": "?"}[code])
        if len(values) != height:
            raise ValueError(f"{len(values)} values for {height} rows")
        if name == "score" or (name == "" and code in ("f8", "i8")):
            columns.scores = np.asarray(values, dtype=np.float64)
        if name in ("label", ""):
            columns.labels = values
        if name == "text" or (name == "" and code == "json"):
            columns.texts = values if name == "text" else [v if isinstance(v, str) else None for v in values]
    if columns.labels is None and columns.texts is not None:
        columns.labels = columns.texts
    return columns


def join(height: int, spans: Sequence[tuple[int, int, Columns | Fault]], started: float, seconds: float) -> FrameReply:
    """One reply for a frame whose pieces are `spans` (start, stop, outcome), in order and covering it."""
    faults = [outcome for _, _, outcome in spans if isinstance(outcome, Fault)]
    good = [outcome for _, _, outcome in spans if isinstance(outcome, Columns)]
    if not good:
        first = faults[0]
        return FrameReply(failure=first.failure, detail=first.detail, started=started, seconds=seconds)
    detail = f"{faults[0].failure}: {faults[0].detail}" if faults else ""
    failed = np.zeros(height, dtype=np.bool_)
    for a, b, outcome in spans:
        failed[a:b] = True if isinstance(outcome, Fault) else outcome.missing(b - a)
    whole = good[0] if len(spans) == 1 else _glue(height, spans)
    return FrameReply(
        labels=whole.labels,
        scores=whole.scores,
        texts=whole.texts,
        failed=failed if failed.any() else None,
        detail=detail or ("some rows have no answer" if failed.any() else ""),
        started=started,
        seconds=seconds,
    )


def _glue(height: int, spans: Sequence[tuple[int, int, Columns | Fault]]) -> Columns:
    good = [outcome for _, _, outcome in spans if isinstance(outcome, Columns)]
    whole = Columns()
    labels: list[Any] | None = [None] * height if any(c.labels is not None for c in good) else None
    texts: list[str | None] | None = [None] * height if any(c.texts is not None for c in good) else None
    scores = np.full(height, np.nan) if any(c.scores is not None for c in good) else None
    for a, b, outcome in spans:
        if isinstance(outcome, Fault):
            continue
        if labels is not None and outcome.labels is not None:
            labels[a:b] = outcome.labels.tolist() if isinstance(outcome.labels, np.ndarray) else outcome.labels
        if texts is not None and outcome.texts is not None:
            texts[a:b] = outcome.texts
        if scores is not None and outcome.scores is not None:
            scores[a:b] = outcome.scores
    whole.labels, whole.texts, whole.scores = labels, texts, scores
    return whole
