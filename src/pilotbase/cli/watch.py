"""`pilotbase watch ROUTE`: a release as it goes, drawn from the database alone; `release status` prints a frame of it too."""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import rich.console
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotbase.app import opened
from pilotbase.cli.console import Console
from pilotbase.cli.tables import figure
from pilotbase.context import Context
from pilotbase.domain.quantity import Money, parse_duration, parse_money, parse_require
from pilotbase.flows.release_words import describe_release, last_release

__all__ = ["bar", "follow", "frame", "interval", "span"]

EVERY = 1.0
WIDE = 96
NARROWEST = 40
_MARKS = {"pass": ("✔ PASS", "green"), "fail": ("✘ FAIL", "bold red"), "inconclusive": ("? open", "yellow")}
_STATES = {"climbing": "green", "full": "green", "paused": "yellow", "held": "bold yellow", "rolled-back": "bold red"}
_DONE = {"back": "rollback"}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
Document = Mapping[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A release as it goes, looked at each second: its rungs, each check's interval against its threshold, what was risked of "
        "what may be, what it waits for, its alerts. It reads the database alone. Ctrl-C ends it, and so does the release's end."
    )
    parser.add_argument("route", metavar="ROUTE")
    parser.add_argument("--once", action="store_true", help="print one frame and end; so does a pipe")


def main(given: argparse.Namespace) -> int:
    console = Console()
    with opened() as context:
        if console.is_terminal and not given.once:
            return follow(context, given.route, console)
        console.print(frame(_read(context, given.route), console.width))
    return 0


def _read(context: Context, route: str) -> dict[str, Any]:
    return describe_release(context, last_release(context, route))


def follow(context: Context, route: str, console: rich.console.Console, *, wait: Callable[[float], None] = time.sleep) -> int:
    """Draw the release again and again until it is over, or Ctrl-C; the last frame stays on the terminal. The exit code."""
    document = _read(context, route)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not document["over"]:
                live.update(frame(document, console.width), refresh=True)
                wait(EVERY)
                document = _read(context, route)
    except KeyboardInterrupt:
        pass
    # The other screen is gone with what it showed.
    console.print(frame(document, console.width))
    return 0


def frame(document: Document, width: int, *, events: int = 5) -> RenderableType:
    """Everything that is known of a release (`describe_release`), in lines of at most `width` columns; at least 40."""
    width = max(NARROWEST, width)
    seen = document["seen"] or {}
    parts: list[RenderableType] = [*_head(document), Text(), *_ladder(document), Text(), *_checks(document, width)]
    for lines in (_exposure(document, width), _budget(document, width), _waiting(document), _alerts(document)):
        found = list(lines)
        parts += [Text(), *found] if found else []
    told = document["events"][-events:]
    parts += [Text(), _line("events", "bold"), *(_event(one, document) for one in told)] if told else []
    if seen and not document["over"]:
        parts += [Text(), _line(f"seen {span(document['unseen'])} ago; the ledger was read {span(seen['lag'])} before", "dim")]
    return Group(*parts)


def _line(text: str, style: str = "", *, fold: bool = False) -> Text:
    return Text(text, style=style, no_wrap=not fold, overflow="fold" if fold else "ellipsis")


def _head(document: Document) -> Iterator[Text]:
    state = document["state"]
    head = _line(f"{document['route']}  ")
    head.stylize("bold")
    head.append(state, _STATES.get(state, "bold"))
    head.append(f"  {document['id']}", "dim")
    yield head
    begun = document["started"][:16].replace("T", " ")
    yield _line(f"candidate {document['candidate']}, {document['bearer']} bears the risk, begun {begun} UTC", fold=True)
    tie = document["tie"] or {}
    if tie.get("verdict") != "pass":
        yield _line(f"no verified PASS stands behind it: by {tie.get('by')}: {tie.get('reason')}", "yellow", fold=True)
    if not document["watched"]:
        text = f"nobody watches this release (for {span(document['unseen'])}): workers answer from the stable arm; "
        yield _line(f"{text}is `pilotbase serve` running?", "bold red", fold=True)


def _ladder(document: Document) -> Iterator[Text]:
    over = document["over"]
    for i, rung in enumerate(document["ladder"]):
        here = i == document["rung"]
        mark = "▶" if here and not over else "■" if here else "✔" if i < document["rung"] else "·"
        line = _line(f"{mark} {rung['rung']}", "bold" if here else "dim", fold=here)
        if here and not over:
            line.append(f"  {_progress(document, rung)}", "not bold")
        elif here:
            line.append(f"  {document['state']}", "not bold")
        yield line


def _progress(document: Document, rung: Document) -> str:
    seen = document["seen"] if document["current"] else None
    now = seen or {"requests": 0, "seconds": 0.0, "feedback": 0}
    parts = [f"{now['requests']:,} of {rung['requests']:,} results", f"{span(now['seconds'])} of {span(rung['seconds'])}"]
    parts += [f"{now['feedback']} of {rung['feedback']} users' words"] * bool(rung["feedback"])
    return " · ".join(parts)


