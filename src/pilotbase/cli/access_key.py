"""The words of `pilotbase key` about customers' keys: `create|ls|rotate|revoke ID`."""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.access import AccessKey
from pilotbase.flows import keys
from pilotbase.flows.operator import operator

__all__ = ["WORDS", "arguments", "revoke"]


def arguments(words: "argparse._SubParsersAction[Any]") -> None:
    create = words.add_parser("create", help="a key for a customer, shown once")
    create.add_argument("name", metavar="NAME", help="whose it is")
    create.add_argument("--budget", metavar="AMOUNT", help="the most it may ever spend, as in 100CNY")
    create.add_argument("--rpm", type=int, metavar="N", help="requests a minute")
    create.add_argument("--tpm", type=int, metavar="N", help="tokens a minute")
    create.add_argument("--routes", metavar="A,B", help="the routes that it may call (default: all)")
    create.add_argument("--expires", metavar="WHEN", help="a day or time (UTC), as in 2027-01-31, or so long from now, as in 30d")
    create.add_argument("--admin", action="store_true", help="a key for the administration API; it calls no route")
    create.add_argument("--json", action="store_true", help="one JSON document on stdout")
    listed = words.add_parser("ls", help="all access keys with their limits and what they spent")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    rotate = words.add_parser("rotate", help="another secret for the same key; limits and what was spent stay")
    rotate.add_argument("key", metavar="ID", help="id or name of an access key")
    rotate.add_argument("--keep", metavar="TIME", help="let the old secret through for so long, as in 10m (default: it ends now)")
    rotate.add_argument("--json", action="store_true", help="one JSON document on stdout")


def revoke(context: Context, given: argparse.Namespace) -> int:
    """Let a key in no more, for good."""
    key, changed = keys.revoke_key(context, given.key, why=given.why, cut=given.cut, who=operator())
    streams = "; its streams under way end too" if key.cut else "; its streams under way run to their end (--cut ends them)"
    print(f"revoked {key.id} ({key.name}){streams}" if changed else f"{key.id} ({key.name}) was revoked before")
    return 0


def _create(context: Context, given: argparse.Namespace) -> int:
    wish = keys.KeyWish(
        name=given.name,
        budget=given.budget,
        rpm=given.rpm,
        tpm=given.tpm,
        routes=given.routes.split(",") if given.routes is not None else None,
        expires=given.expires,
        admin=given.admin,
    )
    return _handed(context, given, *keys.create_key(context, keys.pepper_of(context), wish, who=operator()))


def _rotate(context: Context, given: argparse.Namespace) -> int:
    pepper = keys.pepper_of(context)
    return _handed(context, given, *keys.rotate_key(context, pepper, given.key, keep=given.keep, who=operator()))


def _handed(context: Context, given: argparse.Namespace, key: AccessKey, token: str) -> int:
    if given.json:
        print_json({**keys.shown(key, context), "key": token})
        return 0
    print(token)
    print(f"key {key.id} of {key.name}: shown this once, and kept nowhere", file=sys.stderr)
    return 0


def _list(context: Context, given: argparse.Namespace) -> int:
    found = keys.list_keys(context)
    if given.json:
        print_json(found)
        return 0
    if not found:
        print("no access keys in this home yet; make one: pilotbase key create NAME")
        return 0
    rows = [
        (
            one["id"],
            one["name"] + (" (admin)" if one["admin"] else ""),
            one["state"],
            one["budget"] or "—",
            ", ".join(one["spent"]) or "—",
            _limit(one["rpm"]),
            _limit(one["tpm"]),
            ", ".join(one["routes"]) if one["routes"] is not None else "all",
            one["expires"][:16].replace("T", " ") if one["expires"] else "—",
        )
        for one in found
    ]
    print_table(("id", "name", "state", "budget", "spent", "rpm", "tpm", "routes", "expires"), rows, right=(3, 4, 5, 6))
    return 0


def _limit(number: int | None) -> str:
    return f"{number:,}" if number is not None else "—"


WORDS: Mapping[str, Callable[[Context, argparse.Namespace], int]] = {"create": _create, "ls": _list, "rotate": _rotate}
