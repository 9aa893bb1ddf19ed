"""What a verdict is a function of, beside the answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotbase.checks.plan import PlannedCheck, plan_checks, plan_family
from pilotbase.checks.rows import CaseColumns
from pilotbase.data.encoding import digest_file
from pilotbase.data.files import FileCases
from pilotbase.domain.canonical import digest
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import Family
from pilotbase.spec.load import Loaded

__all__ = ["METHODS", "case_columns", "criteria_document", "plan", "scenario_key"]


# Named in the criteria: a change to any estimator, bound or look schedule raises it.
METHODS = "pilotbase.methods/1"


def criteria_document(loaded: Loaded, cases: FileCases, labels: Mapping[str, Path], *, early_stop: bool) -> dict[str, Any]:
    """All that the verdict is a function of, beside the answers (VERDICT.md section 4). `labels`: where each labels file lies."""
    return {
        "schema": "pilotbase.criteria/1",
        "pilot": loaded.document,
        "packs": dict(loaded.packs),
        "methods": METHODS,
        "seed": loaded.pilot.seed,
        "early_stop": early_stop,
        "data": {"digest": cases.digest, "order": cases.order, "count": cases.count},
        "labels": {path: digest_file(file) for path, file in labels.items()},
    }


def case_columns(cases: FileCases, pilot: Pilot) -> CaseColumns:
    """What the checks know of the cases."""
    positive = canonical_label(pilot.data.test.positive)
    truth = cases.truth
    return CaseColumns(
        count=cases.count,
        ids=cases.ids,
        truth=truth,
        numbers=cases.numbers,
        positive=truth.names.index(positive) if truth is not None and positive is not None else -1,
        groups=cases.groups,
        clusters=cases.clusters,
        incidents=cases.incidents,
    )


def plan(pilot: Pilot, round_: int, *, early_stop: bool) -> tuple[Family, Sequence[PlannedCheck], Sequence[Variant]]:
    """The family, its checks and the variants that they need, in a round."""
    family = plan_family(pilot, round_)
    planned, variants = plan_checks(pilot, family, early_stop=early_stop)
    return family, planned, variants


def scenario_key(pilot: Pilot) -> str:
    """The scenario as rounds are counted on it: its area, field, owner and need, whatever the pilot is called."""
    s = pilot.scenario
    need = s.need if isinstance(s.need, str) else [s.need.en, s.need.zh]
    return digest({"area": s.area, "field": s.field, "owner": s.owner, "need": need})
