"""What a dossier's signature says: an in-toto Statement (github.com/in-toto/attestation, spec/v1) about its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.domain.canonical import canonical
from pilotbase.dsse import strict_json
from pilotbase.errors import UserError
from pilotbase.signing import FINGERPRINT

__all__ = ["ENVELOPE", "PAYLOAD_TYPE", "PREDICATE_TYPE", "RECORD", "TIMESTAMP", "Statement", "predicate", "read", "write"]

RECORD = "record.json"
ENVELOPE = "statement.dsse.json"
TIMESTAMP = "timestamp.tsr"
UNSIGNED = frozenset({ENVELOPE, TIMESTAMP})
"""Files that come after the signature, and so cannot be under it."""

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:pilotbase:dossier:1"
_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`files`: `sha256:...` by name, for all but UNSIGNED. The predicate names the `signer`, so it cannot be taken off."""

    files: Mapping[str, str]
    predicate: Mapping[str, Any]
    signer: str


def predicate(record: Mapping[str, Any], record_digest: str, signer: str) -> dict[str, Any]:
    """What is claimed, drawn from the record alone. An exploratory pass is never sealed as a pass: its verdict is `exploratory`.

    KeyError, TypeError or AttributeError where the record has not the agreed shape.
    """
    verdict, confirmatory = record["result"]["verdict"], record["confirmatory"]
    return {
        "run": record["run"]["id"],
        "made": record["made"],
        "status": record["run"]["status"],
        "verdict": verdict if confirmatory is True or verdict != "pass" else "exploratory",
        "confirmatory": confirmatory,
        "record": record_digest,
        "criteria": record["criteria"]["digest"],
        "data": record["data"]["digest"],
        "candidates": {candidate["id"]: candidate["fingerprint"] for candidate in record["candidates"]},
        "commitments": {name: {"root": entry["root"], "count": entry["count"]} for name, entry in record["commitments"].items()},
        "signer": signer,
    }


def write(files: Mapping[str, str], claimed: Mapping[str, Any]) -> bytes:
    """The statement's payload; `files` are `sha256:...` by name."""
    return canonical(
        {
            "_type": _TYPE,
            "subject": [{"name": name, "digest": {"sha256": files[name].removeprefix("sha256:")}} for name in sorted(files)],
            "predicateType": PREDICATE_TYPE,
            "predicate": dict(claimed),
        }
    )


def read(payload: bytes, payload_type: str) -> Statement:
    """The statement in a payload. UserError where it is of another type or shape."""
    if payload_type != PAYLOAD_TYPE:
        raise UserError(f"the signed payload is of type {payload_type[:80]!r}, not {PAYLOAD_TYPE}", where=ENVELOPE)
    document = strict_json(payload, where=ENVELOPE)
    if not isinstance(document, dict) or set(document) != {"_type", "subject", "predicateType", "predicate"}:
        raise UserError("the signed payload is not an in-toto statement", where=ENVELOPE)
    if document["_type"] != _TYPE or document["predicateType"] != PREDICATE_TYPE:
        raise UserError(
            "the signed statement is not one about a dossier of this version",
            where=ENVELOPE,
            hint="if a newer pilotbase made the dossier, verify it with that version",
        )
    claimed = document["predicate"]
    signer = claimed.get("signer") if isinstance(claimed, dict) else None
    if not isinstance(signer, str) or not FINGERPRINT.fullmatch(signer):
        raise UserError("the signed statement names no signer", where=ENVELOPE)
    return Statement(files=_files(document["subject"]), predicate=claimed, signer=signer)


def _files(subject: object) -> dict[str, str]:
    files: dict[str, str] = {}
    for entry in subject if isinstance(subject, list) else [None]:
        name = entry.get("name") if isinstance(entry, dict) else None
        digest = entry.get("digest") if isinstance(entry, dict) else None
        text = digest.get("sha256") if isinstance(digest, dict) else None
        if not isinstance(name, str) or not isinstance(text, str) or name in files or name in UNSIGNED:
            raise UserError("the signed list of files is garbled", where=ENVELOPE)
        files[name] = f"sha256:{text}"
    return files
