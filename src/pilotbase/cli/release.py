"""`pilotbase release start|ls|status|pause|resume|promote|rollback|label`."""

import argparse
import sys
from datetime import UTC
from pathlib import Path
from typing import Any

from rich.markup import escape

from pilotbase.app import opened
from pilotbase.checks.live import LiveCheck
from pilotbase.cli.console import Console, Errors
from pilotbase.cli.listing import print_json, print_table
from pilotbase.cli.watch import frame
from pilotbase.context import Context
from pilotbase.domain.release import Exposure, Plan
from pilotbase.errors import UserError
from pilotbase.flows.operator import operator
from pilotbase.flows.release_labels import label_release
from pilotbase.flows.release_moves import Moved, checks_of, plan_of
from pilotbase.flows.release_start import Start, start_release
from pilotbase.flows.release_words import (
    describe_release,
    last_release,
    pause_release,
    promote_release,
    resume_release,
    roll_back,
)
from pilotbase.flows.route_add import Flags
from pilotbase.release import records

_EVENTS = 10
_CONFLICT = 409
_SOURCES = {"ledger": "every request", "sample": "a sample", "label": "a sample, and labels", "feedback": "users' words"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A route goes from what serves it now to a candidate that passed its trial, in small steps and under the same checks, "
        "and comes back by itself when it stops meeting them. Exit 1 says that something was refused."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="start|ls|status|pause|resume|promote|rollback|label")
    _add_start(words)
    listed = words.add_parser("ls", help="all releases, newest first")
    listed.add_argument("--route", metavar="ROUTE", help="of one route")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    status = words.add_parser("status", help="the release of a route as it stands: rungs, evidence, exposure, what it waits for")
    status.add_argument("route", metavar="ROUTE")
    status.add_argument("--json", action="store_true", help="one JSON document on stdout")
    _add_moves(words)
    label = words.add_parser("label", help="truths that came later, for checks that need them")
    label.add_argument("route", metavar="ROUTE")
    label.add_argument("file", type=Path, metavar="FILE", help="CSV or JSON Lines with `request` (x-request-id) and `label`")


def _add_start(words: Any) -> None:
    start = words.add_parser("start", help="begin one, from a dossier whose verdict is PASS")
    start.add_argument("route", metavar="ROUTE", help="the route, which goes on being served as it is beside the candidate")
    start.add_argument("--dossier", type=Path, required=True, metavar="D", help="a dossier with a PASS for what will be served")
    start.add_argument("--candidate", metavar="ID", help="the candidate of the dossier, where it judged several")
    declared = start.add_argument_group("what is declared beforehand (one of these)")
    declared.add_argument("--plan", type=Path, metavar="FILE", help="the release plan: rungs, limits, bearer, checks, alerts")
    declared.add_argument("--bearer", metavar="NAME", help="who bears the risk, under the plan that is usual")
    source = start.add_argument_group("who answers as the candidate (default: the address in the dossier)")
    source.add_argument("--pilot", type=Path, metavar="PILOT", help="the pilot's file or folder, which holds its code")
    source.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible root")
    source.add_argument("--upstream-model", metavar="MODEL", help="with --upstream: its own name for the model")
    source.add_argument("--key-env", metavar="VARIABLE", help="with --upstream: the variable that holds its key")
    source.add_argument("--file", type=Path, metavar="FILE", help="a route in YAML or JSON, with all of its words")
    word = start.add_argument_group("without a PASS")
    word.add_argument("--by", metavar="NAME", help="on whose word")
    word.add_argument("--reason", metavar="WHY", help="on what grounds; both are recorded")


def _add_moves(words: Any) -> None:
    pause = words.add_parser("pause", help="stand on this rung; what speaks against the candidate still sends it back")
    resume = words.add_parser("resume", help="go on after a pause, or after a limit was reached")
    promote = words.add_parser("promote", help="climb without waiting for evidence; on `full`: end, and keep the candidate")
    rollback = words.add_parser("rollback", help="take the candidate off the route, at once")
    for move in (pause, resume, promote, rollback):
        move.add_argument("route", metavar="ROUTE")
        move.add_argument("--why", required=True, metavar="TEXT", help="the reason, kept on record")
    limits = resume.add_argument_group("limits from now on, where the declared ones are reached")
    limits.add_argument("--people", type=int, metavar="N")
    limits.add_argument("--requests", type=int, metavar="N")
    limits.add_argument("--spend", metavar="AMOUNT", help="as in 500CNY")
    limits.add_argument("--time", metavar="T", help="since the release began, as in 14d")
    promote.add_argument("--anyway", action="store_true", help="on `full`: end it though evidence lacks, or a check FAILS")


def main(given: argparse.Namespace) -> int:
    words = {
        "start": _start,
        "ls": _list,
        "status": _status,
        "pause": _pause,
        "resume": _resume,
        "promote": _promote,
        "rollback": _rollback,
        "label": _label,
    }
    with opened() as context:
        try:
            return words[given.word](context, given)
        except UserError as error:
            if error.status == _CONFLICT:
                error.code = 1  # nothing was said wrongly; it is refused as things stand
            raise


