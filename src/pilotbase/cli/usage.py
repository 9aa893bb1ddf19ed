"""`pilotbase usage` and `pilotbase usage reconcile`."""

import argparse
from dataclasses import asdict

from pilotbase.app import opened
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.quantity import Money
from pilotbase.flows.usage import usage
from pilotbase.gateway.reconcile import Report, reconcile


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What was used and what it cost. `usage reconcile` proves that the ledger adds up: reserved = settled + released + in "
        "doubt + under way, for each key and route, and nothing counted twice (exit 0), or says what is wrong (exit 1)."
    )
    parser.add_argument("word", nargs="?", choices=("reconcile",), metavar="reconcile", help="prove that the ledger adds up")
    parser.add_argument("--by", choices=("key", "route", "day"), default="key", help="a row for each of these (default: key)")
    parser.add_argument("--since", metavar="WHEN", help="a day or time (UTC), as in 2026-11-01, or so long ago, as in 7d")
    parser.add_argument("--until", metavar="WHEN", help="the same; this moment is no longer part of it")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        if given.word == "reconcile":
            report = reconcile(context.database, context.home / "gateway" / "ledger", context.disk)
            return _reconciled(report, as_json=given.json)
        return _usage(context, given)


def _usage(context: Context, given: argparse.Namespace) -> int:
    found = usage(context, given.by, given.since, given.until)
    if given.json:
        print_json(found)
        return 0
    if not found["rows"]:
        print("no requests in this time")
        return 0
    rows = [
        (
            row[given.by] + (f" ({row['name']})" if row.get("name") else ""),
            *(f"{row[word]:,}" for word in ("requests", "tokens_in", "tokens_out", "tokens_cached")),
            row["spent"] or "—",
            *(f"{row[word]:,}" for word in ("under_way", "in_doubt", "estimated")),
        )
        for row in found["rows"]
    ]
    names = (given.by, "requests", "tokens in", "tokens out", "of them cached", "spent", "under way", "in doubt", "estimated")
    print_table(names, rows, right=range(1, len(names)))
    return 0


def _reconciled(report: Report, *, as_json: bool) -> int:
    if as_json:
        lines = [asdict(line) for line in report.lines]
        print_json({"balanced": report.balanced, "lines": lines, "problems": report.problems, "waiting": report.waiting})
        return 0 if report.balanced else 1
    amounts = ("reserved", "settled", "released", "in_doubt", "open", "overrun")
    rows = [
        (
            line.key,
            line.route,
            f"{line.requests:,}",
            *(str(Money(getattr(line, word), line.currency)).strip() for word in amounts),
            "balanced" if line.balanced else "NOT BALANCED",
        )
        for line in report.lines
    ]
    if rows:
        names = ("key", "route", "requests", "reserved", "settled", "released", "in doubt", "under way", "overrun", "")
        print_table(names, rows, right=range(2, 9))
    for sentence in report.waiting:
        print(f"on its way: {sentence}")
    for sentence in report.problems:
        print(f"WRONG: {sentence}")
    print("balanced: reserved = settled + released + in doubt + under way" if report.balanced else "not balanced")
    return 0 if report.balanced else 1
