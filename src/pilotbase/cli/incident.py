"""`pilotbase incident ls|show|open|contain|resolve|close|export`."""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pilotbase.app import opened
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.incident import ACTIONS, ANONYMOUS, KINDS, STATES, Incident
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError
from pilotbase.flows.incident import Report, contain_incident, report_incident, resolve_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.live_reading import inputs_of
from pilotbase.flows.operator import operator
from pilotbase.flows.regression_case import Origin, close_incident
from pilotbase.release import incidents
from pilotbase.release.incident_exports import FORMS, Telling, export

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What went wrong, how much of it, what was done, and why: open, contained, resolved, closed. An incident is closed with "
        "a regression case in the pilot's data, so that the next trial covers it. A near miss is reported without a name."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="ls|show|open|contain|resolve|close|export")
    listed = words.add_parser("ls", help="all incidents, newest first")
    listed.add_argument("--route", metavar="ROUTE", help="of one route")
    listed.add_argument("--kind", choices=KINDS, metavar="|".join(KINDS), help="of one kind")
    listed.add_argument("--state", choices=STATES, metavar="|".join(STATES), help="in one state")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    show = words.add_parser("show", help="one incident with its times and its history")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")
    _add_open(words)
    _add_steps(words)
    _add_export(words)


def _add_open(words: Any) -> None:
    report = words.add_parser("open", help="report one")
    report.add_argument("route", metavar="ROUTE")
    report.add_argument("--kind", choices=KINDS, default="incident", metavar="|".join(KINDS), help="(default: incident)")
    report.add_argument("--first-bad", metavar="REQUEST", help="the first request that went wrong, by its id")
    report.add_argument("--since", metavar="WHEN", help="when it began: a time (UTC), or so long ago, as in 2h")
    report.add_argument("--release", metavar="ID", help="the release that it happened in; counts who was affected")
    noticed = report.add_mutually_exclusive_group()
    noticed.add_argument("--alert", metavar="ID", help="the alert that noticed it")
    noticed.add_argument("--audit", metavar="REFERENCE", help="the audit that noticed it")
    _add_by(report)
    _add_facts(report)


def _add_steps(words: Any) -> None:
    contain = words.add_parser("contain", help="say what was done, so that no further harm comes of it")
    contain.add_argument("id", metavar="ID")
    contain.add_argument("--action", required=True, choices=ACTIONS, metavar="|".join(ACTIONS))
    resolve = words.add_parser("resolve", help="say that what was wrong is mended")
    resolve.add_argument("id", metavar="ID")
    resolve.add_argument("--cause", default="", metavar="TEXT", help="the root cause")
    for step in (contain, resolve):
        step.add_argument("--note", default="", metavar="TEXT", help="a sentence for the history")
        _add_by(step)
        _add_facts(step)
    close = words.add_parser("close", help="put it to the record, with a regression case in the pilot's data")
    close.add_argument("id", metavar="ID")
    close.add_argument("--pilot", type=Path, metavar="PILOT", help="the pilot's file or folder")
    close.add_argument("--case", type=Path, action="append", default=[], metavar="FILE", help="cases: JSON, JSON Lines or CSV")
    close.add_argument("--request", metavar="REQUEST", help="a kept request whose inputs are the case")
    close.add_argument("--expect", metavar="LABEL", help="with --request: what was due")
    close.add_argument("--set", action="append", default=[], metavar="COLUMN=VALUE", help="a further column, such as the group")
    close.add_argument("--cause", default="", metavar="TEXT", help="the root cause, where it was not told yet")
    _add_by(close)


def _add_export(words: Any) -> None:
    out = words.add_parser("export", help="for others: JSON, CSV, a MITRE ATLAS case study, an AIID submission; without names")
    out.add_argument("ids", nargs="*", metavar="ID", help="(default: all)")
    out.add_argument("--to", required=True, choices=FORMS, metavar="|".join(FORMS))
    out.add_argument("--out", type=Path, metavar="FILE", help="(default: stdout)")
    out.add_argument("--with-names", action="store_true", help="with who did what, the ids of cases, and texts unmasked")
    out.add_argument("--reporter", default="Anonymous", metavar="NAME", help="who reports it to ATLAS or the AIID")
    out.add_argument("--url", default="", metavar="URL", help="for the AIID: a public report of it")
    out.add_argument("--deployer", action="append", default=[], metavar="NAME", help="for the AIID: who deployed the system")
    out.add_argument("--developer", action="append", default=[], metavar="NAME", help="for the AIID: who developed it")


