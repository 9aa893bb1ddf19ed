"""What asking each candidate will take, and what keeps its checks open whatever it answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.foresee import Foresight
from pilotbase.domain.pilot import Candidate
from pilotbase.domain.quantity import NANO, Money
from pilotbase.domain.reason import Reason
from pilotbase.flows.prepare import Prepared
from pilotbase.pilots.load import schedule
from pilotbase.pilots.observe import Pricing
from pilotbase.stats import cluster

__all__ = ["blocked_checks", "forecast_candidate"]


def forecast_candidate(
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
        if (reasons := blocked_checks(board, one, candidate, foreseen[one.plan.id], labels))
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


def blocked_checks(
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
    if variant.load is None and not told.n and found.metric.empty is None:
        reasons.append(Reason("no-cases"))
    if told.clusters is not None and told.clusters < cluster.MINIMUM:
        reasons.append(Reason("few-clusters", {"clusters": told.clusters, "minimum": cluster.MINIMUM}))
    reasons += [Reason("small-group", {"group": name, "n": n, "minimum": check.minimum}) for name, n in told.small]
    if told.ungrouped:
        reasons.append(Reason("ungrouped", {"count": told.ungrouped, "column": check.group}))
    return [r.text("en") for r in reasons]
