"""A route's document (a YAML or JSON file, or data from elsewhere) to a Route: everything that is wrong with it at once."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotbase import plugins
from pilotbase.detect.aigc_label import check_producer
from pilotbase.domain.canonical import canonical
from pilotbase.domain.problem import Path as At
from pilotbase.domain.problem import Problem, nearest
from pilotbase.domain.traffic import GuardUse, Labels, Route
from pilotbase.errors import InvalidInput, UserError
from pilotbase.ports import GuardKind
from pilotbase.spec.parts import Finding, Parsed, parse
from pilotbase.spec.place import refuse
from pilotbase.spec.whole import placeless, read_mapping, within

__all__ = ["read_route_data", "read_route_file", "route_problems"]

Kinds = Callable[[str], GuardKind]


def _installed(name: str) -> GuardKind:
    kind: GuardKind = plugins.load("guards", name)
    return kind


def read_route_file(path: Path, *, kinds: Kinds = _installed, known: Sequence[str] | None = None) -> Route:
    """The route that a file declares. InvalidInput with every problem and its place; UserError where it cannot be read.

    `kinds` and `known` are the guards that may be used (default: those installed).
    """
    document = read_mapping(path, "the route's file", Route)
    route, findings = _read(document.data, document.raw.get, kinds, known)
    faults = list(document.faults)
    faults += [document.fault(f.problem, key=f.key) for f in findings if not within(f.problem.path, document.lost)]
    if route is None or faults:
        raise refuse(faults, document.file)
    return route


def read_route_data(
    data: Mapping[str, Any], *, name: str = "route", kinds: Kinds = _installed, known: Sequence[str] | None = None
) -> Route:
    """The same for data at hand; problems are told by their path alone, after `name`."""
    try:
        canonical(dict(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"the route is not plain JSON: {error}", where=name, status=422) from None
    route, findings = _read(data, lambda _: None, kinds, known)
    if route is None or findings:
        raise placeless(name, [f.problem for f in findings])
    return route


def route_problems(route: Route, *, kinds: Kinds = _installed, known: Sequence[str] | None = None) -> InvalidInput | None:
    """What is wrong with a route put together in another way than from a document, as one error; None where nothing is."""
    problems = [
        *route.problems(),
        *label_problems(route.labels),
        *(f.problem for f in _guard_findings(route.guards, kinds, known)),
    ]
    return placeless(f"route {route.name}", problems) if problems else None


def _read(
    data: Mapping[str, Any], raw: Callable[[At], str | None], kinds: Kinds, known: Sequence[str] | None
) -> tuple[Route | None, list[Finding]]:
    parsed: Parsed[Route] = parse(Route, data, raw)
    findings = list(parsed.findings)
    if parsed.value is not None:
        own = [*parsed.value.problems(), *label_problems(parsed.value.labels)]
        rules = [Finding(p) for p in own] + _guard_findings(parsed.value.guards, kinds, known)
        findings += [f for f in rules if not within(f.problem.path, parsed.mended)]
    return parsed.value, findings


def label_problems(labels: Labels | None) -> Iterator[Problem]:
    """What is wrong with a route's labels by themselves."""
    if labels is None:
        return
    for message in check_producer(labels.producer):
        hint = "27 characters: 00, 11, the unified social credit code (18), and 5 of your own, such as 00000"
        yield Problem(("labels", "producer"), message, hint)
    words = labels.explicit
    if words is not None and (not words.strip() or len(words) > 200 or not words.isprintable()):
        message = "the words are empty, longer than 200 characters, or hold unprintable ones"
        yield Problem(("labels", "explicit"), message, "as `内容由AI生成`")


def _guard_findings(uses: Sequence[GuardUse], kinds: Kinds, known: Sequence[str] | None) -> list[Finding]:
    """Guards that are not installed, and options that a guard does not take."""
    names = plugins.names("guards") if known is None else known
    findings: list[Finding] = []
    for i, use in enumerate(uses):
        at: At = ("guards", i)
        if use.guard not in names:
            near = nearest(use.guard, names)
            hint = f"known: {', '.join(names) or 'none installed'}" + (f"; did you mean `{near}`?" if near else "")
            findings.append(Finding(Problem((*at, "guard"), f"no guard is called `{use.guard[:60]}`", hint)))
            continue
        options: Parsed[Any] = parse(kinds(use.guard).options, dict(use.options))
        problems = list(options.findings)
        if options.value is not None and hasattr(options.value, "problems"):
            problems += [Finding(p) for p in options.value.problems() if not within(p.path, options.mended)]
        findings += [dataclasses.replace(f, problem=f.problem.under(*at, "options")) for f in problems]
    return findings
