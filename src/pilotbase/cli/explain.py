"""`pilotbase explain PILOT`."""

import argparse
import sys
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.wording import tell
from pilotbase.flows.explain import explain_pilot


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Calls nothing: no candidate, no judge. Exit codes: 0, or 2 where the pilot or its data is wrong."
    parser.add_argument("pilot", type=Path, metavar="PILOT", help="a pilot.yaml, or the folder that holds it")
    parser.add_argument(
        "--commit",
        action="store_true",
        help="record the criteria in this home, so that their time stands, and print nothing but their digest",
    )
    parser.add_argument("--no-early-stop", action="store_true", help="explain, or commit to, a run with --no-early-stop")
    parser.add_argument("--json", action="store_true", help="the facts as one JSON document on stdout, and nothing else there")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        facts = explain_pilot(context, given.pilot, early_stop=not given.no_early_stop, commit=given.commit)
    if given.commit:
        told = (
            f"criteria of `{facts['pilot']}` recorded in this home at {facts['recorded']}; lodge the digest with the other party"
        )
        print(f"pilotbase: {told}", file=sys.stderr)
    if given.json:
        sys.stdout.buffer.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    elif given.commit:
        print(facts["criteria"])
    else:
        console = Console()
        for line in tell(facts):
            console.print(line, markup=False, style="bold yellow" if line.lstrip().startswith("WARNING") else None)
    return 0
