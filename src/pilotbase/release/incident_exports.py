"""Incidents for others: JSON with all of it, CSV for a regulator, a case study for MITRE ATLAS, a submission for the AIID.

Sources: `dist/schemas/atlas_contribution_schema.json` of mitre-atlas/atlas-data (version 1.0.0 of 2026-05-01; a case study there
is a mapping `study` beside `meta`), and the submission form of the AI Incident Database (`components/submissions/schemas.js` of
responsible-ai-collaborative/aiid). Unless names are asked for, none leaves: who did what is left out, telephone numbers,
identity numbers and the like are masked in texts, and cases are counted, for their ids may be people's.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson

from pilotbase.detect.pii import masked
from pilotbase.domain.incident import Incident
from pilotbase.domain.scenario import Titles
from pilotbase.domain.severity import SEVERITIES
from pilotbase.release.incidents import document_of

__all__ = ["FORMS", "Exported", "Form", "Telling", "export"]

Form = Literal["json", "csv", "atlas", "aiid"]
FORMS: tuple[str, ...] = get_args(Form)
_LONGEST_DESCRIPTION, _LONGEST_TITLE = 500, 500
_SHORTEST_TITLE, _LONGEST_TEXT = 6, 50_000
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), the full-width forms included.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# JSON's escapes are YAML's; YAML further forbids these in the open, or takes them for line ends.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What the receiver is told besides: whether names and ids of cases, who reports, and what the AIID asks of a report."""

    names: bool = False
    reporter: str = "Anonymous"
    url: str = ""
    deployers: tuple[str, ...] = ()
    developers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The text, and what its receiver will miss in it, in words."""

    text: str
    notes: tuple[str, ...] = ()


def export(incidents: Sequence[Incident], form: Form, telling: Telling | None = None) -> Exported:
    """The incidents in one of four forms, in the order given."""
    telling = telling or Telling()
    told = [one if telling.names else _nameless(one) for one in incidents]
    if form == "json":
        return Exported(text=_json([_document(one, telling) for one in told]))
    if form == "csv":
        return Exported(text=_csv(told))
    if form == "atlas":
        return _atlas(told, telling)
    return _aiid(told, telling)


def _json(document: Any) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _nameless(incident: Incident) -> Incident:
    by = incident.detected_by
    return replace(
        incident,
        title=_masked(incident.title),
        summary=_masked(incident.summary),
        cause=masked(incident.cause),
        harms=tuple(map(masked, incident.harms)),
        affected=replace(incident.affected, group=masked(incident.affected.group)),
        techniques=tuple(replace(one, note=masked(one.note)) for one in incident.techniques),
        actions=tuple(replace(one, who="", note=masked(one.note)) for one in incident.actions),
        history=tuple(replace(one, who="", note=masked(one.note)) for one in incident.history),
        detected_by=replace(by, ref="" if by.by == "user" else masked(by.ref)),
    )


def _masked(titles: Titles) -> Titles:
    return Titles(en=masked(titles.en) if titles.en else titles.en, zh=masked(titles.zh) if titles.zh else titles.zh)


def _document(incident: Incident, telling: Telling) -> dict[str, Any]:
    document = document_of(replace(incident, pending=None))
    del document["pending"]
    if not telling.names:
        for regression in document["regressions"]:
            regression["cases"] = len(regression["cases"])
    return document


def _csv(incidents: Iterable[Incident]) -> str:
    out = io.StringIO()
    out.write("\ufeff")  # without it spreadsheets misread Chinese
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(tell(one)) for tell in _COLUMNS.values()] for one in incidents)
    return out.getvalue()


def _stamp(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment is not None else ""


def _cell(value: Any) -> Any:
    """One line that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def _seconds(step: str) -> Callable[[Incident], float | None]:
    return lambda one: getattr(one.times, step)


_COLUMNS: Mapping[str, Callable[[Incident], Any]] = {
    "id": lambda one: one.id,
    "kind": lambda one: one.kind,
    "severity": lambda one: one.severity,
    "severity_zh": lambda one: SEVERITIES[one.severity].zh,
    "state": lambda one: one.state,
    "route": lambda one: one.route,
    "release": lambda one: one.subject.release,
    "scenario": lambda one: one.subject.scenario,
    "candidate": lambda one: one.subject.candidate,
    "title": lambda one: one.title.en,
    "title_zh": lambda one: one.title.zh,
    "summary": lambda one: one.summary.en,
    "summary_zh": lambda one: one.summary.zh,
    "first_bad_request": lambda one: one.first_bad.request,
    "first_bad": lambda one: _stamp(one.first_bad.at),
    "detected": lambda one: _stamp(one.detected),
    "detected_by": lambda one: f"{one.detected_by.by} {one.detected_by.ref}".strip(),
    "contained": lambda one: _stamp(one.contained),
    "resolved": lambda one: _stamp(one.resolved),
    "closed": lambda one: _stamp(one.closed),
    "seconds_to_detect": _seconds("detect"),
    "seconds_to_contain": _seconds("contain"),
    "seconds_to_resolve": _seconds("resolve"),
    "requests": lambda one: one.affected.requests,
    "people": lambda one: one.affected.people,
    "group": lambda one: one.affected.group,
    "harms": lambda one: "; ".join(one.harms),
    "techniques": lambda one: "; ".join(f"{t.tactic}/{t.technique}" for t in one.techniques),
    "actions": lambda one: "; ".join(" ".join(filter(None, (a.act, _stamp(a.at), a.who, a.note))) for a in one.actions),
    "cause": lambda one: one.cause,
    "regression_cases": lambda one: len(one.cases),
    "dossier": lambda one: one.subject.dossier,
    "fingerprint": lambda one: one.subject.fingerprint,
    "packs": lambda one: ", ".join(one.subject.packs),
}


