"""A case for a furnished home: under review, with a round, a comment, a file, a register and a due day."""

from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO
from typing import Any

from tests.fakes.admissions import listed

from pilotbase.accounts import organisations
from pilotbase.catalog import cases
from pilotbase.catalog.cases import By
from pilotbase.context import Context
from pilotbase.domain.admission import Admission, Proof
from pilotbase.domain.trial_risk import Register
from pilotbase.flows.case_files import attach
from pilotbase.signing import Key

__all__ = ["furnish_case"]


def furnish_case(context: Context, word: Any, run: str, incident: str) -> str:
    """The id of the case. Its need belongs to the organisation `Base`, whose members are all roles; the steps are put down as
    they are, without the work of a trial.
    """
    database, now = context.database, context.clock.now()
    homes = {name: organisations.create(database, name, who="test", now=now).id for name in ("Base", "Acme")}
    need, offered = listed(context, owner=homes["Base"], vendor=homes["Acme"], title=word("wanted"), capability=word("offered"))
    key, by = Key.load_or_create(context.home), By(who="member:li@base.example", organisation=homes["Base"], party="base")
    made = Admission(
        id="", need=need.id, need_title=need.title, capability=offered.id, capability_title=offered.title,
        vendor=offered.organisation, owner=need.organisation, created=now, entered=now,
    )  # fmt: skip
    found = cases.create(database, made, key, by, now=now)
    proof = Proof(
        digest="sha256:" + "d" * 64, run=run, criteria="sha256:" + "a" * 64, verdict="inconclusive", confirmatory=True,
        verified=True, signed=True, signer=key.key_id, fingerprint="sha256:" + "f" * 64, witnessed=now, began=now,
    )  # fmt: skip
    check = {"id": "capability/accuracy", "metric": "accuracy", "require": ">= 0.9", "verdict": "inconclusive", "value": 0.9,
             "low": 0.85, "high": 0.94, "unit": "", "n": 40, "failed": 1}  # fmt: skip
    reviewed = {"source": run, "dossier": proof.digest, "run": run, "verdict": "inconclusive", "confidence": 0.95,
                "cases": 40, "custody": "held-out", "confirmatory": True, "checks": [check],
                "failures": {"raised": 1, "wrong: yes for no": 3}}  # fmt: skip
    risk = Register(people=20, money="5000 CNY", bearer=word("risk-bearer"), diligence=word("diligence"), misses=(incident,),
                    settlement=word("settled"))  # fmt: skip
    file = attach(context, "plan.txt", 5, BytesIO(b"hello"))
    steps: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("submit", {"contact": word("contact")}, {"state": "submitted", "contact": word("contact"), "submitted": now}),
        ("screen", {"text": word("findings")}, {"state": "screened", "findings": word("findings")}),
        ("match", {}, {"state": "matched", "criteria": proof.criteria, "candidate": "good", "agreed": ("vendor", "owner")}),
        ("register", {}, {"risk": risk, "countersigned": now}),
        (
            "provision",
            {"text": word("given")},
            {"state": "provisioned", "access": "personal", "given": word("given"), "data_day": date(2026, 1, 5)},
        ),
        ("begin", {}, {"state": "verifying", "round": 1, "runs": ((1, run),)}),
        ("review", {"dossier": reviewed}, {"state": "review", "proof": proof}),
        ("comment", {"text": word("comment")}, {}),
        ("file", {"file": file.document()}, {}),
        ("due", {"text": word("due")}, {"due": now.date() - timedelta(days=2), "due_for": word("due")}),
    )  # fmt: skip
    for step, detail, changes in steps:
        after = replace(found.admission, **changes, version=found.admission.version + 1)
        found = cases.change(database, found, after, step, detail, key, by, now=now)
    return found.admission.id
