"""`pilotbase key`: this home's signing keys, and the keys that customers call its routes with."""

import argparse

from pilotbase.app import opened
from pilotbase.cli import access_key, signing_key
from pilotbase.signing import FINGERPRINT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Signing keys, which say who sealed a dossier: show, export, trust, revoke FINGERPRINT. "
        "Access keys, which customers call routes with: create, ls, rotate, revoke ID."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="show|export|trust|create|ls|rotate|revoke")
    signing_key.arguments(words)
    access_key.arguments(words)
    revoke = words.add_parser("revoke", help="trust a signing key no longer, or let an access key in no more; both for good")
    revoke.add_argument("key", metavar="FINGERPRINT|ID", help="`SHA256:...` of a signing key; id or name of an access key")
    revoke.add_argument("--cut", action="store_true", help="of an access key: end its streams under way too")
    revoke.add_argument("--why", default="", help="of an access key: the reason, kept in the audit log")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        if given.word == "revoke":
            signing = FINGERPRINT.fullmatch(given.key) or given.key.startswith("SHA256:")
            return (signing_key.revoke if signing else access_key.revoke)(context, given)
        known = signing_key.WORDS.get(given.word) or access_key.WORDS[given.word]
        return known(context, given)