def _checks(document: Document, width: int) -> Iterator[RenderableType]:
    seen = document["seen"] if document["current"] else None
    results: Sequence[Document] = seen["checks"] if seen else ()
    if not results:
        yield _line(f"checks that watch; nothing was seen on this rung{'' if document['over'] else ' yet'}", "bold")
        for one in document["checks"]:
            yield _line(f"  {one['id']}: {one['require']}{_told_of(one)}", fold=True)
        return
    limits = {one["id"]: one["limit"] for one in document["checks"] if one["limit"]}
    named = [(_name(one, limits), one) for one in results]
    if width < WIDE:
        yield from _narrow(named, width)
    else:
        yield _wide(named, width)
    yield _line("━ interval  ● value  ┃ threshold", "dim")


def _told_of(one: Document) -> str:
    words = [f"of requests beyond `{one['limit']}`"] * bool(one["limit"])
    words += ["informs"] * (one["role"] != "decide" or not one["mandatory"])
    return f" ({', '.join(words)})" if words else ""


def _name(one: Document, limits: Mapping[str, str]) -> str:
    """A check's id; of a tail with the limit that it counts requests beyond."""
    limit = limits.get(one["id"])
    return f"{one['id']} (over {limit.removeprefix('<=').strip()})" if limit else str(one["id"])


def _narrow(named: Sequence[tuple[str, Document]], width: int) -> Iterator[Text]:
    figures = [f"{figure(one['value'], one['unit'])} ({_ends(one)}) n {one['n']:,}" for _, one in named]
    room = min(40, width - 4 - max(len(one) for one in figures))
    for (name, one), told in zip(named, figures, strict=True):
        mark, style = _mark(one)
        line = _line("")
        line.append(mark, style)
        yield line.append(f" {name} {one['require']}")
        yield _drawn(one, room, indent=2).append(f"  {told}") if room >= 8 else _line(f"  {told}")


