"""Lists as a person or a program reads them: a plain table, or JSON."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich.markup import escape
from rich.table import Table

from pilotbase.cli.console import Console

__all__ = ["print_json", "print_table"]


def print_json(document: Any) -> None:
    """One document on standard output, indented."""
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Rows of text under their names; the columns `right` hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, name in enumerate(names):
        table.add_column(name, no_wrap=True, justify="right" if i in right else "left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)
