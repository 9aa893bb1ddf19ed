"""Forms of a case's steps: what each asks for, and what was filled in as the step takes it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pilotbase.console.entry_words import choices
from pilotbase.console.page import Visit
from pilotbase.domain.admission import Admission, StepName
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.trial_risk import Register
from pilotbase.errors import UserError
from pilotbase.flows.case_sight import CaseSight
from pilotbase.flows.run_dossier import dossier_place

__all__ = ["FIELDS", "facts", "options", "version"]

Words = Mapping[str, str]
RUNS, INCIDENTS = 50, 50

FIELDS: Mapping[StepName, tuple[str, ...]] = {
    "submit": ("contact",),
    "screen": ("text",),
    "match": ("criteria", "candidate", "rounds"),
    "revise": ("criteria", "candidate", "text"),
    "register": ("people", "requests", "money", "until", "bearer", "diligence"),
    "provision": ("access", "day", "text"),
    "run": ("run",),
    "review": ("dossier",),
    "condition": ("text", "day"),
    "again": ("text",),
    "withdraw": ("text",),
    "promote": ("dossier",),
    "retire": ("text",),
    "comment": ("text",),
    "due": ("text", "day"),
    "miss": ("incident",),
    "settle": ("text",),
}
"""The fields of each step's form; a step that is not here needs none but the press of its button."""
_REGISTER = ("people", "requests", "money", "until", "bearer", "diligence")


def facts(name: StepName, form: Words) -> Facts:
    """What a form tells. UserError (422) for what is no number and no day."""
    told: dict[str, Any] = {word: form.get(word, "").strip() for word in FIELDS.get(name, ())}
    told.pop("dossier", None)
    for word in ("day", "until"):
        if word in told:
            told[word] = _day(word, told[word])
    for word in ("rounds", "people", "requests"):
        if word in told:
            told[word] = _count(word, told[word])
    if name == "register":
        return Facts(register=Register(**{word: told[word] for word in _REGISTER}))
    return Facts(**told)


def version(form: Words) -> int | None:
    """The version of the case that the member looked at; None for a form that does not depend on it."""
    return _count("version", form.get("version", ""))


def options(visit: Visit, case: Admission, sight: CaseSight) -> dict[str, list[tuple[str, str]]]:
    """What can be chosen in the fields that offer a choice."""
    t, database = visit.t, visit.context.database
    runs = database.rows(
        "SELECT run FROM runs WHERE criteria_digest = ? ORDER BY created DESC, run LIMIT ?", (case.criteria, RUNS)
    )
    sealed = [run for number, run in case.runs if number == case.round and dossier_place(visit.context, run) is not None]
    zips = [line for line in sight.files if line.file is not None and str(line.file["name"]).lower().endswith(".zip")]
    near = database.rows(
        "SELECT id FROM incidents WHERE kind <> 'exercise' ORDER BY detected DESC, id DESC LIMIT ?", (INCIDENTS,)
    )
    return {
        "access": choices(visit)["data"],
        "run": [(row["run"], row["run"]) for row in runs],
        "dossier": [(run, t("Dossier of run %(run)s") % {"run": run}) for run in reversed(sealed)]
        + [(f"file:{line.seq}", str(line.file["name"])) for line in reversed(zips) if line.file is not None],
        "incident": [(row["id"], row["id"]) for row in near],
    }


def _day(word: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{word}: `{text[:40]}` is no day", hint="write it as in 2026-11-30", status=422) from None


def _count(word: str, text: str) -> int | None:
    plain = text.replace(",", "")
    if not plain:
        return None
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 12):
        raise UserError(f"{word}: `{text[:40]}` is no whole number", hint="write digits, as in 500", status=422)
    return int(plain)
