"""The words of `pilotbase admin token`: `create|ls|revoke`."""

import argparse
import sys
from collections.abc import Callable, Mapping

from pilotbase.accounts import tokens
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.account import SCOPES
from pilotbase.flows.operator import operator
from pilotbase.flows.tokens import create_token, member_called, shown_token, tokens_of

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Tokens with which members' programs use the API: create, ls, revoke."
    words = parser.add_subparsers(dest="token_word", required=True, metavar="create|ls|revoke")
    create = words.add_parser("create", help="a token of a member, shown once")
    create.add_argument("login", metavar="LOGIN", help="whose it is; it never does more than this member may")
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument("--scope", action="append", required=True, dest="scopes", choices=SCOPES, metavar="PERMIT",
                        help="a permit of the console's table, as in runs.read; may be repeated")  # fmt: skip
    create.add_argument("--expires", default="90d", metavar="WHEN", help="a day, or so long from now (default: 90d)")
    create.add_argument("--json", action="store_true", help="one JSON document on stdout")
    listed = words.add_parser("ls", help="the tokens of a member")
    listed.add_argument("login", metavar="LOGIN")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    words.add_parser("revoke", help="let a token in no more, for good").add_argument("token", metavar="ID")


def run(context: Context, given: argparse.Namespace) -> int:
    """The command in an opened home; its exit code."""
    return _WORDS[given.token_word](context, given)


def _create(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    token, text = create_token(context, member, name=given.name, scopes=given.scopes, expires=given.expires, who=operator())
    if given.json:
        print_json({**shown_token(token, context.clock.now()), "token": text})
        return 0
    print(text)
    print(f"token {token.id} of {member.login}: shown this once, and kept nowhere", file=sys.stderr)
    return 0


def _list(context: Context, given: argparse.Namespace) -> int:
    found = tokens_of(context, member_called(context, given.login))
    if given.json:
        print_json(found)
    elif not found:
        print(f"{given.login} has no tokens yet")
    else:
        rows = [
            (one["id"], one["name"], one["state"], ", ".join(one["scopes"]), _hour(one["expires"]), _hour(one["used"]))
            for one in found
        ]
        print_table(("id", "name", "state", "scopes", "expires", "last used"), rows)
    return 0


def _revoke(context: Context, given: argparse.Namespace) -> int:
    token, changed = tokens.revoke(context.database, given.token, who=operator(), now=context.clock.now())
    print(f"revoked {token.id} ({token.name})" if changed else f"{token.id} ({token.name}) was revoked before")
    return 0


def _hour(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment is not None else "—"


_WORDS: Mapping[str, Callable[[Context, argparse.Namespace], int]] = {"create": _create, "ls": _list, "revoke": _revoke}
