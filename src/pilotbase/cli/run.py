"""`pilotbase run PILOT`."""

import argparse
import sys
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.live import Live
from pilotbase.cli.remote import TOKEN, run_remotely
from pilotbase.cli.tables import print_result
from pilotbase.errors import UserError
from pilotbase.flows.document import document_of
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import load_pilot
from pilotbase.flows.run import run_pilot
from pilotbase.pilots.progress import Silent
from pilotbase.settings import read_settings

EXITS = "exit codes: 0 pass, 3 inconclusive, 1 fail, 2 wrong input, 4 no candidate could be reached, 130 interrupted"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXITS
    parser.add_argument("pilot", type=Path, metavar="PILOT", help="a pilot.yaml, or the folder that holds it")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="only this candidate (repeatable); makes the run partial"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="only the first N cases of the recorded order; makes the run partial"
    )
    parser.add_argument("--executor", default="local", metavar="NAME", help="where work runs (default: local)")
    parser.add_argument("--resume", metavar="RUN", help="go on with this unfinished run (the newest is gone on with by itself)")
    parser.add_argument("--fresh", action="store_true", help="start a new run even where one is unfinished")
    parser.add_argument(
        "--no-early-stop", action="store_true", help="ask every case and look once, by exact fixed-sample methods"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout, and nothing else there")
    away = parser.add_argument_group("on a shared base")
    away.add_argument("--server", metavar="URL", help="bring the pilot's folder to this base, and have it run there")
    away.add_argument(
        "--token-env", metavar="NAME", default=TOKEN, help=f"the variable that holds a member's token (default: {TOKEN})"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def main(given: argparse.Namespace) -> int:
    if given.server is not None:
        if given.only or given.limit is not None or given.resume or given.fresh or given.no_early_stop:
            raise UserError("a base runs a pilot whole", hint="leave out --only, --limit, --resume, --fresh and --no-early-stop")
        return run_remotely(given.pilot, given.server, read_settings(), variable=given.token_env, json=given.json)
    options = RunOptions(
        only=tuple(given.only),
        limit=given.limit,
        resume=given.resume,
        fresh=given.fresh,
        early_stop=not given.no_early_stop,
        executor=given.executor,
    )
    with opened() as context:
        if given.quiet:
            result = run_pilot(context, load_pilot(given.pilot), options, Silent())
        else:
            with Live() as live:
                result = run_pilot(context, load_pilot(given.pilot), options, live)
        document = document_of(result)
        if given.json:
            sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        else:
            console = Console()
            print_result(console, document)
            console.print(f"evidence: {context.run_folder(result.run)}", markup=False)
            console.print(f"dossier:  pilotbase dossier {result.run}", markup=False)
    return result.exit_code