def _add_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME", help="who says so (default: this user; of a near miss nobody)")


def _add_facts(parser: argparse.ArgumentParser) -> None:
    known = parser.add_argument_group("what is known")
    levels = ", ".join(f"{level} {names.en} ({names.zh})" for level, names in SEVERITIES.items())
    known.add_argument("--severity", type=int, metavar="1..4", help=levels)
    for word in ("title", "summary"):
        known.add_argument(f"--{word}", metavar="TEXT")
        known.add_argument(f"--{word}-zh", metavar="TEXT", help="the same in Chinese")
    known.add_argument("--requests", type=int, metavar="N", help="requests affected")
    known.add_argument("--people", type=int, metavar="N", help="people affected")
    known.add_argument("--group", metavar="TEXT", help="which people, in words")
    known.add_argument("--harm", action="append", default=[], metavar="TYPE", help="as in privacy, money, health; several times")
    known.add_argument("--technique", action="append", default=[], metavar="T", help="as in AML.TA0011/AML.T0029=flooded")


def main(given: argparse.Namespace) -> int:
    words = {
        "ls": _list,
        "show": _show,
        "open": _open,
        "contain": _contain,
        "resolve": _resolve,
        "close": _close,
        "export": _export,
    }
    with opened() as context:
        return words[given.word](context, given)


def _facts(given: argparse.Namespace) -> Facts:
    words = ("severity", "title", "title_zh", "summary", "summary_zh", "requests", "people", "group")
    return Facts(**{word: getattr(given, word) for word in words}, harms=given.harm, techniques=given.technique)


def _list(context: Context, given: argparse.Namespace) -> int:
    found = incidents.list_incidents(context.database, route=given.route, kind=given.kind, state=given.state)
    if given.json:
        print_json([incidents.document_of(one) for one in found])
        return 0
    if not found:
        print("no incidents")
        return 0
    rows = [
        (one.id, one.kind, str(one.severity), one.state, one.route, _when(one.detected), *_times(one), one.title.text("en"))
        for one in found
    ]
    names = ("id", "kind", "severity", "state", "route", "detected", "to detect", "to contain", "to resolve", "title")
    print_table(names, rows, right=(2, 6, 7, 8))
    return 0


def _show(context: Context, given: argparse.Namespace) -> int:
    found = incidents.find(context.database, given.id)
    if given.json:
        print_json(incidents.document_of(found))
        return 0
    print_table(("", ""), [row for row in _told(found) if row[1]])
    print()
    print_table(
        ("when", "who", "what"), [(_when(e.at), e.who, f"{e.what}{f': {e.note}' if e.note else ''}") for e in found.history]
    )
    return 0


def _told(one: Incident) -> Iterable[tuple[str, str]]:
    level, subject, detect = SEVERITIES[one.severity], one.subject, one.detected_by
    times = _times(one)
    yield "incident", one.id
    yield "title", " / ".join(filter(None, (one.title.en, one.title.zh)))
    yield "kind", one.kind
    yield "severity", f"{one.severity} of 4: {level.en} ({level.zh})"
    yield "state", one.state
    yield "route", one.route
    for word in ("release", "scenario", "candidate", "fingerprint", "dossier"):
        yield word, getattr(subject, word)
    yield "gate packs", ", ".join(subject.packs)
    yield "noticed by", f"{detect.by} {detect.ref}".strip()
    yield "first bad", " at ".join(filter(None, (one.first_bad.request, _when(one.first_bad.at) if one.first_bad.at else "")))
    yield "to detect, contain, resolve", ", ".join(times)
    yield "affected", _affected(one)
    yield "harms", ", ".join(one.harms)
    yield "techniques", "; ".join(f"{t.tactic}/{t.technique} {t.note}".strip() for t in one.techniques)
    yield "summary", " / ".join(" ".join(text.split()) for text in (one.summary.en, one.summary.zh) if text)
    yield "root cause", " ".join(one.cause.split())
    for r in one.regressions:
        yield "regression cases", f"{', '.join(r.cases)} in {r.data} of pilot {r.pilot} ({r.before[7:19]}… -> {r.after[7:19]}…)"