def _atlas(incidents: Sequence[Incident], telling: Telling) -> Exported:
    notes = [
        f"{one.id} tells no technique: its procedure is empty; add one with `--technique` before it is closed"
        for one in incidents
        if not one.techniques
    ]
    return Exported(text="".join(f"---\n{_yaml(_study(one, telling))}" for one in incidents), notes=tuple(notes))


def _study(one: Incident, telling: Telling) -> dict[str, Any]:
    began = one.first_bad.at or one.detected
    summary = _account(one)
    return {
        "study": {
            "name": _line(one.title),
            "object-type": "case-study",
            "summary": summary,
            "incident-date": _Plain(f"{began.astimezone(UTC):%Y-%m-%d}"),
            "incident-date-granularity": "DATE",
            "procedure": [
                {"tactic": t.tactic, "technique": t.technique, "description": t.note or summary} for t in one.techniques
            ],
            "reporter": telling.reporter,
            "target": one.subject.scenario or f"an application served as {one.route}",
            "actor": "Unknown" if one.techniques else "None: a failure that nobody provoked",
            "case-study-type": "exercise" if one.kind == "exercise" else "incident",
        },
        "meta": {"source-id": one.id, "kind": one.kind, "severity": one.severity, "dossier": one.subject.dossier},
    }


def _aiid(incidents: Sequence[Incident], telling: Telling) -> Exported:
    real = [one for one in incidents if one.kind != "exercise"]
    notes = [f"{one.id} is left out: an exercise is no incident to the AIID" for one in incidents if one.kind == "exercise"]
    asked = {"--url": telling.url, "--deployer": telling.deployers, "--developer": telling.developers}
    notes += [f"the AIID asks for more: give {flag}" for flag, value in asked.items() if real and not value]
    notes += [f"{one.id} names no group that was harmed, which the AIID asks for" for one in real if not one.affected.group]
    return Exported(text=_json([_submission(one, telling) for one in real]), notes=tuple(notes))


def _submission(one: Incident, telling: Telling) -> dict[str, Any]:
    day = f"{(one.closed or one.resolved or one.detected).astimezone(UTC):%Y-%m-%d}"
    title = _line(one.title)[:_LONGEST_TITLE]
    if len(title) < _SHORTEST_TITLE:
        title = f"{title} on route {one.route}"
    text = _account(one)
    return {
        "title": title,
        "incident_title": title,
        "description": (_line(one.summary) or text)[:_LONGEST_DESCRIPTION],
        "incident_date": f"{(one.first_bad.at or one.detected).astimezone(UTC):%Y-%m-%d}",
        "incident_ids": [],
        "deployers": list(telling.deployers),
        "developers": list(telling.developers),
        "harmed_parties": [one.affected.group] if one.affected.group else [],
        "implicated_systems": [one.subject.scenario or f"route {one.route}"],
        "authors": [telling.reporter],
        "submitters": [telling.reporter],
        "date_published": day,
        "date_downloaded": day,
        "url": telling.url,
        "image_url": "",
        "language": "en" if one.title.en else "zh",
        "tags": list(one.harms),
        "text": text[:_LONGEST_TEXT],
        "editor_notes": f"{one.kind} of severity {one.severity} of 4 ({SEVERITIES[one.severity].en}), reported from {one.id}",
    }


def _line(titles: Titles) -> str:
    return " ".join(titles.text("en").split())


def _account(one: Incident) -> str:
    """What happened, in sentences: the summary, then what is known of time, extent, answer and cause."""
    level = SEVERITIES[one.severity]
    parts = [one.summary.text("en").strip() or f"{_line(one.title)}."]
    if one.kind != "incident":
        parts.append(
            {"near-miss": "It was a near miss.", "hazard": "It was a hazard.", "exercise": "It was an exercise."}[one.kind]
        )
    parts.append(
        f"It was rated {one.severity} of 4 ({level.en}, {level.zh}) and was noticed by {_noticed(one)} at {_stamp(one.detected)}."
    )
    if one.first_bad.at is not None:
        parts.append(f"The first failure was at {_stamp(one.first_bad.at)}.")
    counts = [f"{number:,} {what}" for what, number in (("requests", one.affected.requests), ("people", one.affected.people))
              if number is not None]  # fmt: skip
    if counts:
        parts.append(f"It met {' and '.join(counts)}{f' ({one.affected.group})' if one.affected.group else ''}.")
    parts += [f"At {_stamp(a.at)}: {a.act}{f' ({a.note})' if a.note else ''}." for a in one.actions]
    if one.cause:
        parts.append(f"Cause: {one.cause}")
    return " ".join(parts)


def _noticed(one: Incident) -> str:
    return {"alert": "an alert", "user": "a person", "audit": "an audit"}[one.detected_by.by]


class _Plain(str):
    """A scalar that YAML is to read as what it looks like, such as a date."""

    __slots__ = ()


def _yaml(value: Any, depth: int = 0) -> str:
    """Mappings, lists of mappings, texts and numbers as YAML: texts double-quoted as in JSON, the rest in block style."""
    lines = []
    for name, item in value.items():
        head = f"{'  ' * depth}{name}:"
        if isinstance(item, Mapping):
            lines.append(f"{head}\n{_yaml(item, depth + 1)}")
        elif isinstance(item, list):
            lines.append(f"{head}\n{''.join(_item(one, depth) for one in item)}" if item else f"{head} []\n")
        else:
            lines.append(f"{head} {_scalar(item)}\n")
    return "".join(lines)


def _item(value: Mapping[str, Any], depth: int) -> str:
    inner = _yaml(value, depth + 1)
    return f"{'  ' * depth}- {inner[2 * depth + 2 :]}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, _Plain):
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    return str(value)
