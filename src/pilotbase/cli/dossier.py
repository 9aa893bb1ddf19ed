"""`pilotbase dossier RUN`."""

import argparse
import shlex
import shutil
from pathlib import Path

from pilotbase.app import opened
from pilotbase.dossier.packing import pack
from pilotbase.dossier.timestamp import CAVEAT, attach
from pilotbase.errors import UserError
from pilotbase.flows.dossier import make_dossier
from pilotbase.flows.enclose import Wishes
from pilotbase.pilots.records import find_run
from pilotbase.signing import Key


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, a pilot's name for its newest run, or `last`")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write it (default: dossiers/RUN in the home); a name ending in .zip makes one file",
    )
    parser.add_argument(
        "--with-data",
        action="store_true",
        help="enclose the data, and examples of failures; by default no input and no answer is in it",
    )
    parser.add_argument("--with-candidate", action="store_true", help="enclose the candidates' files")
    parser.add_argument(
        "--custodian",
        action="store_true",
        help="you keep the held-out data: enclose its rows where asked to, for yourself (else that is refused)",
    )
    parser.add_argument("--timestamp", metavar="URL", help="attach an RFC 3161 time-stamp of this authority")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        record = find_run(context.database, given.run)
        out = given.out or context.home / "dossiers" / record.run
        zipped = out.suffix == ".zip"
        if zipped and out.exists():
            raise UserError(
                "there is something here already, and a dossier is never written over",
                where=str(out),
                hint="choose another name with --out",
            )
        folder = context.scratch() / "dossier" / record.run if zipped else out
        shutil.rmtree(context.scratch() / "dossier", ignore_errors=True)
        made = make_dossier(
            context, record, folder, Wishes(data=given.with_data, candidate=given.with_candidate, custodian=given.custodian)
        )
        if given.timestamp:
            token = attach(made, given.timestamp, context.disk)
            print(f"time-stamped at {token.time.isoformat()}; {CAVEAT}")
        if zipped:
            context.disk.make_folder(out.absolute().parent)
            made = pack(folder, out, context.disk)
            shutil.rmtree(folder, ignore_errors=True)
        key = Key.load_or_create(context.home).key_id
    print(f"dossier of {record.run} ({record.verdict}): {made}")
    if not zipped:
        print(f"open:   {made / 'report.html'}")
    print(f"verify: pilotbase verify {shlex.quote(str(made))} --signer {key}")
    return 0
