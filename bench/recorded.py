"""What a bench reads back from a run's evidence on disk, with nothing of ours but the file format: Parquet."""

from pathlib import Path

import polars as pl

__all__ = ["evidence", "evidence_bytes", "in_flight", "span"]


def evidence(home: Path) -> pl.DataFrame:
    """All sealed rows of the one run in a home."""
    return pl.concat([pl.read_parquet(p) for p in sorted(home.glob("runs/*/evidence/*/*.parquet"))])


def evidence_bytes(home: Path) -> int:
    """Bytes that a run keeps: its evidence and its cases, without the database, which is of one size."""
    return sum(p.stat().st_size for p in home.glob("runs/**/*") if p.is_file())


def span(rows: pl.DataFrame) -> float:
    """Seconds from the first call's start to the last one's end."""
    return float((rows["started"] / 1e6 + rows["seconds"]).max() - rows["started"].min() / 1e6)  # type: ignore[operator]


def in_flight(rows: pl.DataFrame, start: float, stop: float) -> float:
    """Mean number of calls under way between two shares (0 to 1) of the asking."""
    begun = rows["started"] / 1e6
    ended = begun + rows["seconds"]
    first, length = float(begun.min()), span(rows)  # type: ignore[arg-type]
    low, high = first + start * length, first + stop * length
    inside = (ended.clip(low, high) - begun.clip(low, high)).sum()
    return float(inside) / (high - low)
