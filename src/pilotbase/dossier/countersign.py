"""A second party's signature: on the digest of criteria that was lodged with it, or on a dossier that it verified."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pilotbase.domain.canonical import canonical
from pilotbase.dossier import statement
from pilotbase.dossier.files import open_files
from pilotbase.dossier.packing import put_file
from pilotbase.dsse import KeyedSigner, add_signature, build, parse, read, strict_json, verify
from pilotbase.errors import UserError
from pilotbase.store.disk import Disk

__all__ = ["Witness", "countersign_digest", "countersign_dossier", "read_countersignature", "read_witness", "witness_entry"]

WITNESS_TYPE = "urn:pilotbase:criteria-witness:1"
_WHERE = "countersignature"
PAYLOAD_TYPE = "application/vnd.pilotbase.criteria-witness+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Who says that criteria of this digest existed at this time, by the witness's own clock."""

    key_id: str
    digest: str
    time: datetime


def countersign_digest(digest: str, signer: KeyedSigner, now: datetime) -> dict[str, Any]:
    """A DSSE envelope, as JSON-like data, by which `signer` witnesses that these criteria lay before it at `now` (aware)."""
    if not digest.startswith("sha256:") or len(digest) != 71 or set(digest[7:]) - set("0123456789abcdef"):
        hint = "give what `pilotbase explain PILOT --commit` prints: sha256: and 64 hex digits"
        raise UserError(f"not a digest of criteria: {digest[:80]!r}", hint=hint)
    payload = canonical({"type": WITNESS_TYPE, "digest": digest, "time": now.isoformat()})
    return build(payload, PAYLOAD_TYPE, signer).document()


def read_countersignature(document: object, digest: str | None = None) -> Witness:
    """The witness in an envelope of `countersign_digest`. UserError where its signature fails, or is on another digest."""
    envelope = read(document, where=_WHERE)
    if envelope.payload_type != PAYLOAD_TYPE or len(envelope.signatures) != 1:
        raise UserError("not a countersignature on criteria: another type, or more than one signature", where=_WHERE)
    content = strict_json(envelope.payload, where=_WHERE)
    if not isinstance(content, dict) or set(content) != {"type", "digest", "time"} or content["type"] != WITNESS_TYPE:
        raise UserError("not a countersignature on criteria", where=_WHERE)
    if not all(signed.holds for signed in verify(envelope)):
        raise UserError("the signature does not fit what it is on", where=_WHERE, hint="ask the witness to sign again")
    if digest is not None and content["digest"] != digest:
        raise UserError(f"it is on other criteria: {str(content['digest'])[:80]}, and these are {digest}", where=_WHERE)
    return Witness(key_id=envelope.signatures[0].key_id, digest=str(content["digest"]), time=_time(content["time"]))


def witness_entry(document: Mapping[str, Any], digest: str) -> dict[str, str]:
    """The record's `criteria.witness` (key_id, public_key, signature, time) from a countersignature on `digest`, checked."""
    read_countersignature(document, digest)
    envelope = read(document)
    entry = envelope.signatures[0].entry()
    time = strict_json(envelope.payload)["time"]
    return {"key_id": entry["keyid"], "public_key": entry["public_key"], "signature": entry["sig"], "time": time}


def read_witness(entry: object, digest: str) -> Witness:
    """The witness in a record's `criteria.witness`, its signature on `digest` checked. UserError where it does not hold."""
    if not isinstance(entry, Mapping) or set(entry) != {"key_id", "public_key", "signature", "time"}:
        raise UserError("a witness has exactly the fields key_id, public_key, signature and time", where="witness")
    if not isinstance(entry["time"], str):
        raise UserError("the witness gives no time", where="witness")
    payload = canonical({"type": WITNESS_TYPE, "digest": digest, "time": entry["time"]})
    signature = {"keyid": entry["key_id"], "public_key": entry["public_key"], "sig": entry["signature"]}
    document = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    return read_countersignature(document, digest)


def countersign_dossier(path: Path, signer: KeyedSigner, disk: Disk | None = None) -> None:
    """Add a signature to the envelope of the dossier at `path`, a folder or a zip; the caller has verified it.

    UserError where this key signed it before, where a signature in it does not hold, and where it cannot be written.
    """
    with open_files(path) as files:
        if statement.ENVELOPE not in files.sizes:
            raise UserError(f"not a dossier: it holds no {statement.ENVELOPE}", where=str(path))
        envelope = parse(files.read(statement.ENVELOPE), where=statement.ENVELOPE)
    statement.read(envelope.payload, envelope.payload_type)
    if not all(signed.holds for signed in verify(envelope)):
        hint = "run `pilotbase verify` on it: a changed dossier is not signed"
        raise UserError("a signature in it does not hold", where=str(path), hint=hint)
    put_file(path, statement.ENVELOPE, add_signature(envelope, signer).bytes(), disk)


def _time(text: object) -> datetime:
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise UserError(f"its time is not ISO 8601 with a zone: {str(text)[:40]!r}", where=_WHERE)
    return time
