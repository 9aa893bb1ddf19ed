"""Incidents in words of the reader's language."""

from typing import Any

from pilotbase.console.page import Visit
from pilotbase.domain.incident import ACTIONS, KINDS, STATES, Incident
from pilotbase.domain.severity import SEVERITIES

__all__ = ["affected", "choices", "close_command", "in_short", "what"]


def choices(visit: Visit) -> dict[str, Any]:
    """Names of kinds, states, severities and actions in the reader's language."""
    t, zh = visit.t, visit.language == "zh"
    kinds = (t("hazard"), t("near miss"), t("incident"), t("exercise"))
    states = (t("open"), t("contained"), t("resolved"), t("closed"))
    actions = (t("rolled back"), t("throttled"), t("switched off"), t("taken over by people"), t("something else"))
    return {
        "kinds": list(zip(KINDS, kinds, strict=True)),
        "states": list(zip(STATES, states, strict=True)),
        "actions": list(zip(ACTIONS, actions, strict=True)),
        "severities": [(str(level), f"{level} {name.zh if zh else name.en}") for level, name in SEVERITIES.items()],
    }


def in_short(one: Incident, visit: Visit) -> dict[str, Any]:
    """What a line of the list says of it."""
    names = choices(visit)
    level = SEVERITIES[one.severity]
    return {
        "id": one.id,
        "title": one.title.text(visit.language),
        "kind": dict(names["kinds"])[one.kind],
        "severity": f"{one.severity} {level.text(visit.language)}",
        "state": one.state,
        "route": one.route,
        "detected": one.detected,
    }


def affected(one: Incident, visit: Visit) -> str:
    """How many requests and people it met, and which group."""
    counts = ((visit.t("%(count)s requests"), one.affected.requests), (visit.t("%(count)s people"), one.affected.people))
    told = [text % {"count": f"{number:,}"} for text, number in counts if number is not None]
    return ", ".join(filter(None, [*told, one.affected.group]))


def what(text: str, visit: Visit) -> str:
    """A line of the history in the reader's language: a word, and behind a colon what it is about."""
    word, _, rest = text.partition(": ")
    t = visit.t
    words = {
        "opened": t("opened"), "contained": t("contained"), "resolved": t("resolved"), "closed": t("closed"),
        "told": t("told more"),
    }  # fmt: skip
    rest = dict(choices(visit)["actions"]).get(rest, rest)
    return f"{words.get(word, word)}{': ' + rest if rest else ''}"


def close_command(one: Incident) -> str:
    """What closes it on the server, where the pilot's data are; empty where a person does it here, or it is closed."""
    if one.state != "resolved" or one.kind == "exercise":
        return ""
    case = f"--request {one.first_bad.request} --expect LABEL" if one.first_bad.request else "--case FILE"
    return f"pilotbase incident close {one.id} --pilot PILOT {case}{'' if one.cause else ' --cause TEXT'}"