def _affected(one: Incident) -> str:
    counts = (("requests", one.affected.requests), ("people", one.affected.people))
    return ", ".join(filter(None, [*(f"{n:,} {word}" for word, n in counts if n is not None), one.affected.group]))


def _open(context: Context, given: argparse.Namespace) -> int:
    words = ("route", "kind", "first_bad", "since", "release", "alert", "audit", "by")
    report = Report(facts=_facts(given), **{word: getattr(given, word) for word in words})
    found = report_incident(context, report, who=operator())
    print(f"opened {found.id}: {found.kind} on route {found.route}, severity {found.severity} of 4")
    if found.history[0].who == ANONYMOUS:
        print("no name was recorded, and none is asked for", file=sys.stderr)
    return 0


def _contain(context: Context, given: argparse.Namespace) -> int:
    found = contain_incident(context, given.id, given.action, who=operator(), by=given.by, note=given.note, facts=_facts(given))
    return _said(found)


def _resolve(context: Context, given: argparse.Namespace) -> int:
    found = resolve_incident(
        context, given.id, who=operator(), by=given.by, cause=given.cause, note=given.note, facts=_facts(given)
    )
    return _said(found)


def _close(context: Context, given: argparse.Namespace) -> int:
    origin, inputs = _origin(given), partial(inputs_of, context)
    done = close_incident(context, given.id, origin, who=operator(), by=given.by, cause=given.cause, inputs=inputs)
    if done.added:
        print(f"added to {done.data}: {', '.join(done.added)}")
    elif done.data is not None:
        print(f"{done.data} holds the cases already; nothing was added")
    return _said(done.incident)


def _origin(given: argparse.Namespace) -> Origin | None:
    wanted = bool(given.case) or given.request is not None
    if given.pilot is None:
        if wanted:
            raise UserError("to which pilot's data should the case go?", hint="name it: --pilot PILOT")
        return None
    if not wanted:
        raise UserError("no case is given", hint="give --case FILE, or --request REQUEST --expect LABEL")
    if given.expect is not None and given.request is None:
        raise UserError("--expect tells what a kept request should have been answered", hint="name it: --request REQUEST")
    values = dict(text.partition("=")[::2] for text in given.set)
    if wrong := [text for text in given.set if not text.partition("=")[0] or "=" not in text]:
        raise UserError(f"`{wrong[0]}` sets no column", hint="write --set COLUMN=VALUE")
    return Origin(pilot=given.pilot, files=tuple(given.case), request=given.request, expect=given.expect, values=values)


def _export(context: Context, given: argparse.Namespace) -> int:
    database = context.database
    found = [incidents.find(database, one) for one in given.ids] if given.ids else incidents.list_incidents(database, limit=10**6)
    telling = Telling(
        names=given.with_names,
        reporter=given.reporter,
        url=given.url,
        deployers=tuple(given.deployer),
        developers=tuple(given.developer),
    )
    done = export(found, given.to, telling)
    if given.out is not None:
        context.disk.write_whole(given.out.absolute(), done.text.encode())
        print(f"{len(found)} incident(s) in {given.out}", file=sys.stderr)
    else:
        sys.stdout.buffer.write(done.text.encode())
        sys.stdout.buffer.flush()
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _said(found: Incident) -> int:
    print(f"{found.id}: {found.state}, version {found.version}")
    return 0


def _when(moment: Any) -> str:
    return str(moment.isoformat(sep=" ")[:19])


def _times(one: Incident) -> tuple[str, ...]:
    return tuple(_span(seconds) for seconds in (one.times.detect, one.times.contain, one.times.resolve))


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "—"
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1.0, "s"))
    return f"{seconds / size:.3g} {unit}"
