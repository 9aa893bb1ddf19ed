"""A case as its parties see it: rounds with their figures, comments, files, its record, and whether that holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotbase.accounts import organisations
from pilotbase.catalog.case_records import Record, Report, records, verify_records
from pilotbase.catalog.case_records import envelopes as stored_envelopes
from pilotbase.catalog.cases import Stored
from pilotbase.context import Context
from pilotbase.domain.admission import Admission
from pilotbase.errors import UserError
from pilotbase.flows.case_words import DONE
from pilotbase.release import incidents

__all__ = ["CaseSight", "Line", "Round", "case_sight", "published_sight"]

DECIDED = ("pass", "condition", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record as the page tells it. `text` is what people wrote with it, `file` the file that it attached."""

    seq: int
    at: str
    who: str
    organisation: str
    step: str
    title: Mapping[str, str]
    before: str
    after: str
    text: str
    file: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: its linked runs with state and verdict as they are now, and the figures of the dossier that was reviewed."""

    number: int
    begun: str
    runs: tuple[Mapping[str, Any], ...]
    reviewed: Mapping[str, Any] | None
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSight:
    """All that a party may see. `criteria` tells of the agreed criteria, where they were recorded in this home."""

    lines: tuple[Line, ...]
    rounds: tuple[Round, ...]
    comments: tuple[Line, ...]
    files: tuple[Line, ...]
    misses: tuple[Mapping[str, str], ...]
    report: Report
    names: Mapping[str, str]
    criteria: Mapping[str, Any]


def case_sight(context: Context, stored: Stored) -> CaseSight:
    """Read a case for its parties: no input, no answer, no row and no group of any data stands in it."""
    case = stored.admission
    documents = stored_envelopes(context.database, case.id)
    report = verify_records(documents, case=case.id, count=stored.records, head=stored.head)
    try:
        told = records(context.database, case.id)
    except UserError:
        told = []  # the report says which record cannot be read
    lines = tuple(_line(one) for one in told)
    names = {one.id: one.name for one in organisations.list_organisations(context.database)}
    return CaseSight(
        lines=lines,
        rounds=_rounds(context, case, told),
        comments=tuple(line for line in lines if line.step == "comment"),
        files=tuple(line for line in lines if line.file is not None),
        misses=tuple(_miss(context, name) for name in case.risk.misses),
        report=report,
        names=names,
        criteria=_criteria(context, case),
    )


def published_sight(context: Context, stored: Stored) -> Mapping[str, Any]:
    """What every member may read of a published case: the outcome, its conditions, and the dossiers' digests."""
    case = stored.admission
    names = {one.id: one.name for one in organisations.list_organisations(context.database)}
    return {
        "vendor": names.get(case.vendor, "—"),
        "owner": names.get(case.owner, "—"),
        "outcome": case.outcome,
        "conditions": case.conditions,
        "dossier": case.proof.digest if case.proof is not None else "",
        "replication": case.replication.digest if case.replication is not None else "",
    }


def _line(one: Record) -> Line:
    title = DONE.get(one.step)
    file = one.detail.get("file")
    return Line(
        seq=one.seq,
        at=one.at.isoformat(),
        who=one.who.removeprefix("member:"),
        organisation=one.organisation,
        step=one.step,
        title={word: title.text(word) if title is not None else one.step for word in ("en", "zh")},
        before=one.before,
        after=one.after,
        text=str(one.detail.get("text", "")),
        file=file if isinstance(file, dict) else None,
    )


def _rounds(context: Context, case: Admission, told: Sequence[Record]) -> tuple[Round, ...]:
    found: list[Round] = []
    begun, number, decision = "", 0, ""
    reviewed: Mapping[str, Any] | None = None

    def close() -> None:
        if number:
            runs = tuple(_run(context, run) for n, run in case.runs if n == number)
            found.append(Round(number=number, begun=begun, runs=runs, reviewed=reviewed, decision=decision))

    for one in told:
        if one.step == "begin":
            close()
            begun, number, decision, reviewed = one.at.isoformat(), number + 1, "", None
        elif one.step == "review":
            reviewed = one.detail["dossier"]
        elif one.step in DECIDED:
            decision = one.after
    close()
    return tuple(reversed(found))


def _run(context: Context, run: str) -> Mapping[str, Any]:
    row = context.database.row("SELECT state, verdict FROM runs WHERE run = ?", (run,))
    return {"run": run, "state": row["state"] if row else "unknown", "verdict": row["verdict"] if row else None}


def _miss(context: Context, name: str) -> Mapping[str, str]:
    try:
        found = incidents.find(context.database, name)
    except UserError:
        return {"id": name, "title": "", "title_zh": "", "state": "unknown"}
    return {"id": name, "title": found.title.text("en"), "title_zh": found.title.text("zh"), "state": found.state}


def _criteria(context: Context, case: Admission) -> Mapping[str, Any]:
    row = context.database.row("SELECT recorded FROM criteria WHERE digest = ?", (case.criteria,)) if case.criteria else None
    return {"digest": case.criteria, "recorded": row["recorded"] if row is not None else ""}
