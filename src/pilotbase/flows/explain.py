"""`pilotbase explain`: what a pilot would ask, what could decide each check, what it would cost. Pure data; nothing is called."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.foresee import CHANCE, Foresight, foresee, foresee_judged, foresee_load
from pilotbase.checks.plan import PlannedCheck, alpha_share
from pilotbase.checks.transforms import TRANSFORMS
from pilotbase.context import Context
from pilotbase.domain.pilot import Candidate, Pilot
from pilotbase.domain.quantity import NANO, Money
from pilotbase.domain.reason import Reason
from pilotbase.domain.scenario import Titles
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import Family
from pilotbase.flows.evidence import make_boards
from pilotbase.flows.judging import labels_of
from pilotbase.flows.prepare import Prepared, load_pilot, plan, prepare, scenario_key
from pilotbase.pilots.load import schedule
from pilotbase.pilots.observe import Pricing
from pilotbase.pilots.records import next_round, record_criteria, unfinished_run
from pilotbase.stats import cluster

__all__ = ["explain_pilot"]

SCHEMA = "pilotbase.explain/1"


def explain_pilot(context: Context, path: Path, *, early_stop: bool, commit: bool) -> dict[str, Any]:
    """The facts of a pilot as plain data. `commit` writes its criteria down in the home; `recorded` is then the moment of that.

    Raises UserError where the pilot, its data or a candidate's files are wrong.
    """
    prepared = prepare(context, load_pilot(path), context.scratch(), early_stop=early_stop)
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
    labels = _labels(variants, prepared.loaded.folder)
    board = next(boards[c.id] for c in pilot.candidates if c.role == "candidate")
    foreseen = {one.plan.id: _foresee(board, one, labels) for one in board.tracked}
    candidates = [_candidate(prepared, boards[c.id], c, foreseen, labels) for c in pilot.candidates]
    return {
        "schema": SCHEMA,
        "pilot": pilot.pilot,
        "title": pilot.name(),
        "scenario": _scenario(pilot),
        "data": _data(prepared),
        "early_stop": prepared.early_stop,
        "family": _family(pilot, family, planned),
        "candidates": candidates,
        "checks": [_check(board, one, foreseen[one.plan.id], labels) for one in board.tracked],
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
    cases, test = prepared.cases, prepared.pilot.data.test
    found: dict[str, Any] = {
        "file": cases.path.name,
        "digest": cases.digest,
        "count": cases.count,
        "inputs": list(test.inputs),
        "target": test.target,
        "positive": prepared.positive,
        "classes": _counted(cases.truth.codes, cases.truth.names) if cases.truth is not None else {},
        "groups": {name: _counted(coded.codes, coded.names) for name, coded in cases.groups.items()},
        "ungrouped": {name: int((coded.codes < 0).sum()) for name, coded in cases.groups.items()},
        "clusters": len(cases.clusters.names) if cases.clusters is not None else None,
        "least_clusters": cluster.MINIMUM,
        "cluster": test.cluster,
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


def _labels(variants: Sequence[Variant], folder: Path) -> dict[int, tuple[int, int]]:
    """How many answers people labelled (yes, no), by judged variant."""
    found: dict[int, tuple[int, int]] = {}
    for index, rows in labels_of(variants, folder).items():
        yes = rows.count("yes")
        found[index] = (yes, len(rows) - yes)
    return found


def _foresee(board: Board, one: Tracked, labels: Mapping[int, tuple[int, int]]) -> Foresight:
    variant = board.variants[one.plan.column.variant]
    if variant.kind == "load":
        return foresee_load(one.plan, variant)
    if one.plan.metric.kind == "judged":
        return foresee_judged(one.plan, len(one.need), *labels.get(one.plan.column.variant, (0, 0)))
    return foresee(board, one)


def _check(board: Board, one: Tracked, told: Foresight, labels: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    found, check = one.plan, one.plan.check
    variant = board.variants[found.column.variant]
    transform = check.drop_under
    return asdict(told) | {
        "id": found.id,
        "gate": found.gate,
        "mandatory": found.mandatory,
        "role": check.role,
        "metric": check.metric,
        "title": found.metric.title[0],
        "kind": found.metric.kind,
        "denominator": found.metric.denominator.__name__ if found.metric.denominator else "",
        "view": list(check.view) if check.view else None,
        "transform": TRANSFORMS[transform.transform].describe(*transform.strength) if transform else None,
        "load": str(variant.load) if variant.load else None,
        "repeat": variant.repetitions if variant.kind == "repeat" else None,
        "judge": {
            "model": variant.judge.model,
            "labels": list(labels[found.column.variant]) if found.column.variant in labels else None,
        }
        if variant.judge
        else None,
        "require": str(found.require),
        "op": found.require.op,
        "threshold": found.require.value,
        "confidence": found.confidence,
        "looks": "any" if found.anytime else "once",
        "minimum": check.minimum,
        "chance": CHANCE,
    }


def _candidate(
    prepared: Prepared,
    board: Board,
    candidate: Candidate,
    foreseen: Mapping[str, Foresight],
    labels: Mapping[int, tuple[int, int]],
) -> dict[str, Any]:
    print_ = prepared.fingerprints[candidate.id]
    calls = _calls(board, candidate, foreseen, labels, prepared.pilot.seed)
    blocked = {
        one.plan.id: reasons
        for one in board.tracked
        if (reasons := _blocked(board, one, candidate, foreseen[one.plan.id], labels))
    }
    return {
        "id": candidate.id,
        "role": candidate.role,
        "title": candidate.title,
        "kind": candidate.target.kind,
        "fingerprint": print_.digest,
        "self_declared": print_.self_declared,
        "calls": {"most": sum(c["most"] for c in calls), "expected": sum(c["expected"] for c in calls)},
        "asks": calls,
        "cost": _cost(candidate, calls),
        "inconclusive": blocked if candidate.role == "candidate" else {},
    }


def _calls(
    board: Board, candidate: Candidate, foreseen: Mapping[str, Foresight], labels: Mapping[int, tuple[int, int]], seed: int
) -> list[dict[str, Any]]:
    """Calls by variant, retries apart; a judge's are its own and not the candidate's."""
    found: list[dict[str, Any]] = []
    count = board.cases.count
    for index, variant in enumerate(board.variants):
        if variant.load is not None:
            most = len(schedule(variant.load, seed, str(index))) if candidate.role == "candidate" else 0
            found.append(
                {"variant": str(variant), "of": "candidate", "most": most, "expected": most, "seconds": variant.load.seconds}
            )
            continue
        wanted, likely = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        for one in board.tracked:
            if index in board.reads(one.plan):
                wanted[one.need] = True
                likely[one.need[: foreseen[one.plan.id].expected if candidate.role == "candidate" else count]] = True
        times = variant.repetitions if variant.kind == "repeat" else 1
        extra = sum(labels.get(index, (0, 0)))
        most, expected = (int(np.count_nonzero(mask)) * times + extra for mask in (wanted, likely))
        who = "judge" if variant.kind == "judge" else "candidate"
        found.append({"variant": str(variant), "of": who, "most": most, "expected": expected, "seconds": None})
    return [c for c in found if c["most"]]


def _cost(candidate: Candidate, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the declared price comes to; `tokens` where a part of it hangs on tokens, which nobody knows yet. None: no price."""
    price = Pricing(candidate.price)
    if not price.known or price.currency is None:
        return None
    own = [c for c in calls if c["of"] == "candidate"]
    most, expected = (sum(c[key] for c in own) * price.call for key in ("most", "expected"))
    return {
        "most": str(Money(most, price.currency)),
        "expected": str(Money(expected, price.currency)),
        "per_call": price.call / NANO,
        "tokens": bool(price.read or price.wrote),
    }


