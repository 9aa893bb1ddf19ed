"""Images and other media that cases name by path: found beside the data file, never outside its folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import polars as pl

from pilotbase.data.encoding import digest_file

__all__ = ["add_media", "check_media", "place_media"]

_SHOWN = 20


def check_media(columns: Sequence[pl.Series], data: Path) -> list[str]:
    """One line for each path that may not be used, at most 20; `data` is the data file, in whose folder the media lie."""
    root = data.parent.resolve()
    wrong: list[str] = []
    for column in columns:
        if column.dtype != pl.String:
            wrong.append(f"column `{column.name}`: media are named by paths, and these values are {column.dtype}")
            continue
        rows = (
            pl.DataFrame({"path": column})
            .with_row_index("row", 1)
            .drop_nulls("path")
            .unique("path", keep="first", maintain_order=True)
        )
        for row, text in rows.iter_rows():
            if problem := _refuse(text, root, data):
                wrong.append(f"row {row}, column `{column.name}`: `{text}` {problem}")
                if len(wrong) >= _SHOWN:
                    return wrong
    return wrong


def _refuse(text: str, root: Path, data: Path) -> str | None:
    pure = PurePosixPath(text)
    if "\0" in text:
        return "holds a NUL character"
    if "://" in text:
        return "is an address: only files beside the data are read"
    if pure.is_absolute() or PureWindowsPath(text).is_absolute() or PureWindowsPath(text).drive:
        return "is absolute: write it relative to the data file's folder"
    if ".." in pure.parts or ".." in PureWindowsPath(text).parts:
        return "leaves the data file's folder with `..`"
    try:
        found = (root / text).resolve(strict=True)
    except (OSError, RuntimeError):
        return "does not exist"
    if not found.is_relative_to(root):
        return "is a link out of the data file's folder"
    if found == data.resolve():
        return "is the data file itself, which holds the answers"
    return None if found.is_file() else "is not a file"


def place_media(column: pl.Series, data: Path) -> pl.Series:
    """The paths made absolute; nulls stay. Call after `check_media` found nothing."""
    root = str(data.parent.resolve())
    return (root + "/" + column).alias(column.name)


def add_media(digest: str, columns: Sequence[pl.Series], data: Path) -> str:
    """`sha256:...` over the data file's digest and each medium's path and digest, by path."""
    root = data.parent.resolve()
    paths = sorted({p for column in columns for p in column.drop_nulls().unique().to_list()})
    whole = hashlib.sha256(digest.encode())
    for path in paths:
        whole.update(f"\n{path}\0{digest_file(root / path)}".encode())
    return "sha256:" + whole.hexdigest()
