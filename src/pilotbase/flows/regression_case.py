"""An incident closed: its cases are put into the pilot's data, so that the next trial covers what went wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotbase.context import Context
from pilotbase.data.append import Plan, append_cases, plan_cases, read_cases
from pilotbase.domain.incident import Incident, Regression, check_close, preparing
from pilotbase.domain.pilot import TestData
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.incident import reporter
from pilotbase.flows.incident_facts import prose
from pilotbase.flows.prepare import load_pilot
from pilotbase.release import incidents
from pilotbase.spec.load import Loaded
from pilotbase.store.lock import RunLock

__all__ = ["Closed", "Inputs", "Origin", "close_incident"]

Inputs = Callable[[str], Mapping[str, Any] | None]
"""The inputs of a request by its id, as a sample kept them; None where none was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where regression cases come from: files of cases, or a request with the answer that was due.

    `values` are further columns by name, such as the group, for every case that does not tell them itself.
    """

    pilot: Path
    files: tuple[Path, ...] = ()
    request: str | None = None
    expect: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The incident, the ids of the cases that were added just now, and the data file (None where no case was given)."""

    incident: Incident
    added: tuple[str, ...] = ()
    data: Path | None = None


def close_incident(
    context: Context,
    incident: str,
    origin: Origin | None,
    *,
    who: str,
    by: str | None = None,
    cause: str = "",
    inputs: Inputs | None = None,
) -> Closed:
    """Add the cases to the pilot's data and close the incident. UserError for all that is missing or wrong.

    What will be added is written down first; so the same command, run again after a crash at any step, ends in the same state.
    """
    found = incidents.find(context.database, incident)
    name = reporter(found.kind, by, who)
    cause = prose("cause", cause) if cause else ""
    if origin is None:
        return Closed(incident=incidents.close(context.database, incident, name, _now(context), cause=cause))
    if found.state != "closed":
        check_close(found, cause=cause, cases=("the one given",))
    with RunLock(context.home / "regression-cases.lock", context.disk):
        found = incidents.find(context.database, incident)  # another process may have closed it meanwhile
        loaded, plan = _planned(origin, found.id, inputs)
        regression = _regression(found, loaded, plan)
        if found.state == "closed":
            same = incidents.close(context.database, incident, name, _now(context), regression=regression)
            return Closed(incident=same, data=plan.path)
        incidents.change(context.database, incident, lambda one: preparing(one, regression, cause=cause))
        done = replace(regression, after=append_cases(context.disk, plan))
        ended = incidents.close(context.database, incident, name, _now(context), cause=cause, regression=done)
    return Closed(incident=ended, added=plan.added, data=plan.path)


def _now(context: Context) -> datetime:
    return context.clock.now().astimezone(UTC)


def _regression(incident: Incident, loaded: Loaded, plan: Plan) -> Regression:
    """What is about to be added; `before` is what an earlier try found, where that try came as far as the data."""
    told = Regression(pilot=loaded.pilot.pilot, data=loaded.pilot.data.test.path, cases=plan.ids, before=plan.before)
    earlier = incident.pending
    went_on = (
        earlier is not None and earlier.data == told.data and earlier.pilot == told.pilot and len(plan.added) < len(plan.ids)
    )
    return replace(told, before=earlier.before) if earlier is not None and went_on else told


def _planned(origin: Origin, incident: str, inputs: Inputs | None) -> tuple[Loaded, Plan]:
    """The pilot, and what adding the cases to its data means; nothing is written yet."""
    loaded = load_pilot(origin.pilot)
    _refuse_undeclared(loaded)
    spec = loaded.pilot.data.test
    cases = [{**origin.values, **case} for file in origin.files for case in read_cases(file)]
    if origin.request is not None:
        cases.append({**origin.values, **_of_request(origin.request, origin.expect, spec, inputs)})
    if not cases:
        raise UserError("no case is given", hint="give --case FILE, or --request REQUEST --expect LABEL", status=422)
    return loaded, plan_cases(spec, loaded.folder.absolute(), incident, cases)


def _of_request(request: str, expect: str | None, spec: TestData, inputs: Inputs | None) -> dict[str, Any]:
    found = inputs(request) if inputs is not None else None
    if found is None:
        hint = "a declared sample is kept for a while only; write the case to a file instead: --case FILE"
        raise UserError(f"the inputs of request `{request[:80]}` are not kept here", hint=hint, status=404)
    if spec.target is not None and not (expect or "").strip():
        hint = "say what was due with --expect LABEL"
        raise UserError(f"nothing says how request `{request[:80]}` should have been answered", hint=hint, status=422)
    case = {name: found[name] for name in spec.inputs if name in found}
    if spec.id is not None:
        case[spec.id] = request
    if spec.target is not None:
        case[spec.target] = expect
    return case


def _refuse_undeclared(loaded: Loaded) -> None:
    """A case that no check counts would be buried, not kept. Where the column is declared, loading asks for the check itself."""
    if loaded.pilot.data.test.incident is None:
        lines = [
            "  under data.test:              incident: incident",
            '  under the checks of a gate:   - {metric: regressions, require: "= 0"}',
        ]
        hint = "add what stands above, then run the same command again; cases from incidents enter no other metric"
        raise InvalidInput(f"{loaded.path}: the next trial would not count cases from incidents; it lacks", lines, hint=hint)
