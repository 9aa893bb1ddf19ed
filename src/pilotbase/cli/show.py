"""`pilotbase show RUN`."""

import argparse
import sys

import orjson
from rich.markup import escape

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.tables import print_result
from pilotbase.flows.case import case_of
from pilotbase.flows.failures import failures_of
from pilotbase.pilots.records import find_run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, a pilot's name for its newest run, or `last`")
    parser.add_argument("--json", action="store_true", help="the result as one JSON document on stdout")
    parser.add_argument(
        "--case", metavar="ID", help="all that is recorded of one case, call by call, with the keys that identify it (JSON)"
    )
    parser.add_argument(
        "--failures", type=int, default=5, metavar="N", help="examples to show for each kind of failure (default 5)"
    )


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        record = find_run(context.database, given.run)
        if given.case is not None:
            sys.stdout.buffer.write(
                orjson.dumps(case_of(context, record, given.case), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )
            return 0
        if given.json:
            shown = record.result or {"run": record.run, "state": record.state}
            sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            return 0
        console = Console()
        if record.result is None:
            console.print(f"{record.run}: {record.state}; go on with: pilotbase run {record.options['spec']}", markup=False)
            return 0
        print_result(console, record.result)
        for candidate, kinds in failures_of(context, record, given.failures).items():
            for kind in kinds:
                console.print(f"\n[bold]{escape(candidate)}[/]: {kind['count']:,} × {escape(kind['category'])}")
                for example in kind["examples"]:
                    case, truth, answer = example["case"], example["truth"], example["answer"]
                    told = f"  case {case}: expected {truth!r}, got {answer!r} for {example['input']}"
                    console.print(told[:400], markup=False, style="dim")
        if record.options["document"]["data"]["test"]["custody"] == "held-out":
            console.print("\n[dim]held-out data: rows stay with the custodian; failures appear as categories and counts[/]")
    return 0
