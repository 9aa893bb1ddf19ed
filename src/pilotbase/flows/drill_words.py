"""What a drill that found no alarm says about the plan: which of its words would have raised one."""

from collections.abc import Callable, Iterator, Mapping

from pilotbase.checks.live import LiveCheck, tolerated
from pilotbase.flows.drill_copy import Traffic
from pilotbase.release.drills import Injection

__all__ = ["advice"]

_FITS: Mapping[str, Callable[[LiveCheck], bool]] = {
    "errors": lambda one: one.check.metric == "failure-rate",
    "latency": lambda one: one.limit is not None,
    "quality": lambda one: one.source in ("sample", "label"),
}
"""Which checks look at what is injected."""


def advice(traffic: Traffic, injection: Injection, *, samples: int) -> list[str]:
    """Words of the plan, or of this command, that would help; the most telling first. `samples` are the copy's kept answers."""
    if injection.kind == "drift":
        found = list(_drift(traffic, samples))
    else:
        found = list({"errors": _errors, "latency": _latency, "quality": _quality}[injection.kind](traffic, injection))
        if any(_FITS[injection.kind](one) for one in _deciding(traffic)):
            found += _sooner(traffic)
    return [*found, "--repeat N or --last N: a longer copy, to see whether the alarm only takes longer"]


def _sooner(traffic: Traffic) -> Iterator[str]:
    run, block = traffic.plan.monitor.run_length, traffic.plan.evidence.block
    yield f"monitor: {{run-length: {run}}} in the plan: a shorter one alarms sooner, and falsely so more often"
    yield f"evidence: {{block: {block}}} in the plan: a block is one unit of evidence; shorter ones are more of them"


def _errors(traffic: Traffic, injection: Injection) -> Iterator[str]:
    yield from _of_metric(traffic, injection, "{metric: failure-rate, require: <= 2 %}")
    if traffic.plan.budget is None:
        yield "budget: {failures: 2 %} in the plan: without it no failures burn too fast"


def _latency(traffic: Traffic, injection: Injection) -> Iterator[str]:
    found = [one for one in _deciding(traffic) if _FITS["latency"](one)]
    for one in found:
        yield f"the check {one.id} ({one.check.require}) allows what was injected: {injection.told[0]}"
    if not found:
        yield "checks: [{metric: latency.p95, require: <= 3 s}] in the plan: no mandatory check looks at seconds"


def _quality(traffic: Traffic, injection: Injection) -> Iterator[str]:
    example = "{metric: regex, pattern: ..., live: {sample: 5 %}, require: >= 0.9}"
    yield from _of_metric(traffic, injection, example)
    for one in _deciding(traffic):
        if one.source == "sample" and one.sample < 1.0:
            yield f"live: {{sample: ...}} of {one.id}: it sees {100 * one.sample:g} % of the answers; more tell sooner"


def _of_metric(traffic: Traffic, injection: Injection, example: str) -> Iterator[str]:
    found = [one for one in _deciding(traffic) if _FITS[injection.kind](one)]
    for one in found:
        limit = tolerated(one)
        if limit is not None and injection.share <= limit:
            told = f"tolerates {100 * limit:g} %, and {100 * injection.share:g} % were injected"
            yield f"the check {one.id} ({one.check.require}) {told}"
    if not found:
        yield f"checks: [{example}] in the plan: no mandatory check looks at that"


def _drift(traffic: Traffic, samples: int) -> Iterator[str]:
    declared = traffic.plan.drift
    if declared is not None:
        yield (
            f"drift: {{every: {declared.every}, confidence: {declared.confidence:g}}} in the plan: {samples} kept answers were "
            f"looked at in windows of {declared.every}; the one in which it begins is part old and part new"
        )


def _deciding(traffic: Traffic) -> list[LiveCheck]:
    return [one for one in traffic.checks if one.mandatory and one.check.role == "decide"]
