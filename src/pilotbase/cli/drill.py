"""`pilotbase drill ROUTE --inject errors|latency|quality|drift`."""

import argparse
import re
from dataclasses import asdict
from datetime import UTC, datetime
from textwrap import fill
from typing import Any

from pilotbase.app import opened
from pilotbase.cli.listing import print_json
from pilotbase.domain.quantity import parse_share
from pilotbase.errors import UserError
from pilotbase.flows.drill import Drill, Wish, drill
from pilotbase.flows.drill_copy import ARMS, USUAL
from pilotbase.flows.drill_replay import Alarm, Replay
from pilotbase.flows.operator import operator
from pilotbase.release.drills import KINDS

_THIRD = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})")
WIDTH = 120
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_WHOSE = {
    "candidate": "the candidate",
    "shadow": "the candidate as a shadow",
    "stable": "the stable arm, in the candidate's place",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Would anybody notice? Replays a copy of a route's live traffic in simulated time, under the plan and the checks of its "
        "release, makes it worse from a moment on, and tells how long it takes to an alarm and to containment. The live route is "
        "never touched, and nobody is alerted. Exit code 1 where no alarm came, or one without any injection."
    )
    parser.add_argument("route", metavar="ROUTE")
    parser.add_argument("--inject", required=True, choices=KINDS, metavar="|".join(KINDS), help="what gets worse")
    parser.add_argument(
        "--strength", metavar="S", help="errors, quality: a share (20 %%, 50 %%); latency: x3 or +2s; drift: 1 (sd)"
    )
    parser.add_argument("--at", default="1/3", metavar="SHARE", help="how much of the copy comes before (default: 1/3)")
    parser.add_argument("--last", metavar="N|TIME", help=f"so many requests, or those of so long, as in 1h (default: {USUAL})")
    parser.add_argument(
        "--arm", choices=ARMS, metavar="|".join(ARMS), help="whose requests are copied (default: the first with any)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="copy them so many times, one after another (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which requests are hit (default: 0)")
    parser.add_argument("--record", action=argparse.BooleanOptionalAction, default=True, help="keep an incident of kind exercise")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def main(given: argparse.Namespace) -> int:
    wish = Wish(
        route=given.route,
        kind=given.inject,
        strength=given.strength,
        at=_at(given.at),
        last=given.last,
        arm=given.arm,
        repeat=given.repeat,
        seed=given.seed,
        record=given.record,
    )
    with opened() as context:
        done = drill(context, wish, who=operator())
    if given.json:
        print_json(_document(done))
    else:
        for name, text in _lines(done):
            print(
                fill(
                    f"{name:<10} {text}", width=WIDTH, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False
                )
            )
    return 0 if done.proved else 1


def _at(text: str) -> float:
    found = _THIRD.fullmatch(text.strip())
    try:
        return int(found[1]) / int(found[2]) if found else parse_share(text)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"--at: `{text[:40]}` is no share", hint="write 1/3, 0.3 or 30 %", status=422) from None


def _lines(done: Drill) -> list[tuple[str, str]]:
    traffic, seen = done.traffic, done.injected
    times = f" ({traffic.repeat} times over)" if traffic.repeat > 1 else ""
    span = f"{_when(traffic.rows[0])} to {_when(traffic.rows[-1])}"
    lines = [
        ("drill", f"route {traffic.route.name}, release {traffic.release.id}, rung {traffic.plan.rungs[traffic.release.rung]}"),
        ("copied", f"{len(traffic.rows):,} requests{times} of {_WHOSE[traffic.arm]}, {span}"),
        ("injected", f"{done.injection.kind}: {done.injection.told[0]}, from request {done.first + 1:,} on"),
    ]
    if done.control.alarm is not None:
        lines.append(("control", f"ALARM WITHOUT ANY INJECTION: {done.control.alarm.told[0]}"))
        lines.append(
            ("result", "nothing is proved: an alarm that comes anyway says nothing of the injection, which was not played")
        )
        lines.append(("look at", "the release itself; or copy traffic that was well: --last N, --arm stable"))
        return lines
    lines.append(
        ("control", f"no alarm without the injection: {done.control.requests:,} requests, {_span(done.control.seconds)}")
    )
    assert seen is not None
    lines += [*_alarm(seen), *_contained(seen), *_clients(done, seen)]
    lines += [("would help", word) for word in done.words]
    lines.append(("live", "the route was not touched, and nobody was alerted"))
    if done.incident is not None:
        lines.append(("recorded", f"{done.incident} (exercise): pilotbase incident show {done.incident}"))
    return lines


def _alarm(seen: Replay) -> list[tuple[str, str]]:
    if seen.alarm is None:
        return [("alarm", f"NONE: {seen.hit:,} requests were spoilt, and nothing fired; it would go on unnoticed")]
    return [("alarm", f"{_after(seen.alarm)}: {seen.alarm.kind}"), ("because", seen.alarm.told[0])]


def _contained(seen: Replay) -> list[tuple[str, str]]:
    back = seen.back
    if back is None:
        if seen.alarm is None:
            return []
        return [
            ("contained", "NO: people are warned, and the candidate goes on; `drift: {action: rollback}` in the plan goes back")
        ]
    took = f"; from the look that saw it to the committed rollback {1000 * (seen.look or 0.0):.0f} ms on this machine"
    lines = [("contained", f"{_after(back)}: rolled back to the stable arm{took}, then at most 1 s until every worker follows")]
    if seen.alarm is not None and back.told != seen.alarm.told:
        lines.append(("because", back.told[0]))
    return lines


def _clients(done: Drill, seen: Replay) -> list[tuple[str, str]]:
    if seen.answered is None:
        return [("clients", "would have met nothing of it: a shadow answers nobody")]
    until = "until then " if seen.back is not None else ""
    people = f" ({seen.people:,} {'person' if seen.people == 1 else 'people'})" if seen.people else ""
    found = [
        (
            "clients",
            f"{until}the candidate would have answered {seen.answered:,} requests, {seen.failed:,} of them in error{people}",
        )
    ]
    rung = done.traffic.plan.rungs[done.traffic.release.rung]
    if done.traffic.arm == "stable" and rung.part < 1.0:
        found.append(
            ("mind", f"the candidate gets {rung.share} of this traffic: the same requests take {1 / rung.part:.0f} times as long")
        )
    return found


def _after(alarm: Alarm) -> str:
    return f"after {alarm.requests:,} requests, {_span(alarm.seconds)} of traffic"


def _span(seconds: float) -> str:
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"


def _when(row: Any) -> str:
    return datetime.fromtimestamp(int(row["started"]) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _document(done: Drill) -> dict[str, Any]:
    traffic = done.traffic
    return {
        "schema": "pilotbase.drill/1",
        "route": traffic.route.name,
        "release": traffic.release.id,
        "rung": traffic.release.rung,
        "copied": {"arm": traffic.arm, "requests": len(traffic.rows), "repeat": traffic.repeat},
        "inject": {**asdict(done.injection), "told": list(done.injection.told), "from": done.first + 1},
        "proved": done.proved,
        "control": asdict(done.control),
        "injected": asdict(done.injected) if done.injected is not None else None,
        "bound": {"workers": 1.0},
        "would_help": list(done.words),
        "incident": done.incident,
    }