def _blocked(
    board: Board, one: Tracked, candidate: Candidate, told: Foresight, labels: Mapping[int, tuple[int, int]]
) -> list[str]:
    """Why a check must end INCONCLUSIVE whatever the answers are, in words."""
    found, check = one.plan, one.plan.check
    variant = board.variants[found.column.variant]
    price = Pricing(candidate.price)
    reasons: list[Reason] = []
    if found.reference == candidate.id:
        reasons.append(Reason("reference-itself"))
    if "price" in found.metric.needs and price.currency is None:
        reasons.append(Reason("no-price"))
    elif found.metric.unit == "money" and found.require.unit.upper() != price.currency:
        reasons.append(Reason("currency", {"found": price.currency, "wanted": found.require.unit.upper()}))
    if variant.judge is not None and found.column.variant not in labels:
        reasons.append(Reason("judge-uncalibrated"))
    if variant.load is not None and candidate.target.kind == "recorded":
        reasons.append(Reason("load-missing", {"why": "recorded answers cannot be put under load"}))
    if variant.load is None and not told.n:
        reasons.append(Reason("no-cases"))
    if told.clusters is not None and told.clusters < cluster.MINIMUM:
        reasons.append(Reason("few-clusters", {"clusters": told.clusters, "minimum": cluster.MINIMUM}))
    reasons += [Reason("small-group", {"group": name, "n": n, "minimum": check.minimum}) for name, n in told.small]
    if told.ungrouped:
        reasons.append(Reason("ungrouped", {"count": told.ungrouped, "column": check.group}))
    return [r.text("en") for r in reasons]


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
    return [one.plan.id for one in stuck if _foresee(board, one, labels).best]
