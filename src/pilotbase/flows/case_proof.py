"""What a dossier proves in a case: verified here, with the figures that its parties may read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from pilotbase.catalog.case_records import records
from pilotbase.context import Context
from pilotbase.domain.admission import Admission, Proof
from pilotbase.domain.canonical import digest
from pilotbase.dossier.countersign import countersign_dossier, read_witness
from pilotbase.dossier.verify import Verification
from pilotbase.errors import UserError
from pilotbase.flows.case_files import blobs_of
from pilotbase.flows.comparable import read_comparable
from pilotbase.flows.compare import compare_runs
from pilotbase.flows.run_dossier import dossier_place
from pilotbase.flows.verify import verify_dossier
from pilotbase.signing import Key

__all__ = ["Proven", "aggregates", "attached_file", "prove"]

_FIGURES = ("id", "metric", "require", "verdict", "value", "low", "high", "unit", "n", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A proof, and what a record may tell of the dossier: its verdict by check and its failures by category, and no row."""

    proof: Proof
    told: Mapping[str, Any]


def prove(context: Context, case: Admission, source: str, *, sign: bool, against: str = "") -> Proven:
    """Verify the dossier that `source` names: a run of this home, or `file:SEQ`, a zip that the case's record SEQ attached.

    With `sign` the base's signature is added to an attached one that verifies and has it not yet; the countersigned copy is kept.
    With `against`, another source, both are compared. UserError where there is none, or it is not of the case's candidate.
    """
    with _located(context, case, source) as path:
        found = verify_dossier(context, path)
        key = Key.load_or_create(context.home)
        kept = ""
        if sign and source.startswith("file:") and found.status == "intact-trusted" and not _signed(found, key.key_id):
            countersign_dossier(path, key, context.disk)
            found = verify_dossier(context, path)
            kept = blobs_of(context).put(path.read_bytes())
        if found.record is None or found.status in ("changed", "unreadable"):
            raise UserError(
                "this dossier does not verify", where=source, hint="see what `pilotbase verify` says of it", status=422
            )
        proof = _proof(found, case, key.key_id)
        if against:
            with _located(context, case, against) as other:
                level = float(found.record["result"]["confidence"])
                both = read_comparable(context, str(other)), read_comparable(context, str(path))
                proof = replace(proof, agreement=compare_runs(*both, level).agreement)
        told = {"source": source, "dossier": proof.digest, **aggregates(found.record, case.candidate)}
        return Proven(proof=proof, told={**told, "countersigned_copy": kept} if kept else told)


def attached_file(context: Context, case: str, seq: str) -> Mapping[str, Any]:
    """The file (name, digest, size, media_type) that a record attached. UserError (404) where it attached none."""
    found = next((one for one in records(context.database, case) if str(one.seq) == seq and one.step == "file"), None)
    if found is None:
        raise UserError(f"record {seq[:20]} of this case attaches no file", hint="take a file from the case's page", status=404)
    return dict(found.detail["file"])


def aggregates(record: Mapping[str, Any], candidate: str) -> dict[str, Any]:
    """What vendors read of a dossier: each check's figures, and failures by category. Reasons, examples, groups and inputs are
    left out; where the dossier encloses its data, categories may quote them and are told by their first word alone.
    """
    one = _candidate(record, candidate)
    quotes = record["enclosed"]["data"] is not False
    kinds: Counter[str] = Counter()
    for failure in record.get("failures", {}).get(candidate, ()):
        kind = str(failure["category"])
        kinds[kind.partition(":")[0] if quotes else kind] += int(failure["count"])
    checks = [{word: check.get(word) for word in _FIGURES} for gate in one["gates"] for check in gate["checks"]]
    return {
        "run": str(record["run"]["id"]),
        "verdict": one["verdict"],
        "confirmatory": record["confirmatory"] is True,
        "confidence": record["result"]["confidence"],
        "cases": record["data"]["count"],
        "custody": record["data"]["custody"],
        "checks": checks,
        "failures": dict(kinds.most_common()),
    }


@contextmanager
def _located(context: Context, case: Admission, source: str) -> Iterator[Path]:
    """Where a dossier lies; an attached one is copied for the while."""
    kind, _, seq = source.partition(":")
    if kind != "file":
        place = dossier_place(context, source) if source and "/" not in source and ".." not in source else None
        if place is None:
            hint = f"seal it first: pilotbase dossier {source or 'RUN'}"
            raise UserError(f"there is no dossier of run `{source[:80]}` in this home", hint=hint, status=422)
        yield place
        return
    data = blobs_of(context).get(str(attached_file(context, case.id, seq)["digest"]))
    path = context.scratch() / f"{token_hex(8)}.zip"
    try:
        path.write_bytes(data)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _candidate(record: Mapping[str, Any], candidate: str) -> Mapping[str, Any]:
    found = next((c for c in record["result"]["candidates"] if c["id"] == candidate), None)
    if found is None:
        raise UserError(f"the dossier does not judge `{candidate}`", hint="give the dossier of the agreed pilot", status=422)
    return dict(found)


def _signed(found: Verification, key: str) -> bool:
    return found.signer == key or any(one.fingerprint == key for one in found.countersigners)


def _proof(found: Verification, case: Admission, key: str) -> Proof:
    record = found.record
    assert record is not None, "asked by the caller"
    identity = next((c for c in record["candidates"] if c["id"] == case.candidate), None)
    verdict = _candidate(record, case.candidate)["verdict"]
    return Proof(
        digest=digest(record),
        run=str(record["run"]["id"]),
        criteria=str(record["criteria"]["digest"]),
        verdict=verdict,
        confirmatory=record["confirmatory"] is True,
        verified=found.status == "intact-trusted",
        signed=_signed(found, key),
        signer=found.signer or "",
        fingerprint=str(identity["fingerprint"]) if identity is not None else "",
        witnessed=_witnessed(record, key),
        began=datetime.fromisoformat(str(record["run"]["created"])),
    )


def _witnessed(record: Mapping[str, Any], key: str) -> datetime | None:
    entry = record["criteria"].get("witness")
    if entry is None:
        return None
    witness = read_witness(entry, record["criteria"]["digest"])
    return witness.time if witness.key_id == key else None
