"""`pilotbase runs`."""

import argparse
import sys

import orjson
from rich.markup import escape
from rich.table import Table

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.tables import told
from pilotbase.pilots.records import list_runs


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON list on stdout")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        records = list_runs(context.database)
    if given.json:
        rows = [
            {
                "run": r.run,
                "pilot": r.pilot,
                "state": r.state,
                "verdict": r.verdict,
                "created": r.created,
                "round": r.round,
                "data": r.data_digest,
            }
            for r in records
        ]
        sys.stdout.buffer.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return 0
    if not records:
        print("no runs in this home yet")
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "verdict", "state", "created", "round", "candidates", "data"):
        table.add_column(name, no_wrap=True)
    for r in records:
        names = ", ".join(c["id"] for c in r.options["candidates"])
        data = f"{r.options['data']['name']} ({r.data_digest[7:15]})"
        verdict = told(r.verdict) if r.verdict else "—"
        table.add_row(
            escape(r.run), verdict, r.state, r.created[:19].replace("T", " "), str(r.round), escape(names), escape(data)
        )
    Console().print(table)
    return 0
