"""The words of `pilotbase key` about signing keys: `show|export|trust|revoke FINGERPRINT`."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pilotbase.context import Context
from pilotbase.dossier import trust
from pilotbase.errors import UserError
from pilotbase.signing import FINGERPRINT, Key, PublicKey, public_keys

__all__ = ["WORDS", "arguments", "revoke"]


def arguments(words: "argparse._SubParsersAction[Any]") -> None:
    words.add_parser("show", help="this home's signing key, and those that it trusts")
    exports = words.add_parser("export", help="the public key as one line, for others to trust")
    exports.add_argument("--name", default="unnamed", help="a name to go with it")
    adds = words.add_parser("trust", help="trust a key: its line, or a file of lines")
    adds.add_argument("key", metavar="LINE|FILE")


def revoke(context: Context, given: argparse.Namespace) -> int:
    """Trust a key no longer, for good."""
    if not FINGERPRINT.fullmatch(given.key):
        raise UserError(
            f"not a fingerprint: {given.key[:80]!r}",
            hint="write it as `pilotbase key show` prints it: SHA256:...",
        )
    key = Key.load_or_create(context.home)
    own = key.public_key() if given.key == key.key_id else None
    trust.revoke(context.database, given.key, context.clock.now(), own)
    print(f"revoked {given.key}")
    return 0


def _show(context: Context, given: argparse.Namespace) -> int:
    print(Key.load_or_create(context.home).key_id)
    for known in trust.entries(context.database):
        print(f"{'revoked' if known.revoked else 'trusted'}  {known.fingerprint}  {known.key.name}")
    return 0


def _export(context: Context, given: argparse.Namespace) -> int:
    print(Key.load_or_create(context.home).public_text(given.name))
    return 0


def _trust(context: Context, given: argparse.Namespace) -> int:
    for one in _read(given.key):
        trust.add(context.database, one, context.clock.now())
        print(f"trusted {one.fingerprint} {one.name}")
    return 0


def _read(given: str) -> list[PublicKey]:
    path = Path(given)
    try:
        text = path.read_text("utf-8") if len(given) < 1000 and path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=given) from None
    return list(public_keys(text, where=given if text != given else None))


WORDS: Mapping[str, Callable[[Context, argparse.Namespace], int]] = {"show": _show, "export": _export, "trust": _trust}
