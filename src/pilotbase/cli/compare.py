"""`pilotbase compare RUN RUN`."""

import argparse
import sys
from dataclasses import asdict

import orjson
from rich.markup import escape
from rich.table import Table

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.tables import figure, told
from pilotbase.flows.comparable import read_comparable
from pilotbase.flows.compare import Comparison, compare_runs


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "exit codes: 0 agree, 1 disagree (PASS for one, FAIL for the other), 3 undecided (only one of them decided)"
    parser.add_argument("first", metavar="RUN", help="a run of this home, or the path of a dossier")
    parser.add_argument("second", metavar="RUN", help="another")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of the bounds on differences (default 0.95, each one-sided)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        first, second = read_comparable(context, given.first), read_comparable(context, given.second)
    found = compare_runs(first, second, given.confidence)
    if given.json:
        sys.stdout.buffer.write(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        print_comparison(Console(), found, first.name, second.name)
    return found.exit_code


def print_comparison(console: Console, found: Comparison, first: str, second: str) -> None:
    """A row a check, and the word."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("candidate", "check", escape(first), escape(second), "", "difference", "low", "high", "cases"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("difference", "low", "high", "cases") else "left")
    for c in found.checks:
        d = c.difference
        cases = f"{c.changed:,} of {c.paired:,} changed" if c.changed is not None else "not paired"
        cells = (figure(d.value), figure(d.low), figure(d.high)) if d else ("", "", "")
        name = c.candidate if c.candidate == c.other else f"{c.candidate} → {c.other}"
        table.add_row(escape(name), escape(c.check), told(c.first), told(c.second), c.agreement, *cells, cases)
    console.print(table)
    kind = "the same data" if found.same_data else "different data or order: cases are not paired"
    who = "the same candidates" if found.same_candidates else "candidates changed"
    for name in found.missing:
        console.print(f"only in one of them: {name}", markup=False)
    console.print(f"{kind}; {who}: [bold]{found.agreement}[/]")
