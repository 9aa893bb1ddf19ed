"""`pilotbase explain`: what a pilot would ask, what could decide each check, what it would cost. Pure data; nothing is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilotbase.checks.foresee import Foresight
from pilotbase.checks.plan import PlannedCheck, alpha_share
from pilotbase.context import Context
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.scenario import Titles
from pilotbase.domain.verdict import Family
from pilotbase.flows.criteria import plan, scenario_key
from pilotbase.flows.evidence import make_boards
from pilotbase.flows.forecast import forecast_candidate
from pilotbase.flows.foreseen import check_facts, count_labels, foresee_check
from pilotbase.flows.prepare import Prepared, load_pilot, prepare
from pilotbase.pilots.records import next_round, record_criteria, unfinished_run
from pilotbase.spec.load import Loaded
from pilotbase.stats import cluster

__all__ = ["explain_loaded", "explain_pilot"]

SCHEMA = "pilotbase.explain/1"


def explain_pilot(context: Context, path: Path, *, early_stop: bool, commit: bool) -> dict[str, Any]:
    """The facts of a pilot as plain data. `commit` writes its criteria down in the home; `recorded` is then the moment of that.

    Raises UserError where the pilot, its data or a candidate's files are wrong.
    """
    return explain_loaded(context, load_pilot(path), early_stop=early_stop, commit=commit)


def explain_loaded(context: Context, loaded: Loaded, *, early_stop: bool, commit: bool) -> dict[str, Any]:
    """The same for a pilot that was read."""
    prepared = prepare(context, loaded, context.scratch(), early_stop=early_stop)
    try:
        recorded = (
            record_criteria(context.database, prepared.criteria_digest, prepared.criteria, context.stamp()) if commit else None
        )
        round_ = next_round(context.database, scenario_key(prepared.pilot), prepared.cases.digest)
        unfinished = unfinished_run(context.database, prepared.pilot.pilot)
        return _facts(prepared, round_) | {"recorded": recorded, "unfinished": unfinished.run if unfinished else None}
    finally:
        prepared.cases.close()


def _facts(prepared: Prepared, round_: int) -> dict[str, Any]:
    pilot = prepared.pilot
    family, planned, variants = plan(pilot, round_, early_stop=prepared.early_stop)
    boards = make_boards(pilot, planned, variants, prepared.columns)
    labels = count_labels(variants, prepared.loaded.folder)
    board = next(boards[c.id] for c in pilot.candidates if c.role == "candidate")
    foreseen = {one.plan.id: foresee_check(board, one, labels) for one in board.tracked}
    candidates = [forecast_candidate(prepared, boards[c.id], c, foreseen, labels) for c in pilot.candidates]
    return {
        "schema": SCHEMA,
        "pilot": pilot.pilot,
        "title": pilot.name(),
        "scenario": _scenario(pilot),
        "data": _data(prepared),
        "early_stop": prepared.early_stop,
        "family": _family(pilot, family, planned),
        "candidates": candidates,
        "checks": [check_facts(board, one, foreseen[one.plan.id], labels) for one in board.tracked],
        "calls": {
            "most": sum(c["calls"]["most"] for c in candidates),
            "expected": sum(c["calls"]["expected"] for c in candidates),
        },
        "limits": {
            "calls": pilot.limits.calls,
            "spend": pilot.limits.spend,
            "time": pilot.limits.time,
            "seconds": pilot.limits.seconds,
        },
        "spent_round": _spent_round(prepared, round_, foreseen, labels),
        "criteria": prepared.criteria_digest,
    }


def _scenario(pilot: Pilot) -> dict[str, Any]:
    s = pilot.scenario
    need = s.need.text("en") if isinstance(s.need, Titles) else s.need
    return {"area": s.area, "field": s.field, "owner": s.owner, "need": need, "risk": s.risk, "authority": s.authority}


def _data(prepared: Prepared) -> dict[str, Any]:
    cases, columns, test = prepared.cases, prepared.columns, prepared.pilot.data.test
    ordinary = columns.ordinary
    found: dict[str, Any] = {
        "file": cases.path.name,
        "digest": cases.digest,
        "count": cases.count,
        "inputs": list(test.inputs),
        "target": test.target,
        "positive": prepared.positive,
        "classes": _counted(cases.truth.codes[ordinary], cases.truth.names) if cases.truth is not None else {},
        "groups": {name: _counted(coded.codes, coded.names) for name, coded in cases.groups.items()},
        "ungrouped": {name: int((coded.codes[ordinary] < 0).sum()) for name, coded in cases.groups.items()},
        "clusters": columns.cluster_count,
        "least_clusters": cluster.MINIMUM,
        "cluster": test.cluster,
        "incident": test.incident,
        "regressions": columns.regressions,
        "repairs": list(cases.repairs),
        "custody": test.custody,
        "order": cases.order,
        "seed": prepared.pilot.seed,
    }
    return found


def _counted(codes: np.ndarray[Any, Any], names: Sequence[str]) -> dict[str, int]:
    return {name: int((codes == code).sum()) for code, name in enumerate(names)}


def _family(pilot: Pilot, family: Family, planned: Sequence[PlannedCheck]) -> dict[str, Any]:
    deciding = [p for p in planned if p.mandatory and p.check.role == "decide"]
    return {
        "confidence": pilot.level,
        "candidates": family.candidates,
        "round": family.round,
        "alpha": family.alpha,
        "share": alpha_share(family, family.corrected),
        "corrected": family.corrected,
        "deciding": len(deciding),
        "false_fail": min(1.0, sum(1 - p.confidence for p in deciding)),
        "false_pass_any": min(1.0, family.alpha * family.candidates) if not family.corrected else None,
    }


def _spent_round(
    prepared: Prepared, round_: int, foreseen: Mapping[str, Foresight], labels: Mapping[int, tuple[int, int]]
) -> list[str]:
    """The deciding checks that no answers can pass in this round, though some could in the first: alpha is spent on this data."""
    if round_ == 1 or not prepared.pilot.corrected:
        return []
    _, planned, variants = plan(prepared.pilot, 1, early_stop=prepared.early_stop)
    boards = make_boards(prepared.pilot, planned, variants, prepared.columns)
    board = next(boards[c.id] for c in prepared.pilot.candidates if c.role == "candidate")
    stuck = [
        one
        for one in board.tracked
        if one.plan.mandatory and one.plan.check.role == "decide" and foreseen[one.plan.id].best is False
    ]
    return [one.plan.id for one in stuck if foresee_check(board, one, labels).best]