def _start(context: Context, given: argparse.Namespace) -> int:
    if given.upstream is None and (given.upstream_model is not None or given.key_env is not None):
        raise UserError("--upstream-model and --key-env are of an upstream", hint="give --upstream URL")
    wish = Start(
        route=given.route,
        dossier=given.dossier,
        plan=given.plan,
        bearer=given.bearer,
        candidate=given.candidate,
        pilot=given.pilot,
        upstream=given.upstream,
        file=given.file,
        flags=Flags(model=given.upstream_model, key_env=given.key_env),
        by=given.by,
        reason=given.reason,
    )
    done = start_release(context, wish, who=operator())
    for warning in done.warnings:
        Errors().print(f"[bold yellow]WARNING[/]: {escape(warning)}")
    release, plan = done.release, plan_of(done.release)
    print(f"release {release.id} of {release.route} begins: candidate {release.document['candidate_id']}")
    print(f"{plan.bearer} bears the risk")
    print()
    _print_rungs(plan)
    print()
    _print_checks(checks_of(release, plan))
    print()
    print(f"limits: {_limits(plan.exposure)}")
    print(f"look at it: pilotbase watch {release.route}")
    print(f"take it back: pilotbase release rollback {release.route} --why ...")
    return 0


def _print_rungs(plan: Plan) -> None:
    rows = []
    for number, rung in enumerate(plan.rungs, 1):
        needs = f"{rung.requests:,} results, {rung.time}" + (f", {rung.feedback} users' words" if rung.feedback else "")
        climbs = "" if rung.rung == "full" else "every check PASSES" if rung.climb == "pass" else "no check FAILS"
        rows.append((str(number), str(rung) + (f" ({', '.join(rung.users)})" if rung.users else ""), needs, climbs))
    print_table(("", "rung", "needs at least", "climbs when"), rows)


def _print_checks(checks: tuple[LiveCheck, ...]) -> None:
    rows = []
    for one in checks:
        tail = f" of requests beyond `{one.check.require}`" if one.limit is not None else ""
        source = _SOURCES[one.source] + (f" of {one.sample:.3g}" if one.source in ("sample", "label") else "")
        informs = "" if one.mandatory and one.check.role == "decide" else "informs"
        looks = "any time" if one.anytime else f"{one.windows} windows of {one.window}"
        require = f"{one.require}{tail}" if tail else one.check.require
        rows.append((one.id, require, f"{one.confidence:.4g}", source, looks, informs))
    print_table(("watched by", "require", "confidence", "read from", "looked at", ""), rows)


def _limits(limits: Exposure) -> str:
    told = [f"{limits.people:,} people"] if limits.people is not None else []
    told += [f"{limits.requests:,} requests"] if limits.requests is not None else []
    told += [one for one in (limits.spend, limits.time) if one is not None]
    return ", ".join(told) or "none is declared"


def _list(context: Context, given: argparse.Namespace) -> int:
    found = records.list_releases(context.database, route=given.route)
    plans = [plan_of(one) for one in found]
    if given.json:
        print_json([_document(one, plan) for one, plan in zip(found, plans, strict=True)])
        return 0
    if not found:
        print("no releases in this home yet; begin one: pilotbase release start ROUTE --dossier D --bearer NAME")
        return 0
    rows = [
        (one.id, one.route, one.state, str(plan.rungs[one.rung]), _when(one.started), _when(one.changed), plan.bearer)
        for one, plan in zip(found, plans, strict=True)
    ]
    print_table(("id", "route", "state", "rung", "begun", "changed", "bearer"), rows)
    return 0


def _document(one: records.Release, plan: Plan) -> dict[str, Any]:
    return {
        "id": one.id,
        "route": one.route,
        "state": one.state,
        "rung": one.rung,
        "rungs": [str(rung) for rung in plan.rungs],
        "started": one.started.isoformat(),
        "changed": one.changed.isoformat(),
        "bearer": plan.bearer,
        "candidate": one.document["candidate_id"],
    }


def _status(context: Context, given: argparse.Namespace) -> int:
    document = describe_release(context, last_release(context, given.route))
    if given.json:
        print_json(document)
        return 0
    console = Console()
    console.print(frame(document, console.width, events=_EVENTS))
    return 0


def _pause(context: Context, given: argparse.Namespace) -> int:
    return _told(pause_release(context, given.route, who=operator(), why=given.why), "it stands on {rung}", "was paused before")


def _resume(context: Context, given: argparse.Namespace) -> int:
    limits = Exposure(people=given.people, requests=given.requests, spend=given.spend, time=given.time)
    done = resume_release(context, given.route, who=operator(), why=given.why, limits=limits)
    return _told(done, "it goes on, on {rung}", "goes on already")


def _promote(context: Context, given: argparse.Namespace) -> int:
    done = promote_release(context, given.route, who=operator(), why=given.why, anyway=given.anyway)
    if done.release.state == "ended":
        return _told(done, f"the candidate is the stable arm of {done.release.route} from now on", "")
    return _told(done, "it climbed to {rung}, on your word", "")


def _rollback(context: Context, given: argparse.Namespace) -> int:
    done = roll_back(context, given.route, who=operator(), why=given.why)
    return _told(done, "the stable arm answers everyone", "was rolled back before; the stable arm answers everyone")


def _told(done: Moved, now: str, before: str) -> int:
    release = done.release
    rung = str(plan_of(release).rungs[release.rung])
    print(f"release {release.id} {f'is {release.state}: {now.format(rung=rung)}' if done.changed else before}")
    return 0


def _label(context: Context, given: argparse.Namespace) -> int:
    done = label_release(context, given.route, given.file, who=operator())
    print(f"{done.kept:,} labels kept; {done.matched:,} met a kept answer of release {done.release.id}")
    reasons = (
        (done.unknown, "name no request in this ledger"),
        (done.outside, "name a request outside this release"),
        (done.unsampled, "name a request whose answer was not sampled, or is kept no longer"),
    )
    for count, why in reasons:
        if count:
            print(f"  {count:,} {why}")
    if not done.checks:
        print("note: no check of this release reads labels; they are kept, and decide nothing", file=sys.stderr)
    return 0


def _when(moment: Any) -> str:
    return str(moment.astimezone(UTC).isoformat(sep=" ")[:16])
