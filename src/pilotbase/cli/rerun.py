"""`pilotbase rerun DOSSIER`."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.cli.compare import print_comparison
from pilotbase.cli.console import Console
from pilotbase.cli.live import Live
from pilotbase.cli.tables import print_result
from pilotbase.errors import UserError
from pilotbase.flows.document import document_of
from pilotbase.flows.rerun import Rerun, rerun_dossier
from pilotbase.pilots.progress import Progress, Silent


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "exit codes: 0 the two testers agree, 1 they disagree, 3 undecided, 2 other data or wrong input, "
        "4 no candidate could be reached"
    )
    parser.add_argument("dossier", type=Path, metavar="DOSSIER")
    parser.add_argument("--data", type=Path, metavar="PATH", help="the data, where the dossier does not enclose it")
    parser.add_argument(
        "--candidate",
        action="append",
        default=[],
        metavar="ID=TARGET",
        help="where a candidate is: FOLDER/module:callable, a URL, or a file of answers (repeatable)",
    )
    parser.add_argument(
        "--signer", metavar="FINGERPRINT", help="demand this key, and trust it: code that a stranger enclosed is not run"
    )
    parser.add_argument("--trust", type=Path, metavar="FILE", help="trust the keys in this file")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def main(given: argparse.Namespace) -> int:
    candidates: dict[str, str] = {}
    for text in given.candidate:
        name, _, target = text.partition("=")
        if not target:
            raise UserError(f"--candidate {text}: no target", hint="write --candidate ID=TARGET")
        candidates[name] = target
    brought = Rerun(data=given.data, candidates=candidates, signer=given.signer, trust_file=given.trust)
    with opened() as context:
        if given.quiet or given.json:
            silent: Progress = Silent()
            result, comparison = rerun_dossier(context, given.dossier, brought, silent)
        else:
            with Live() as live:
                result, comparison = rerun_dossier(context, given.dossier, brought, live)
    if given.json:
        body = {"run": document_of(result), "comparison": asdict(comparison)}
        sys.stdout.buffer.write(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        console = Console()
        print_result(console, document_of(result))
        print_comparison(console, comparison, "dossier", result.run)
    return comparison.exit_code
