"""`pilotbase countersign DIGEST|DOSSIER|FILE`."""

import argparse
import sys
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.dossier.countersign import countersign_digest, countersign_dossier
from pilotbase.errors import UserError
from pilotbase.flows.verify import verify_dossier
from pilotbase.flows.witness import keep_witness
from pilotbase.signing import Key


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A second party's signature: on criteria lodged with it (a digest; prints the countersignature), "
        "or on a dossier that it verified. "
        "With --keep, take in a countersignature that another party gave on criteria of this home."
    )
    parser.add_argument("what", metavar="DIGEST|DOSSIER")
    parser.add_argument("--keep", action="store_true", help="WHAT is a file with a countersignature: keep it with the criteria")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        key = Key.load_or_create(context.home)
        if given.keep:
            try:
                data = Path(given.what).read_bytes()
            except OSError as error:
                raise UserError(f"cannot be read: {error.strerror}", where=given.what) from None
            digest, witness = keep_witness(context, data)
            print(f"kept: criteria {digest} are witnessed by {witness}")
            return 0
        if given.what.startswith("sha256:"):
            document = countersign_digest(given.what, key, context.clock.now())
            sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
            return 0
        found = verify_dossier(context, Path(given.what))
        if found.status in ("changed", "unreadable"):
            raise UserError(
                "this dossier does not verify, so it is not signed",
                where=given.what,
                hint=f"see: pilotbase verify {given.what}",
                code=found.exit_code,
            )
        countersign_dossier(Path(given.what), key, context.disk)
        print(f"countersigned by {key.key_id}: intact, its verdicts follow from its scores; sealed by {found.signer}")
    return 0
