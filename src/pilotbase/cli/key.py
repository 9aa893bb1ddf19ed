"""`pilotbase key show|export|trust|revoke`."""

import argparse
from pathlib import Path

from pilotbase.app import opened
from pilotbase.dossier import trust
from pilotbase.errors import UserError
from pilotbase.signing import FINGERPRINT, Key, PublicKey, public_keys


def arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="show|export|trust|revoke")
    words.add_parser("show", help="this home's key, and the keys that it trusts")
    export = words.add_parser("export", help="the public key as one line, for others to trust")
    export.add_argument("--name", default="unnamed", help="a name to go with it")
    adds = words.add_parser("trust", help="trust a key: its line, or a file of lines")
    adds.add_argument("key", metavar="LINE|FILE")
    revoke = words.add_parser("revoke", help="trust a key no longer, for good")
    revoke.add_argument("fingerprint", metavar="FINGERPRINT")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        now = context.clock.now()
        key = Key.load_or_create(context.home)
        if given.word == "show":
            print(key.key_id)
            for known in trust.entries(context.database):
                print(f"{'revoked' if known.revoked else 'trusted'}  {known.fingerprint}  {known.key.name}")
        elif given.word == "export":
            print(key.public_text(given.name))
        elif given.word == "trust":
            for one in _read(given.key):
                trust.add(context.database, one, now)
                print(f"trusted {one.fingerprint} {one.name}")
        else:
            if not FINGERPRINT.fullmatch(given.fingerprint):
                raise UserError(
                    f"not a fingerprint: {given.fingerprint[:80]!r}",
                    hint="write it as `pilotbase key show` prints it: SHA256:...",
                )
            own = key.public_key() if given.fingerprint == key.key_id else None
            trust.revoke(context.database, given.fingerprint, now, own)
            print(f"revoked {given.fingerprint}")
    return 0


def _read(given: str) -> list[PublicKey]:
    path = Path(given)
    try:
        text = path.read_text("utf-8") if len(given) < 1000 and path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=given) from None
    return list(public_keys(text, where=given if text != given else None))
