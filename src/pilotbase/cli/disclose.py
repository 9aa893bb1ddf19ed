"""`pilotbase disclose`."""

import argparse
import sys
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.errors import UserError
from pilotbase.flows.disclose import check_opened, open_case


def arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="open|check")
    opens = words.add_parser("open", help="print the document that opens one case (for the custodian)")
    opens.add_argument("run", metavar="RUN")
    opens.add_argument("candidate", metavar="CANDIDATE")
    opens.add_argument("case", metavar="CASE", help="the case's id in the data")
    checks = words.add_parser("check", help="check such a document against a dossier")
    checks.add_argument("dossier", type=Path, metavar="DOSSIER")
    checks.add_argument("file", type=Path, metavar="FILE")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        if given.word == "open":
            document = open_case(context, given.run, given.candidate, given.case)
            sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            return 0
        try:
            document = orjson.loads(given.file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise UserError(f"cannot be read: {error}", where=str(given.file)) from None
        case, code = check_opened(context, given.dossier, document)
    print(f"this is the case at position {case.position} as {case.candidate} was asked it, and its answer as recorded")
    if code == 3:
        print("the dossier is intact, but its signer is unknown here")
    return code
