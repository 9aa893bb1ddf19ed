"""`pilotbase conclude RUN`."""

import argparse
import sys

import orjson

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.tables import print_result
from pilotbase.flows.conclude import conclude_run
from pilotbase.pilots.records import find_run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, a pilot's name for its newest run, or `last`")
    parser.add_argument(
        "--confidence", type=float, metavar="C", help="another confidence than the pilot's; makes the result exploratory"
    )
    parser.add_argument("--json", action="store_true", help="the result as one JSON document on stdout")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        result, document = conclude_run(context, find_run(context.database, given.run), confidence=given.confidence)
    if given.json:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        print_result(Console(), document)
    return result.exit_code
