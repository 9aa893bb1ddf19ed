"""What was done to a case: records signed by the base, each naming the digest of the one before it, in a DSSE envelope.

A record's payload is canonical JSON: `type`, `case`, `seq` (from 1), `previous` (digest of the payload before, `GENESIS` for the
first), `at`, `who`, `organisation`, `party`, `step`, `from`, `to`, `detail`. A changed, removed, inserted or reordered record is
found; that the newest ones were cut off is found against the count and the digest that the case keeps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from pilotbase.domain.canonical import canonical, digest_bytes
from pilotbase.dsse import Envelope, KeyedSigner, build, read, strict_json, verify
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database

__all__ = ["GENESIS", "Record", "Report", "append", "envelopes", "exported", "read_export", "records", "verify_records"]

GENESIS: Final = "sha256:" + "0" * 64
PAYLOAD_TYPE: Final = "application/vnd.pilotbase.case-record+json"
SCHEMA: Final = "pilotbase.case/1"
_TYPE: Final = "urn:pilotbase:case-record:1"
_FIELDS: Final = {"type", "case", "seq", "previous", "at", "who", "organisation", "party", "step", "from", "to", "detail"}
MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One step. `digest` is that of the payload, which the next record names; `envelope` is as it is stored."""

    case: str
    seq: int
    previous: str
    at: datetime
    who: str
    organisation: str
    party: str
    step: str
    before: str
    after: str
    detail: Mapping[str, Any]
    digest: str
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What verification found. `broken` is the place of the first wrong record, None where all fit."""

    case: str
    records: int
    signers: tuple[str, ...] = ()
    broken: int | None = None
    why: str = ""
    head: str = GENESIS


def append(
    database: Database,
    signer: KeyedSigner,
    *,
    case: str,
    seq: int,
    previous: str,
    who: str,
    organisation: str,
    party: str,
    step: str,
    before: str,
    after: str,
    detail: Mapping[str, Any],
    at: datetime,
) -> str:
    """Sign a record and keep it, in the caller's transaction; its digest. TypeError for a detail that is no JSON."""
    payload = canonical(
        {
            "type": _TYPE,
            "case": case,
            "seq": seq,
            "previous": previous,
            "at": stamp(at),
            "who": who,
            "organisation": organisation,
            "party": party,
            "step": step,
            "from": before,
            "to": after,
            "detail": dict(detail),
        }
    )
    text = orjson.dumps(build(payload, PAYLOAD_TYPE, signer).document()).decode()
    database.execute("INSERT INTO case_records (admission, seq, envelope) VALUES (?, ?, ?)", (case, seq, text))
    return digest_bytes(payload)


def envelopes(database: Database, case: str) -> list[Any]:
    """The envelopes of a case as JSON-like data, in order."""
    rows = database.rows("SELECT envelope FROM case_records WHERE admission = ? ORDER BY seq LIMIT ?", (case, MOST))
    return [orjson.loads(row["envelope"]) for row in rows]


def records(database: Database, case: str) -> list[Record]:
    """The records of a case as they stand, the oldest first; whether they hold is `verify_records`' to say."""
    return [_record(document, number) for number, document in enumerate(envelopes(database, case), 1)]


def verify_records(documents: Iterable[Any], *, case: str, count: int | None = None, head: str | None = None) -> Report:
    """Read a case's envelopes in order, and check signatures, places, and the chain; never raises for what they hold.

    `count` and `head` are how many there must be, and the digest of the newest, where that is known. Whether to trust the
    signers (fingerprints) is the caller's question.
    """
    previous, number, signers = GENESIS, 0, dict[str, None]()

    def broken(why: str) -> Report:
        return Report(case=case, records=number, signers=tuple(signers), broken=number + 1, why=why, head=previous)

    for document in documents:
        try:
            found = _record(document, number + 1)
        except UserError as error:
            return broken(error.message)
        signed = verify(found.envelope)
        if not all(one.holds for one in signed):
            return broken("its signature does not hold: it was changed since it was signed")
        if (found.case, found.seq) != (case, number + 1):
            return broken(f"it is record {found.seq} of case {found.case[:80]}, not record {number + 1} of {case}")
        if found.previous != previous:
            return broken("it does not follow the record before it: one was removed, put in or exchanged")
        signers |= dict.fromkeys(one.key_id for one in signed)
        previous, number = found.digest, number + 1
    if (count is not None and count != number) or (head is not None and head != previous):
        return broken(f"the record was cut or written anew: the case counts {count} records, and here are {number}")
    return Report(case=case, records=number, signers=tuple(signers), head=previous)


def exported(case: str, documents: Sequence[Any], public_key: str) -> dict[str, Any]:
    """A case's records for another party, who checks them offline; `public_key` is a line as `key export` prints it."""
    return {"schema": SCHEMA, "case": case, "public_key": public_key, "records": list(documents)}


def read_export(data: bytes, where: str) -> tuple[str, list[Any]]:
    """(case, envelopes) from the bytes of an export. UserError for anything else."""
    hint = "give the file that `pilotbase case export` wrote"
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UserError(f"not readable as JSON: {error}", where=where, hint=hint) from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA or not isinstance(told.get("records"), list):
        raise UserError(f"not an export of a case: its schema is not {SCHEMA}", where=where, hint=hint)
    if not isinstance(told.get("case"), str):
        raise UserError("not an export of a case: it names none", where=where, hint=hint)
    return told["case"], told["records"]


def _record(document: Any, number: int) -> Record:
    where = f"record {number}"
    envelope = read(document, where=where)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise UserError("it is signed as something else than a record of a case", where=where)
    told = strict_json(envelope.payload, where=where)
    if not isinstance(told, dict) or set(told) != _FIELDS or told["type"] != _TYPE:
        raise UserError("it has not the shape of a record", where=where)
    texts = ("case", "previous", "at", "who", "organisation", "party", "step", "from", "to")
    if type(told["seq"]) is not int or not isinstance(told["detail"], dict) or not all(isinstance(told[w], str) for w in texts):
        raise UserError("it has not the shape of a record", where=where)
    try:
        at = datetime.fromisoformat(told["at"])
    except ValueError:
        raise UserError("its time is none", where=where) from None
    return Record(
        case=told["case"],
        seq=told["seq"],
        previous=told["previous"],
        at=at,
        who=told["who"],
        organisation=told["organisation"],
        party=told["party"],
        step=told["step"],
        before=told["from"],
        after=told["to"],
        detail=told["detail"],
        digest=digest_bytes(envelope.payload),
        envelope=envelope,
    )
