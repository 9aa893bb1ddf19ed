"""An operator's words on a release: pause, resume, promote, rollback, label; and what is told of it."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.problem import nearest
from pilotbase.domain.release import Exposure, Move, Plan
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.live_scoring import label_samples
from pilotbase.flows.operator import said
from pilotbase.flows.release_moves import Moved, checks_of, make_move, plan_of, require_under_way
from pilotbase.flows.release_sight import status_document
from pilotbase.gateway.ledger_window import exposed
from pilotbase.release import records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.records import Release
from pilotbase.release.steps import Exposed, limits_reached
from pilotbase.store.audit import stamp

__all__ = [
    "UNSEEN",
    "Labelled",
    "describe_release",
    "label_release",
    "last_release",
    "pause_release",
    "promote_release",
    "read_labels",
    "resume_release",
    "roll_back",
]

UNSEEN = 15.0
"""Seconds after which a release that nobody looked at is not watched any more."""
LARGEST = 64 << 20
SHOWN = 20
TRIES = 20
_LIMITS = ("people", "requests", "spend", "time")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson", ".json")


def last_release(context: Context, route: str) -> Release:
    """The release of a route that is under way, or else its last one. UserError (status 404) where it never had one."""
    found = records.list_releases(context.database, route=route, limit=1)
    return found[0] if found else require_under_way(context, route)


def pause_release(context: Context, route: str, *, who: str, why: str) -> Moved:
    """Let a release stand on its rung; what speaks against the candidate still sends it back."""
    why = said("why", why)
    found = require_under_way(context, route)
    if found.state in ("held", "full"):
        able = "resume it" if found.state == "held" else "promote it to end the release, or roll it back"
        raise _refused(f"release {found.id} is {found.state}: it does not climb", able)
    return _move(context, found, "pause", who=who, why=why)


def resume_release(context: Context, route: str, *, who: str, why: str, limits: Exposure | None = None) -> Moved:
    """Go on after a pause or a hold. `limits`: those that are set anew; None in it leaves one as it was.

    UserError (exit 1, status 409) with the figures, where a limit is still reached.
    """
    why = said("why", why)
    found = require_under_way(context, route)
    plan = plan_of(found)
    wanted = limits or Exposure()
    if found.state in ("climbing", "full"):
        if wanted != Exposure():
            hint = f"hold it on its rung first: pilotbase release pause {route} --why ..."
            raise _refused(f"release {found.id} is {found.state}: limits change as it goes on again", hint)
        return Moved(release=found, changed=False)
    raised = _raised(plan, wanted)
    risked = _risked(context, found)
    _check_currency(raised.exposure, risked)
    reached = limits_reached(raised.exposure, risked)
    if reached:
        flags = {"people": "--people", "requests": "--requests", "money": "--spend", "time": "--time"}
        needed = ", ".join(flags[str(cause.figures["limit"])] for cause in reached)
        told = "; ".join(cause.told[0] for cause in reached)
        raise _refused(f"release {found.id} cannot go on: {told}", f"raise it with {needed}, or roll back")
    if wanted == Exposure():
        return _move(context, found, "resume", who=who, why=why)
    new = ", ".join(f"{word} {value}" for word in _LIMITS if (value := getattr(wanted, word)) is not None)
    return _move(context, found, "resume", who=who, why=f"{why} (limits from now on: {new})", plan=raised)


def promote_release(context: Context, route: str, *, who: str, why: str, anyway: bool = False) -> Moved:
    """On a rung: climb without waiting for evidence. On `full`: end the release, and the candidate is the stable arm from now on.

    UserError (exit 1, status 409) where a mandatory check FAILs, and at the end where the rung's own evidence is not there; the
    end is not refused where `anyway`.
    """
    why = said("why", why)
    found = require_under_way(context, route)
    if found.state in ("paused", "held"):
        raise _refused(f"release {found.id} is {found.state}", f"resume it first: pilotbase release resume {route} --why ...")
    seen = _seen(context, found)
    failing = [c["id"] for c in (seen or {}).get("checks", ()) if _fails(c)]
    if failing and not (found.state == "full" and anyway):
        raise _refused(f"release {found.id} cannot be promoted: {', '.join(failing)} FAILS on live traffic", "roll it back")
    if found.state == "full":
        lacking = list(_lacking(plan_of(found), found, seen))
        if lacking and not anyway:
            hint = "wait for it, or end the release all the same with --anyway"
            raise _refused(f"release {found.id} cannot end yet: {'; '.join(lacking)}", hint)
        return _move(context, found, "end", who=who, why=why)
    return _move(context, found, "climb", who=who, why=why)


def roll_back(context: Context, route: str, *, who: str, why: str) -> Moved:
    """Take the candidate off the route now, whoever else moves the release; `changed` is false where it was taken off before."""
    why = said("why", why)
    for _ in range(TRIES):
        found = last_release(context, route)
        if found.state == "rolled-back":
            return Moved(release=found, changed=False)
        found = require_under_way(context, route)  # says what there is to go back from
        moved = make_move(context, found, "back", who=who, now=context.clock.now(), why=why)
        if moved is not None:
            return moved
    raise _overtaken(context, found)


def _move(context: Context, found: Release, move: Move, *, who: str, why: str, plan: Plan | None = None) -> Moved:
    moved = make_move(context, found, move, who=who, now=context.clock.now(), why=why, plan=plan)
    if moved is None:
        raise _overtaken(context, found)
    return moved


def _overtaken(context: Context, found: Release) -> UserError:
    now = records.find(context.database, found.id) or found
    last = records.events(context.database, found.id)[-1]
    return _refused(
        f"somebody else came first: {last.who} said `{last.action}` at {last.at[11:19]} UTC; release {found.id} is {now.state}",
        f"look at it, then say it again: pilotbase release status {found.route}",
    )


def _refused(message: str, hint: str) -> UserError:
    return UserError(message, hint=hint, code=1, status=409)


def _raised(plan: Plan, wanted: Exposure) -> Plan:
    problems = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in wanted.problems()]
    if problems:
        raise InvalidInput("the new limits are wrong", problems)
    now = plan.exposure
    merged = {word: getattr(wanted, word) or getattr(now, word) for word in _LIMITS}
    return replace(plan, exposure=Exposure(**merged))


def _risked(context: Context, found: Release) -> Exposed:
    people, requests, nanos, currency = exposed(context.database, found.id)
    seen = records.read_sight(context.database, found.id)
    seconds = float(seen[1].get("total", 0.0)) if seen is not None else 0.0
    return Exposed(people=people, requests=requests, nanos=nanos, currency=currency, seconds=seconds)


def _check_currency(limits: Exposure, risked: Exposed) -> None:
    money = limits.money
    if money is not None and risked.currency and risked.nanos and money.currency != risked.currency:
        hint = f"write an amount in {risked.currency}"
        raise UserError(f"the limit is {money}, and the candidate is paid in {risked.currency}", where="spend", hint=hint)


def _seen(context: Context, found: Release) -> Mapping[str, Any] | None:
    """What was seen last, where that was on the rung on which the release stands."""
    seen = records.read_sight(context.database, found.id)
    return seen[1] if seen is not None and seen[1].get("since") == found.document["rung_since"] else None


def _fails(check: Mapping[str, Any]) -> bool:
    return bool(check["mandatory"] and check["role"] == "decide" and check["verdict"] == "fail")


def _lacking(plan: Plan, found: Release, seen: Mapping[str, Any] | None) -> Iterator[str]:
    rung = plan.rungs[found.rung]
    there = seen or {"requests": 0, "seconds": 0.0, "feedback": 0}
    needs = (("requests", rung.requests, "results"), ("seconds", rung.seconds, "s under watch"))
    for word, most, unit in (*needs, ("feedback", rung.feedback, "users' words")):
        if there[word] < most:
            yield f"{there[word]:.0f} of {most:g} {unit}"


def describe_release(context: Context, release: Release) -> dict[str, Any]:
    """The status document with the ladder's own needs, whether anybody watches, the checks that do, and the open alerts."""
    plan = plan_of(release)
    document = status_document(context, release)
    now = context.clock.now()
    last = datetime.fromisoformat(document["seen_at"]) if document["seen_at"] else release.started
    unseen = (now - last).total_seconds()
    current = _seen(context, release)
    return {
        **document,
        "over": release.over,
        "watched": release.over or unseen <= UNSEEN,
        "unseen": round(max(0.0, unseen), 1),
        "current": current is not None,
        "ladder": [
            {
                "rung": str(rung),
                "requests": rung.requests,
                "seconds": rung.seconds,
                "feedback": rung.feedback,
                "climb": rung.climb,
                "users": list(rung.users),
            }
            for rung in plan.rungs
        ],
        "due_diligence": [{"item": d.item, "by": d.by, "on": d.on, "reference": d.reference} for d in plan.due_diligence],
        "budget": {"failures": plan.budget.failures, "over": plan.budget.over} if plan.budget is not None else None,
        "checks": [
            {
                "id": one.id,
                "metric": one.check.metric,
                "mandatory": one.mandatory,
                "role": one.check.role,
                "require": str(one.require) if one.metric.kind == "tail" else one.check.require,
                "limit": one.check.require if one.metric.kind == "tail" else None,
                "confidence": one.confidence,
                "source": one.source,
                "sample": one.sample,
                "against": one.against,
                "windows": [one.windows, one.window] if one.windows else None,
            }
            for one in checks_of(release, plan)
        ],
        "alerts": [
            {"id": a.id, "at": a.at, "last": a.last, "count": a.count, "severity": a.alert.severity, "kind": a.alert.kind,
             "title": a.alert.title}
            for a in list_alerts(context.database, release=release.id, state="open", limit=10)
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What became of a file of labels: `kept` of them are on record, `matched` met a kept answer of the release. The others: of
    no request here, of a request outside the release, of one whose answer was not sampled or is kept no longer.
    `checks` read labels.
    """

    release: Release
    kept: int
    matched: int
    unknown: int
    outside: int
    unsampled: int
    checks: tuple[str, ...]


def label_release(context: Context, route: str, path: Path, *, who: str) -> Labelled:
    """Keep truths that came later, and score the answers that they are about; the last word on a request counts.

    A label of a request that was copied also holds for the copy. InvalidInput with every wrong line; nothing is kept then.
    """
    found = last_release(context, route)
    labels = read_labels(path)
    now = context.clock.now()
    at = stamp(now)
    checks = checks_of(found)
    with context.database.transaction():
        context.database.execute_many(
            "INSERT INTO live_labels (request, label, at, who) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (request) DO UPDATE SET label = excluded.label, at = excluded.at, who = excluded.who",
            [(request, label, at, who) for request, label in labels.items()],
        )
        copies = _copies(context, found, labels)
        meant = {**labels, **{copy: labels[original] for copy, original in copies.items()}}
        label_samples(context, found, checks, meant, int(now.timestamp() * 1e6))
        sampled = _sampled(context, found)
        met = {name for name in labels if name in sampled} | {original for copy, original in copies.items() if copy in sampled}
        places = _places(context, [name for name in labels if name not in met])
        detail = {"file": path.name, "labels": len(labels), "matched": len(met)}
        records.note(context.database, found.id, who=who, action="label", detail=detail, now=now)
    return Labelled(
        release=found,
        kept=len(labels),
        matched=len(met),
        unknown=len(labels) - len(met) - len(places),
        outside=sum(1 for release in places.values() if release != found.id),
        unsampled=sum(1 for release in places.values() if release == found.id),
        checks=tuple(one.id for one in checks if one.source == "label"),
    )


def _copies(context: Context, found: Release, labels: Mapping[str, str]) -> dict[str, str]:
    """The kept copies of labelled requests, each with its original."""
    rows = context.database.rows(
        "SELECT s.request, r.copy_of FROM samples s JOIN requests r ON r.id = s.request"
        " WHERE s.release_id = ? AND r.copy_of <> ''",
        (found.id,),
    )
    return {row["request"]: row["copy_of"] for row in rows if row["copy_of"] in labels}


def _sampled(context: Context, found: Release) -> set[str]:
    return {row["request"] for row in context.database.rows("SELECT request FROM samples WHERE release_id = ?", (found.id,))}


def _places(context: Context, names: list[str]) -> dict[str, str]:
    """The release of each request that the ledger knows ("": of none)."""
    found: dict[str, str] = {}
    for start in range(0, len(names), 200):
        part = names[start : start + 200]
        rows = context.database.rows(f"SELECT id, release_id FROM requests WHERE id IN ({', '.join('?' * len(part))})", part)
        found |= {row["id"]: row["release_id"] for row in rows}
    return found


def read_labels(path: Path) -> dict[str, str]:
    """Labels by request id, from a CSV, TSV or JSON Lines file with `request` and `label`. InvalidInput with every wrong line."""
    suffix = path.suffix.lower()
    if suffix not in (*_SEPARATORS, *_LINES):
        raise UserError("labels are read from CSV or JSON Lines", where=str(path), hint="name the file .csv or .jsonl")
    text = _text(path)
    rows = _table(text, path, _SEPARATORS[suffix]) if suffix in _SEPARATORS else _objects(text)
    labels: dict[str, tuple[str, int]] = {}
    problems: list[str] = []
    for line, row in rows:
        try:
            request, label = _label(row)
            known = labels.setdefault(request, (label, line))
            if known[0] != label:
                raise ValueError(f"request `{request[:80]}` is labelled otherwise in line {known[1]}; keep one")
        except ValueError as error:
            problems.append(f"{path.name}:{line}: {error}")
    if problems:
        more = len(problems) - SHOWN
        listed = problems[:SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
        told = f"{len(problems):,} line{'s are' if len(problems) > 1 else ' is'} no label"
        raise InvalidInput(f"{path.name}: {told}; none was kept", listed)
    if not labels:
        raise UserError("the file holds no label", where=str(path), hint="a line needs `request` and `label`")
    return {request: label for request, (label, _) in labels.items()}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"the labels cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) > LARGEST:
        raise UserError("over 64 MiB of labels", where=str(path), hint="cut the file into parts, and give each")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"byte {error.start} is not UTF-8", where=f"{path.name}:{line}", hint="save the file as UTF-8") from None


def _table(text: str, path: Path, separator: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None and cells:
                header = [cell.strip() for cell in cells]
                _check_header(header, path, line)
            elif header is not None and cells:
                whole = len(cells) == len(header)
                yield line, dict(zip(header, cells, strict=True)) if whole else (len(cells), len(header))
            line = reader.line_num + 1
    except csv.Error as error:
        yield line, ValueError(f"this is no CSV: {error}")


def _check_header(header: list[str], path: Path, line: int) -> None:
    for name in ("request", "label"):
        if header.count(name) != 1:
            near = nearest(name, header)
            hint = f"did you mean `{near}`? " if near else ""
            found = "no column" if name not in header else "more than one column"
            columns = ", ".join(header)[:200]
            raise UserError(f"{found} `{name}`", where=f"{path.name}:{line}", hint=f"{hint}the columns are {columns}")


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    for line, part in enumerate(text.split("\n"), 1):
        if part.strip():
            try:
                yield line, orjson.loads(part)
            except orjson.JSONDecodeError as error:
                yield line, ValueError(f"this is not JSON: {error.msg}")


def _label(row: Any) -> tuple[str, str]:
    """(request, label) of a row. ValueError with what is wrong."""
    if isinstance(row, ValueError):
        raise row
    if isinstance(row, tuple):
        raise ValueError(f"{row[0]} fields where the header has {row[1]}")
    if not isinstance(row, dict):
        raise ValueError('this is no JSON object; write {"request": "...", "label": "..."}')
    request, label = row.get("request"), row.get("label")
    if not isinstance(request, str) or not request.strip():
        raise ValueError("`request` is missing or no text")
    spelt = None if isinstance(label, (dict, list)) else canonical_label(label)
    if spelt is None or not spelt.strip():
        raise ValueError("`label` is missing, or neither text, number nor true or false")
    return request.strip(), spelt.strip()
