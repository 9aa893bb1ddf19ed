"""A release plan's document (a YAML or JSON file, or data from elsewhere) to a Plan: everything that is wrong with it at once."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pilotbase.domain.canonical import canonical
from pilotbase.domain.live import live_problems
from pilotbase.domain.problem import Path as At
from pilotbase.domain.problem import Problem
from pilotbase.domain.release import Plan, order_problems
from pilotbase.errors import UserError
from pilotbase.spec.load import plain
from pilotbase.spec.parts import Finding, Parsed, parse
from pilotbase.spec.place import refuse
from pilotbase.spec.whole import placeless, read_mapping, within

__all__ = ["default_plan", "plan_document", "read_plan", "read_plan_data", "read_plan_file"]

MOST_PROBLEMS = 1000  # a hostile file could have as many rules broken as values


def read_plan_file(path: Path) -> Plan:
    """The plan that a file declares. InvalidInput with every problem and its place; UserError where it cannot be read."""
    document = read_mapping(path, "the release plan", Plan)
    plan, findings = _read(document.data, document.raw.get, document.lost)
    faults = [*document.faults, *(document.fault(f.problem, key=f.key) for f in findings)]
    if plan is None or faults:
        raise refuse(faults, document.file)
    return plan


def read_plan_data(data: Mapping[str, Any], *, name: str = "plan") -> Plan:
    """The same for data at hand; problems are told by their path alone, after `name`."""
    plan, findings = _read(_plain(data, name), lambda _: None)
    if plan is None or findings:
        raise placeless(name, [f.problem for f in findings])
    return plan


def default_plan(bearer: str) -> Plan:
    """The plan of a release for which no file is given. InvalidInput where `bearer` names nobody."""
    plan = Plan(bearer=bearer)
    problems = list(plan.problems())
    if problems:
        raise placeless("plan", problems)
    return plan


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON's types, in the words of the file, defaults written out; `read_plan` gives the same plan back."""
    document: dict[str, Any] = plain(plan)
    return document


def read_plan(document: Mapping[str, Any], *, name: str = "plan") -> Plan:
    """A plan that was stored. InvalidInput where it has not a plan's shape.

    Rules are not looked at again: one that came later must not hold up a release that is under way.
    """
    parsed: Parsed[Plan] = parse(Plan, _plain(document, name))
    if parsed.value is None or parsed.findings:
        raise placeless(name, [f.problem for f in parsed.findings])
    return parsed.value


def _plain(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        canonical(dict(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"the release plan is not plain JSON: {error}", where=name, status=422) from None
    return dict(data)


def _read(
    data: Mapping[str, Any], raw: Callable[[At], str | None], lost: frozenset[At] = frozenset()
) -> tuple[Plan | None, list[Finding]]:
    """The plan as far as it parsed, and what is wrong with it; `lost` are paths that the reader could not read."""
    parsed: Parsed[Plan] = parse(Plan, data, raw)
    findings = [f for f in parsed.findings if not within(f.problem.path, lost)]
    if parsed.value is not None:
        unsure = parsed.mended | lost
        findings += [Finding(p) for p in islice(_rules(parsed.value, unsure), MOST_PROBLEMS)]
    return parsed.value, findings


def _rules(plan: Plan, unsure: frozenset[At]) -> Iterator[Problem]:
    """The rules that a plan breaks. What stands in for words that did not parse, at `unsure`, breaks none."""
    own = list(islice(plan.problems(), MOST_PROBLEMS))
    if any(path[:1] == ("rungs",) and (len(path) < 3 or path[2] in ("rung", "share")) for path in unsure):
        ladder = set(order_problems(plan.rungs))
        own = [p for p in own if p not in ladder]
    around = {path[:n] for path in unsure for n in range(1, len(path) + 1)}
    doubtful = {p for p in own if any(at in around or within(at, unsure) for at in (p.path, *_rests(p.path)))}
    yield from (p for p in own if p not in doubtful)
    for i, check in enumerate(plan.checks):
        at: At = ("checks", i)
        if at in around or within(at, unsure):
            continue
        yield from (p.under(*at) for p in live_problems(check))
        if check.load is not None:
            yield Problem((*at, "load"), "a release sets no load: live requests come when they come", "leave `load` out")


def _rests(path: At) -> tuple[At, ...]:
    """Other places that a rule about this one rests on."""
    if path[:1] == ("rungs",) and len(path) > 2:
        return ((*path[:2], "rung"),)
    if path[:1] == ("alerts",) and len(path) > 1:
        return (path[:2],)
    if path[:1] == ("checks",) and path[2:] == ("live", "spend"):
        return ((*path[:2], "judge"),)
    return (("evidence", "block"),) if path == ("evidence", "within") else ()
