"""A case in the words of its reader: the bar of stages, figures of rounds, and what is next."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilotbase.console.page import Visit
from pilotbase.domain.admission import STATES, Admission, State
from pilotbase.domain.quantity import parse_require
from pilotbase.dossier.figures import interval, share
from pilotbase.dossier.reading import category
from pilotbase.dossier.words import metric_title
from pilotbase.flows.case_sight import Round
from pilotbase.flows.case_words import PARTY, STATE

__all__ = ["in_short", "rounds_told", "stages", "state_look"]

_BESIDE: frozenset[State] = frozenset(("conditional", "failed", "withdrawn", "retired"))
_MAIN: tuple[State, ...] = tuple(state for state in STATES if state not in _BESIDE)
_STANDS: Mapping[State, State] = {"conditional": "passed", "failed": "passed"}


def state_look(state: str) -> str:
    """The name under which `states` knows how a case's state looks: a run that failed is another thing."""
    return "not passed" if state == "failed" else state


def stages(visit: Visit, case: Admission) -> list[dict[str, str]]:
    """The way from draft to promoted, what of it is done, and where the case is; a state beside the way stands at its end or in
    the place of the state that it came instead of.
    """
    way: list[State] = [case.state if _STANDS.get(case.state) == state else state for state in _MAIN]
    if case.state in ("withdrawn", "retired"):
        way.append(case.state)
    now = way.index(case.state)
    left = case.state == "withdrawn"
    told = []
    for place, state in enumerate(way):
        mark = "now" if place == now else "done" if place < now and not left else ""
        name = STATE[state].text(visit.language)
        if state == "verifying" and case.round:
            name = visit.t("%(name)s (round %(round)s)") % {"name": name, "round": case.round}
        told.append({"state": state, "name": name, "mark": mark})
    return told


def in_short(visit: Visit, case: Admission) -> dict[str, Any]:
    """What a line of a list says of a case."""
    today = visit.context.clock.now().date()
    return {
        "id": case.id,
        "title": case.capability_title,
        "need": case.need_title,
        "look": state_look(case.state),
        "round": case.round,
        "waits": [PARTY[party].text(visit.language) for party in case.waits],
        "due": case.due,
        "overdue": case.overdue(today),
        "created": case.created,
        "entered": case.entered,
    }


def rounds_told(visit: Visit, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Rounds with their figures as texts."""
    return [
        {
            "number": one.number,
            "begun": one.begun,
            "runs": one.runs,
            "decision": state_look(one.decision) if one.decision else "",
            "reviewed": _reviewed(visit, one.reviewed) if one.reviewed is not None else None,
        }
        for one in rounds
    ]


def _reviewed(visit: Visit, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **told,
        "checks": [_check(visit, check) for check in told["checks"]],
        "failures": [(category(kind, visit.language), count) for kind, count in told["failures"].items()],
    }


def _check(visit: Visit, check: Mapping[str, Any]) -> dict[str, Any]:
    threshold: float | None = None
    try:
        require = parse_require(str(check["require"]))
        threshold = require.value if require.op != "in" and isinstance(require.value, float | int) else None
    except ValueError:
        pass
    unit = str(check["unit"] or "")
    return {
        "id": check["id"],
        "title": metric_title(str(check["metric"]), visit.language),
        "require": check["require"],
        "verdict": check["verdict"],
        "value": share(check["value"], threshold, unit),
        "interval": interval(check["low"], check["high"], threshold, unit),
        "n": check["n"],
        "failed": check["failed"],
    }
