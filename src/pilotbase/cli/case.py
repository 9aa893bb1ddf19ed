"""`pilotbase case ls|show|export|verify`."""

import argparse
from pathlib import Path

import orjson

from pilotbase.app import opened
from pilotbase.catalog import cases
from pilotbase.catalog.case_records import records
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.admission import STATES, Admission
from pilotbase.errors import UserError
from pilotbase.flows.case_export import Checked, check_case, check_export, export_case

_MOST = 1000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Admission cases: applications on their way into a scenario, from draft to retired. Steps are taken in the console; here "
        "they are read, and their signed record is exported and verified."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="ls|show|export|verify")
    listed = words.add_parser("ls", help="all cases, newest first")
    listed.add_argument("--state", choices=STATES, metavar="STATE", help=f"in one state: {', '.join(STATES)}")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    show = words.add_parser("show", help="one case with its record")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")
    out = words.add_parser("export", help="the signed record as a file that another party checks offline")
    out.add_argument("id", metavar="ID")
    out.add_argument("--out", type=Path, metavar="FILE", help="(default: stdout)")
    verify = words.add_parser("verify", help="verify the record of a case here, or an export of another base")
    verify.epilog = "exit codes: 0 whole, and signed by a trusted key; 1 changed; 2 unreadable; 3 whole, signer unknown"
    verify.add_argument("what", metavar="ID|FILE")
    verify.add_argument("--signer", metavar="FINGERPRINT", help="of a file: demand this key, and trust it")
    verify.add_argument(
        "--trust", type=Path, metavar="FILE", help="of a file: trust the keys in this file, as `key export` prints them"
    )


def main(given: argparse.Namespace) -> int:
    words = {"ls": _list, "show": _show, "export": _export, "verify": _verify}
    with opened() as context:
        return words[given.word](context, given)


def _list(context: Context, given: argparse.Namespace) -> int:
    found = cases.list_cases(context.database, state=given.state, limit=_MOST)
    if given.json:
        print_json([_document(one) for one in found])
    elif not found:
        print("no cases")
    else:
        rows = [(one.id, one.state, _round(one), ", ".join(one.waits), one.capability_title, one.need_title) for one in found]
        print_table(("id", "state", "round", "waits for", "capability", "need"), rows)
    return 0


def _show(context: Context, given: argparse.Namespace) -> int:
    one = cases.require(context.database, given.id).admission
    told = records(context.database, one.id)
    if given.json:
        steps = [
            {"seq": r.seq, "at": r.at, "who": r.who, "party": r.party, "step": r.step, "to": r.after, **r.detail} for r in told
        ]
        print_json({**_document(one), "record": steps})
        return 0
    print(f"{one.id}: {one.capability_title} for {one.need_title}")
    print(f"state: {one.state}; round {_round(one)}; waits for: {', '.join(one.waits) or 'nobody'}")
    print_table(("seq", "at (UTC)", "step", "by", "who"), [
        (str(r.seq), f"{r.at:%Y-%m-%d %H:%M:%S}", r.step, r.party, r.who) for r in told
    ], right=(0,))  # fmt: skip
    return 0


def _export(context: Context, given: argparse.Namespace) -> int:
    document = export_case(context, given.id)
    if given.out is None:
        print_json(document)
        return 0
    try:
        given.out.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(given.out)) from None
    print(f"wrote {len(document['records'])} records to {given.out}")
    return 0


def _verify(context: Context, given: argparse.Namespace) -> int:
    path = Path(given.what)
    if path.is_file():
        found = check_export(context, path, signer=given.signer, trust_file=given.trust)
    else:
        found = check_case(context, given.what)
    _tell(found)
    return found.exit_code


def _tell(found: Checked) -> None:
    report = found.report
    if report.broken is not None:
        print(f"CHANGED at record {report.broken} of {report.case}: {report.why}")
    elif found.strangers:
        print(f"whole: {report.records} records of {report.case}, but this signer is unknown here: {', '.join(found.strangers)}")
        print("Ask the base for its fingerprint by another way, then use --signer.")
    else:
        print(f"verified: {report.records} records of {report.case}, signed by {', '.join(report.signers) or 'nobody'}")
        print(f"newest record: {report.head}")


def _round(one: Admission) -> str:
    return f"{one.round} of {one.rounds}"


def _document(one: Admission) -> dict[str, object]:
    words = ("id", "state", "need", "capability", "vendor", "owner", "round", "rounds", "criteria", "outcome", "created", "due")
    return {**{word: getattr(one, word) for word in words}, "waits": one.waits}