def _wide(named: Sequence[tuple[str, Document]], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", width=width, collapse_padding=True)
    size = max(20, min(60, width - 80))
    table.add_column("", no_wrap=True, width=6)
    table.add_column("check", no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column("require", no_wrap=True)
    table.add_column("live", no_wrap=True, width=size)
    for title in ("value", "from .. to", "n"):
        table.add_column(title, no_wrap=True, justify="right")
    for name, one in named:
        value = figure(one["value"], one["unit"])
        drawn = _drawn(one, size, indent=0)
        table.add_row(Text(*_mark(one)), Text(name), one["require"], drawn, value, _ends(one), f"{one['n']:,}")
    return table


def _mark(one: Document) -> tuple[str, str]:
    mark, style = _MARKS[one["verdict"]]
    return (mark, style) if one["mandatory"] and one["role"] == "decide" else (mark.replace("FAIL", "fail"), "dim")


def _ends(one: Document) -> str:
    return f"{figure(one['low'], one['unit'])} .. {figure(one['high'], one['unit'])}"


def _drawn(one: Document, width: int, *, indent: int) -> Text:
    threshold = parse_require(one["require"])
    text = interval(one["low"], one["high"], one["value"], threshold.value if threshold.op in ("<=", ">=") else None, width)
    drawn = _line(" " * indent + text)
    drawn.highlight_regex("[━●]+", _mark(one)[1])
    drawn.highlight_regex("·+", "dim")
    drawn.highlight_regex("┃", "bold")
    return drawn


def interval(low: float | None, high: float | None, value: float | None, threshold: float | None, width: int) -> str:
    """An interval, its value and a threshold on one scale that holds them all, in `width` characters.

    An end that is not finite, or None, goes on to the edge; without any number there are dots.
    """
    numbers = [one for one in (low, high, value, threshold) if one is not None and math.isfinite(one)]
    if not numbers or (low is None and high is None and value is None):
        return "·" * width
    least, most = min(numbers), max(numbers)
    margin = (most - least) * 0.1 or abs(most) * 0.1 or 1.0
    start = 0.0 if least >= 0 and least - margin < 0 else least - margin
    end = 1.0 if most <= 1 and most + margin > 1 and least >= 0 else most + margin

    def place(number: float | None, edge: int) -> int:
        if number is None or not math.isfinite(number):
            return edge
        return min(width - 1, max(0, round((number - start) / (end - start) * (width - 1))))

    cells = ["·"] * width
    if low is not None or high is not None:
        first, last = place(low, 0), place(high, width - 1)
        cells[first : last + 1] = "━" * (last + 1 - first)
    if value is not None and math.isfinite(value):
        cells[place(value, 0)] = "●"
    if threshold is not None:
        cells[place(threshold, 0)] = "┃"
    return "".join(cells)


def bar(part: float, width: int) -> str:
    """How much of something is used, 0 to 1, in `width` characters; any use shows, and only all of it fills."""
    part = min(1.0, max(0.0, part))
    full = width if part >= 1.0 else min(width - 1, math.ceil(part * width))
    return "━" * full + "·" * (width - full)


def _exposure(document: Document, width: int) -> Iterator[Text]:
    exposed = (document["seen"] or {}).get("exposed")
    if exposed is None:
        return
    limits = document["limits"]
    money = parse_money(limits["spend"]) if limits["spend"] else None
    currency = exposed["currency"] or (money.currency if money else "")
    spent = str(Money(exposed["nanos"], currency)) if currency else "nothing"
    seconds = parse_duration(limits["time"]) if limits["time"] else None
    yield _line("exposed", "bold")
    rows = (
        ("people", exposed["people"], limits["people"], f"{exposed['people']:,}", limits["people"]),
        ("requests", exposed["requests"], limits["requests"], f"{exposed['requests']:,}", limits["requests"]),
        ("money", exposed["nanos"], money.nanos if money else None, spent, money),
        ("time", exposed["seconds"], seconds, span(exposed["seconds"]), span(seconds) if seconds else None),
    )
    for name, now, most, told, limit in rows:
        shown = f"{limit:,}" if isinstance(limit, int) else str(limit)
        line = _line(f"  {name:<9}{told}{f' of {shown}' if limit is not None else ', no limit'}")
        if most:
            used = now / most
            line.pad_right(max(0, 36 - len(line)))
            line.append(bar(used, max(8, min(40, width - 40))), "bold red" if used >= 1 else "yellow" if used >= 0.8 else "green")
        yield line


def _budget(document: Document, width: int) -> Iterator[Text]:
    burn = (document["seen"] or {}).get("burn")
    if document["budget"] is None or burn is None:
        return
    yield _line(f"error budget: {document['budget']['failures']} over {document['budget']['over']}", "bold")
    left = burn.get("left")
    if left is not None:
        line = _line(f"  {'left':<9}{left:.0%}".replace("%", " %"))
        line.pad_right(max(0, 36 - len(line)))
        yield line.append(bar(left, max(8, min(40, width - 40))), "green" if left > 0.2 else "bold red")
    for one in burn.get("burns", ()):
        yield _burning(one)


def _burning(one: Document) -> Text:
    if one["by"] == "time":
        windows = f"{span(one['long'])} and {span(one['short'])}"
    else:
        windows = f"the last {one['long']:,.0f} and {one['short']:,.0f} results"
    rates = " and ".join("—" if rate is None else f"{rate:.3g}" for rate in (one["long_rate"], one["short_rate"]))
    mark = "burns too fast" if one["fires"] else "" if one["enough"] else "too few results"
    return _line(f"  burn {rates} times over {windows}, limit {one['rate']:.3g}  {mark}", "bold red" if one["fires"] else "")


def _waiting(document: Document) -> Iterator[Text]:
    if document["over"]:
        return
    if document["state"] == "held":
        told = "held: the candidate answers nobody until a person resumes it, with higher limits, or rolls it back"
        yield _line(told, "yellow", fold=True)
        return
    if document["state"] == "paused":
        yield _line("paused: it climbs no further until a person resumes it", "yellow", fold=True)
    waiting = document["seen"]["waiting"] if document["current"] else ()
    if waiting:
        yield _line("waits for", "bold")
        yield from (_line(f"  {one[0]}", fold=True) for one in waiting)
    elif document["current"] and document["state"] == "full":
        yield _line(f"all is there: pilotbase release promote {document['route']} --why ... ends it", "green", fold=True)


def _alerts(document: Document) -> Iterator[Text]:
    if document["alerts"]:
        yield _line("open alerts", "bold")
    for one in document["alerts"][:5]:
        times = f" ({one['count']} times)" if one["count"] > 1 else ""
        yield _line(f"  {one['last'][11:19]} severity {one['severity']}: {one['title']}{times}", "red", fold=True)


def _event(event: Document, document: Document) -> Text:
    detail = event["detail"]
    causes = [cause["told"][0] for cause in detail.get("causes", ())]
    why = detail.get("why") or "; ".join(causes)
    if event["action"] == "climb":
        why = f"{document['ladder'][detail['rung']]['rung']}{f': {why}' if why else ''}"
    if event["action"] == "label":
        why = f"{detail['matched']} of {detail['labels']} labels met a kept answer"
    if event["action"] == "drift":
        why = "; ".join(one["english"] for one in detail["drifted"]) or f"look {detail['look']}: none"
    when = f"{event['at'][5:10]} {event['at'][11:19]}"
    done = _DONE.get(event["action"], event["action"])
    return _line(f"  {when} {done} by {event['who']}{f': {why}' if why else ''}", fold=True)


def span(seconds: float) -> str:
    """A time as a person says it, with two significant digits or the whole number: `45 s`, `3.5 min`, `2 h`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1.0, "s"))
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 10 or unit == "s" else f"{number:.2g} {unit}"
