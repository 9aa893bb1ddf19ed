"""What a person tells about an incident, checked and put into the words of the record."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotbase.domain.incident import Incident, Technique
from pilotbase.domain.scenario import Titles
from pilotbase.domain.severity import SEVERITIES
from pilotbase.errors import UserError
from pilotbase.flows.operator import said

__all__ = ["Facts", "fields_of", "prose"]

_TECHNIQUE = re.compile(r"(AML\.TA\d{4})/(AML\.T\d{4}(?:\.\d{3})?)(?:=(.+))?")
_LONGEST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an incident, as it is told; None and empty where nothing is said."""

    severity: int | None = None
    title: str | None = None
    title_zh: str | None = None
    summary: str | None = None
    summary_zh: str | None = None
    requests: int | None = None
    people: int | None = None
    group: str | None = None
    harms: Sequence[str] = ()
    techniques: Sequence[str] = ()


def fields_of(incident: Incident, facts: Facts) -> dict[str, Any]:
    """The incident's fields that the facts change."""
    found: dict[str, Any] = {}
    if facts.severity is not None:
        if facts.severity not in SEVERITIES:
            levels = ", ".join(f"{level} {names.en} ({names.zh})" for level, names in SEVERITIES.items())
            raise UserError(f"severity {facts.severity} is none of the four levels", hint=f"use {levels}", status=422)
        found["severity"] = facts.severity
    if facts.title is not None or facts.title_zh is not None:
        # The made-up title stands for none: it does not stay beside a real one.
        before = Titles() if incident.title.en == f"{incident.kind} on route {incident.route}" else incident.title
        found["title"] = _titles(before, "title", facts.title, facts.title_zh, said)
    if facts.summary is not None or facts.summary_zh is not None:
        found["summary"] = _titles(incident.summary, "summary", facts.summary, facts.summary_zh, prose)
    changed: dict[str, Any] = {word: getattr(facts, word) for word in ("requests", "people") if getattr(facts, word) is not None}
    if any(number < 0 for number in changed.values()):
        raise UserError("a count is below zero", hint="count the requests and people that were affected", status=422)
    if facts.group is not None:
        changed["group"] = said("group", facts.group)
    if changed:
        found["affected"] = replace(incident.affected, **changed)
    if facts.harms:
        found["harms"] = tuple(dict.fromkeys([*incident.harms, *(said("harm", one) for one in facts.harms)]))
    if facts.techniques:
        found["techniques"] = tuple(dict.fromkeys([*incident.techniques, *map(_technique, facts.techniques)]))
    return found


def _titles(before: Titles, word: str, en: str | None, zh: str | None, check: Any) -> Titles:
    return Titles(
        en=check(word, en) if en is not None else before.en, zh=check(f"{word}-zh", zh) if zh is not None else before.zh
    )


def _technique(text: str) -> Technique:
    match = _TECHNIQUE.fullmatch(said("technique", text))
    if match is None:
        hint = (
            "write TACTIC/TECHNIQUE=WHAT HAPPENED with the ids of MITRE ATLAS, as in AML.TA0011/AML.T0029=flooded with requests"
        )
        raise UserError(f"`{text[:60]}` names no technique", hint=hint, status=422)
    return Technique(tactic=match[1], technique=match[2], note=(match[3] or "").strip())


def prose(word: str, text: str) -> str:
    """A text for the record, of one or several lines. UserError where it is empty, too long or not printable."""
    found = text.strip()
    if 1 <= len(found) <= _LONGEST and found.replace("\n", "").replace("\t", "").isprintable():
        return found
    hint = "shorten it, or leave the unusual characters out"
    raise UserError(f"`{word}` is 1 to {_LONGEST} printable characters, found {found[:40]!r}", hint=hint, status=422)
