"""`pilotbase audit`: who changed what, and the proof that nothing was changed in the log itself."""

import argparse
from dataclasses import asdict

import orjson

from pilotbase.app import opened
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.store import audit

__all__ = ["arguments", "main", "run"]

_MOST = 10_000
_WIDEST = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Who changed what in this base: list the entries, or verify that the log is whole."
    words = parser.add_subparsers(dest="word", required=True, metavar="ls|verify")
    listed = words.add_parser("ls", help="the entries, newest first")
    listed.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    listed.add_argument("--before", metavar="ID", help="those older than this entry")
    listed.add_argument("--who", default="", metavar="START", help="whose name begins so, as in member: or user:li")
    listed.add_argument("--action", default="", metavar="START", help="whose action begins so, as in key. or route.add")
    listed.add_argument("--subject", default="", metavar="START", help="whose subject begins so")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    verify = words.add_parser("verify", help="read the whole chain; exit 1 where it is broken")
    verify.add_argument(
        "--noted", action="append", default=[], metavar="LINK", help="a newest link that was printed before; may be repeated"
    )
    verify.add_argument("--json", action="store_true", help="one JSON document on stdout")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        return run(context, given)


def run(context: Context, given: argparse.Namespace) -> int:
    """The command in an opened home; its exit code."""
    return _verify(context, given) if given.word == "verify" else _list(context, given)


def _list(context: Context, given: argparse.Namespace) -> int:
    if not 1 <= given.limit <= _MOST:
        raise UserError(
            f"--limit is 1 to {_MOST:,}, found {given.limit}", hint="page on with --before and the id of the last one"
        )
    found = audit.entries(
        context.database, limit=given.limit, before=given.before, who=given.who, action=given.action, subject=given.subject
    )
    if given.json:
        print_json([asdict(entry) for entry in found])
    elif not found:
        print("no such entries in the audit log")
    else:
        rows = [(e.at[:19].replace("T", " "), e.who, e.action, e.subject, _short(e)) for e in found]
        print_table(("at (UTC)", "who", "action", "subject", "detail"), rows)
    return 0


def _verify(context: Context, given: argparse.Namespace) -> int:
    noted = [audit.Link.parse(text) for text in given.noted]
    report = audit.verify_home(context.database, context.disk, context.home, noted)
    newest = str(report.newest) if report.newest is not None else None
    if given.json:
        print_json(
            {"entries": report.entries, "before": report.before, "broken": report.broken, "why": report.why, "newest": newest}
        )
    elif report.broken is not None:
        print(f"BROKEN at link {report.broken}: {report.why}")
    elif newest is None:
        print(f"no chain yet: it begins with the next change; entries: {report.entries}")
    else:
        older = f", {report.before} of them older than the chain" if report.before else ""
        print(f"whole: {report.entries} entries{older}")
        print(f"newest link: {newest}")
        print("note it somewhere else: what is covered by a link that was noted cannot be changed unseen")
    return 0 if report.broken is None else 1


def _short(entry: audit.Entry) -> str:
    text = orjson.dumps(entry.detail).decode() if entry.detail else ""
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
