"""Entries of the catalogue in words of the reader's language."""

from collections.abc import Callable, Mapping
from typing import Any

from pilotbase.console.page import Visit
from pilotbase.domain.entry import ACCESS_FORMS, DATA_CLASSES, DEPLOYMENTS, Capability, Entry
from pilotbase.domain.scenario import AREAS

__all__ = ["choices", "condition_words", "labels", "lines", "problem_line"]

Words = Callable[[str], str]


def choices(visit: Visit) -> dict[str, list[tuple[str, str]]]:
    """What fields with a list of words offer, as (word, label)."""
    t = visit.t
    told: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "areas": (
            AREAS,
            (
                t("Science and technology"), t("Industry"), t("Consumption"), t("Livelihood"), t("Governance"),
                t("Global cooperation"),
            ),
        ),
        "risks": (("low", "medium", "high"), (t("low"), t("medium"), t("high"))),
        "authorities": (
            ("user-only", "user-authorised", "autonomous"),
            (t("People decide alone"), t("People authorise each act"), t("It acts by itself")),
        ),
        "data": (
            DATA_CLASSES,
            (
                t("Public data"), t("General data"), t("Personal information"), t("Sensitive personal information"),
                t("Important data"), t("Core data"),
            ),
        ),
        "deployments": (DEPLOYMENTS, (t("On premises"), t("Private cloud"), t("Public cloud"), t("Edge device"))),
        "access": (
            ACCESS_FORMS,
            (
                t("not declared"), t("Anybody may fetch it"), t("On application"),
                t("Inside the owner's premises or platform alone"), t("No data are given"),
            ),
        ),
        "states": (("draft", "published", "withdrawn"), (t("draft"), t("published"), t("withdrawn"))),
    }  # fmt: skip
    return {name: list(zip(words, names, strict=True)) for name, (words, names) in told.items()}


def condition_words(visit: Visit) -> Mapping[str, Any]:
    """How conditions of a match are called, and the words in their findings by condition."""
    t, known = visit.t, choices(visit)
    return {
        "area": (t("area"), dict(known["areas"])),
        "data": (t("data class"), dict(known["data"])),
        "deployment": (t("deployment"), dict(known["deployments"])),
        "price": (t("price within the budget"), {}),
        "certificate": (t("certificate"), {}),
    }


def labels(t: Words) -> Mapping[str, str]:
    """The label of each field of an entry."""
    return {
        "organisation": t("Organisation"),
        "title": t("Title"),
        "text": t("Description"),
        "area": t("Area"),
        "areas": t("Areas"),
        "field": t("Field"),
        "tags": t("Tags"),
        "constraints": t("Further constraints"),
        "risk": t("Risk"),
        "authority": t("Who decides"),
        "data": t("Data"),
        "access": t("How applicants get at the data"),
        "deployments": t("Forms of deployment"),
        "budget": t("Budget"),
        "acceptance": t("Acceptance checks"),
        "pack": t("Gate pack"),
        "papers": t("Certificates that are required"),
        "application": t("Application"),
        "price": t("Price"),
        "evidence": t("Evidence"),
        "certificates": t("Certificates"),
    }


def problem_line(t: Words, word: str, message: str, hint: str | None) -> str:
    """One line of what is wrong with a field."""
    told = t("%(field)s: %(message)s") % {"field": labels(t).get(word, word), "message": t(message)}
    return told + (t(" (%(hint)s)") % {"hint": t(hint)} if hint else "")


def lines(entry: Entry | None, **otherwise: str) -> dict[str, Any]:
    """What the fields of a form hold: the entry's, or nothing yet."""
    if entry is None:
        return {"tags": "", "papers": "", "acceptance": "", "evidence": "", "certificates": "", **otherwise}
    found = {"tags": ", ".join(entry.tags)}
    if isinstance(entry, Capability):
        papers = (
            " | ".join((one.name, one.issuer, one.number, one.until.isoformat() if one.until else "")).rstrip(" |")
            for one in entry.certificates
        )
        return {**found, "evidence": "\n".join(entry.evidence), "certificates": "\n".join(papers)}
    return {
        **found,
        "papers": "\n".join(getattr(entry, "papers", ())),
        "acceptance": "\n".join(f"{one.metric} {one.require}" for one in getattr(entry, "acceptance", ())),
    }
