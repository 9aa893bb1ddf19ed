"""From declared checks to planned ones: which scored columns each reads, at what confidence, and when it may look."""

import math
from dataclasses import dataclass, replace

import orjson

from pilotbase.checks import texts
from pilotbase.checks.metric import Metric
from pilotbase.checks.metrics import metric
from pilotbase.domain.gate import Check, Gate
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.quantity import Require
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import Family

__all__ = ["Column", "PlannedCheck", "alpha_share", "plan_checks", "plan_family"]

_PARAMETERS = ("tolerance", "pattern", "expect", "choices", "bound", "match")


@dataclass(frozen=True, slots=True)
class Column:
    """One scored column: a metric with its parameters, on the answers to one variant."""

    metric: str
    parameters: bytes
    variant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCheck:
    """A check, ready to be scored. `anytime` says that it may be looked at on every complete prefix.

    `confidence` is what is left of the declared one after the family's division. `other` is the second column of a paired
    difference: the same
    metric under the transform, or the reference's.
    """

    id: str
    gate: str
    mandatory: bool
    check: Check
    metric: Metric
    require: Require
    confidence: float
    anytime: bool
    column: Column
    other: Column | None = None
    reference: str | None = None


def alpha_share(family: Family, corrected: bool) -> float:
    """The share of alpha left to each check: 1, or 1/K times 6/(pi^2 r^2) in round r (VERDICT.md section 3)."""
    return 6 / (math.pi**2 * family.round**2) / family.candidates if corrected else 1.0


def plan_family(pilot: Pilot, round_: int) -> Family:
    """K judged candidates in round `round_`, and the alpha left."""
    judged = sum(c.role == "candidate" for c in pilot.candidates)
    family = Family(candidates=judged, round=round_, alpha=1 - pilot.level, corrected=pilot.corrected)
    share = alpha_share(family, pilot.corrected)
    return Family(candidates=judged, round=round_, alpha=(1 - pilot.level) * share, corrected=pilot.corrected)


def plan_checks(pilot: Pilot, family: Family, *, early_stop: bool) -> tuple[tuple[PlannedCheck, ...], tuple[Variant, ...]]:
    """Every check in order, and the variants that they need; variant 0 is the plain one."""
    variants: list[Variant] = [Variant(kind="plain")]
    planned: list[PlannedCheck] = []
    taken: set[str] = set()
    share = alpha_share(family, family.corrected)
    for gate in pilot.open_gates:
        for check in gate.checks:
            name = _id(gate, check, taken)
            taken.add(name)
            level = check.confidence if check.confidence is not None else pilot.level
            planned.append(
                _plan(name, gate, check, variants, 1 - (1 - level) * share, early_stop and pilot.data.test.cluster is None)
            )
    return tuple(planned), tuple(variants)


def _id(gate: Gate, check: Check, taken: set[str]) -> str:
    if check.id and check.id not in taken:
        return check.id
    view = check.view
    base = check.id or f"{gate.gate}/{check.metric}" + (f"[{view[0]} {view[1]}]" if view else "")
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base}#{n}"
    return name


def _plan(name: str, gate: Gate, check: Check, variants: list[Variant], confidence: float, anytime: bool) -> PlannedCheck:
    row = metric(check.metric)
    column = Column(check.metric, _parameters(check, row), _variant(variants, _base(check, row)))
    other = None
    if check.drop_under is not None:
        other = Column(check.metric, column.parameters, _variant(variants, Variant(kind="transform", transform=check.drop_under)))
    elif check.compare_to is not None:
        other = column
    bounded = row.kind in ("proportion", "mean") or (row.kind == "loss" and check.bound is not None)
    return PlannedCheck(
        id=name,
        gate=gate.gate,
        mandatory=gate.mandatory,
        check=check,
        metric=row,
        require=check.required,
        confidence=confidence,
        anytime=anytime and bounded and (row.looks == "any" or check.bound is not None),
        column=column,
        other=other,
        reference=check.compare_to,
    )


def _parameters(check: Check, row: Metric) -> bytes:
    """All of a check that its scores depend on: checks that agree in it share a column."""
    judge = check.judge
    shown: dict[str, object] = {p: v for p in _PARAMETERS if (v := getattr(check, p)) not in (None, ())}
    if row.kind == "members":
        shown["members"] = check.required.members
    if row.worst is texts.worst and texts.unwanted(check):
        shown["unwanted"] = True
    if judge is not None:
        shown["judge"] = [judge.url, judge.model, judge.rubric, judge.version]
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)


def _base(check: Check, row: Metric) -> Variant:
    if check.load is not None and "load" in row.needs:
        return Variant(kind="load", load=check.load)
    if "repeat" in row.needs:
        return Variant(kind="repeat", repetitions=check.repeat)
    if check.judge is not None:
        return Variant(kind="judge", judge=replace(check.judge, price=None))  # its price changes no judgement
    return Variant(kind="plain")


def _variant(variants: list[Variant], wanted: Variant) -> int:
    if wanted in variants:
        return variants.index(wanted)
    variants.append(wanted)
    return len(variants) - 1
