"""Parquet files of a dossier, read with care for what a stranger may have written."""

import io

import polars as pl

from pilotbase.errors import UserError

__all__ = ["read_table"]


def read_table(data: bytes, *, where: str, most_rows: int = 50_000_000) -> pl.DataFrame:
    """The table in the bytes of a Parquet file. UserError where it is none, is damaged, or has more than `most_rows` rows."""
    try:
        # The row count stands in the footer: a small file that unpacks to billions of rows is refused before it does.
        rows = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
        if rows > most_rows:
            raise UserError(f"{rows} rows, and at most {most_rows} are read", where=where)
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"not a Parquet file that can be read ({type(error).__name__})", where=where) from None
