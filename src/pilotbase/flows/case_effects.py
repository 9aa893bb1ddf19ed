"""What a step of a case brings about elsewhere: signed criteria, events of the need, evidence of the capability."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from pilotbase.catalog import entries
from pilotbase.catalog.cases import By
from pilotbase.context import Context
from pilotbase.domain.admission import Admission, StepName
from pilotbase.domain.entry import Capability
from pilotbase.dossier.countersign import countersign_digest
from pilotbase.flows.witness import keep_witness, witness_of
from pilotbase.pilots.records import find_criteria
from pilotbase.signing import Key

__all__ = ["countersign_criteria", "follow"]

_EVENTS: Mapping[str, str] = {
    "submit": "case.submitted",
    "admit": "case.admitted",
    "provision": "case.provisioned",
    "publish": "case.published",
    "promote": "case.promoted",
}
"""What openness is computed from later, kept with the need."""


def countersign_criteria(context: Context, case: Admission, key: Key, now: datetime) -> dict[str, Any]:
    """The base's signature on the criteria; kept with them too, so that dossiers show it, where nobody witnessed them before."""
    document = countersign_digest(case.criteria, key, now)
    if find_criteria(context.database, case.criteria) and witness_of(context, case.criteria) is None:
        keep_witness(context, orjson.dumps(document))
    return {"criteria": case.criteria, "countersignature": document}


def follow(context: Context, case: Admission, name: StepName, by: By, now: datetime) -> None:
    """Note a milestone with the need, and give a published verdict to the capability, in the caller's transaction."""
    if name in _EVENTS:
        days = (now - case.submitted).total_seconds() / 86_400 if case.submitted is not None else 0.0
        detail: dict[str, Any] = {"case": case.id, "capability": case.capability, "days": round(days, 3)}
        if name == "provision" and case.data_day is not None:
            detail["data"] = case.data_day.isoformat()
        entries.note(context.database, case.need, _EVENTS[name], detail, now=now)
    offered = entries.find(context.database, Capability, case.capability) if name == "publish" else None
    if offered is not None and case.proof is not None:
        evidence = tuple(dict.fromkeys((*offered.evidence, case.proof.digest)))
        offered = entries.change(context.database, replace(offered, evidence=evidence), who=by.who, now=now)
        if offered.state == "draft":
            entries.set_state(context.database, Capability, offered.id, "published", version=offered.version, who=by.who, now=now)
