"""`pilotbase verify DOSSIER`."""

import argparse
from pathlib import Path

from pilotbase.app import opened
from pilotbase.flows.verify import verify_dossier

_SHOWN = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "exit codes: 0 intact, verdicts derived again, signer trusted; 1 changed, or a verdict differs; 2 unreadable; "
        "3 intact, signer unknown"
    )
    parser.add_argument("dossier", type=Path, metavar="DOSSIER", help="a dossier: a folder, or its one file")
    parser.add_argument("--signer", metavar="FINGERPRINT", help="demand this key, and trust it")
    parser.add_argument(
        "--trust", type=Path, metavar="FILE", help="trust the keys in this file, one a line as `pilotbase key export` prints them"
    )


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        found = verify_dossier(context, given.dossier, signer=given.signer, trust_file=given.trust)
    for finding in found.findings[:_SHOWN]:
        print(f"  {finding}")
    if len(found.findings) > _SHOWN:
        print(f"  and {len(found.findings) - _SHOWN} more")
    for note in found.notes:
        print(f"note: {note}")
    result = found.record["result"] if found.record else None
    told = f" Its verdict: {result['verdict'].upper()}." if result and found.status != "changed" else ""
    sentences = {
        "intact-trusted": f"verified: intact, its verdicts follow from its scores, sealed by {found.signer}.{told}",
        "changed": "CHANGED, or a verdict does not follow: do not rely on this dossier.",
        "unreadable": "unreadable: this is no dossier, or it is damaged beyond reading.",
        "unknown-signer": f"intact, but its signer is unknown here: {found.signer}. "
        "Ask the signer for the fingerprint by another way, then use --signer.",
    }
    print(sentences[found.status])
    return found.exit_code
