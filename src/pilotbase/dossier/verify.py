"""Check a dossier offline: that nothing in it changed, that its scores give the verdicts it states, and who signed it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pilotbase.domain.canonical import digest, digest_bytes
from pilotbase.dossier import commitments, countersign, merkle, statement, timestamp
from pilotbase.dossier.differences import differences
from pilotbase.dossier.files import Files, open_files
from pilotbase.dossier.tables import read_table
from pilotbase.dsse import LARGEST, Envelope, parse, strict_json
from pilotbase.dsse import verify as check_signatures
from pilotbase.errors import UserError
from pilotbase.signing import FINGERPRINT

__all__ = ["Countersigner", "Finding", "Rederive", "Trusted", "Verification", "verify"]

Status = Literal["intact-trusted", "changed", "unknown-signer", "unreadable"]
Trust = Literal["trusted", "revoked"]
Trusted = Callable[[str], Trust | None]
"""What is known here of a key, by its fingerprint; None: nothing."""

Rederive = Callable[[Mapping[str, Any], Callable[[str], bytes]], Mapping[str, Any]]
"""The record and a reader of the dossier's files in, the result that the scores give out (the shape of the record's `result`)."""

EXIT: Mapping[Status, int] = {"intact-trusted": 0, "changed": 1, "unreadable": 2, "unknown-signer": 3}

_SCHEMA = "pilotbase.dossier/1"
_MOST_ROWS = 50_000_000
_HEX = re.compile(r"[0-9a-f]{64}")
# What code that trusts a record's shape may raise over one that was made to harm.
_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, RecursionError)
_MISSHAPEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError, OSError, *_POLARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was sealed. `record`: the entry that it concerns, as in `logistic/capability/sensitivity`."""

    file: str
    message: str
    record: str | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.record}: {self.message}" if self.record else f"{self.file}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersigner:
    """A further key whose signature holds, and what is known of it here."""

    fingerprint: str
    trust: Trust | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of it. Only `intact-trusted` may be called verified.

    `signer`: fingerprint of the key that sealed it, None where that is not known. `notes`: true of an intact dossier too.
    `record` is there where record.json is the file that was signed, be its signer trusted or not.
    """

    status: Status
    signer: str | None = None
    countersigners: tuple[Countersigner, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def exit_code(self) -> int:
        """0 intact and trusted, 1 changed or not to be trusted, 2 unreadable, 3 intact, signer unknown."""
        return EXIT[self.status]


def verify(path: Path, *, trusted: Trusted, rederive: Rederive, signer: str | None = None) -> Verification:
    """Check the dossier at `path`, a folder or a zip, and never raise for anything that it holds.

    `trusted` says which keys are known here; `signer` demands the signature of one particular key, which is then trusted
    unless it is revoked. Forged evidence under a key of its own is `unknown-signer` at best.
    """
    if signer is not None and not FINGERPRINT.fullmatch(signer):
        hint = "write it as `pilotbase key show` prints it: SHA256:..."
        raise UserError(f"not a fingerprint: {signer[:80]!r}", where="--signer", hint=hint)
    try:
        with open_files(path) as files:
            return _verify(files, trusted, signer, rederive)
    except UserError as error:
        return Verification(status="unreadable", findings=(Finding(file=error.where or str(path), message=error.message),))


def _verify(files: Files, trusted: Trusted, wanted: str | None, rederive: Rederive) -> Verification:
    if statement.ENVELOPE not in files.sizes:
        raise UserError(f"not a dossier: it holds no {statement.ENVELOPE}")
    envelope = parse(_read(files, statement.ENVELOPE, LARGEST), where=statement.ENVELOPE)
    stated = statement.read(envelope.payload, envelope.payload_type)
    signed = check_signatures(envelope)
    holding = [signature.key_id for signature in signed if signature.holds]
    findings = [Finding(file=statement.ENVELOPE, record=bad.key_id, message=bad.problem) for bad in signed if not bad.holds]
    if stated.signer not in [signature.key_id for signature in signed]:
        findings.append(Finding(file=statement.ENVELOPE, message=f"the signature of its signer, {stated.signer}, is missing"))
    notes: list[str] = []
    changed = list(_file_findings(files, stated))
    findings += changed
    if statement.TIMESTAMP in files.sizes:
        _check_timestamp(files, envelope, stated.signer, findings, notes)
    record = None
    if not any(finding.file == statement.RECORD for finding in changed):
        record = _record(files, stated)
        findings += _statement_findings(record, stated)
        _check_witness(record, trusted, findings, notes)
    unreadable: list[Finding] = []
    if record is not None and not changed:
        read_file = _sealed_reader(files, stated)
        findings += _commitment_findings(record, read_file)
        derived = _derived(record, read_file, rederive)
        if isinstance(derived, Finding):
            unreadable.append(derived)
        else:
            findings += _result_findings(record["result"], derived)
    others = tuple(Countersigner(fingerprint=key, trust=trusted(key)) for key in holding if key != stated.signer)
    found = Verification(
        status="changed", signer=stated.signer, countersigners=others, findings=tuple(findings), notes=tuple(notes), record=record
    )
    if findings:
        return replace(found, findings=(*findings, *unreadable))
    if unreadable:
        return replace(found, status="unreadable", findings=tuple(unreadable))
    return _judge(found, holding, trusted, wanted)


def _judge(found: Verification, holding: list[str], trusted: Trusted, wanted: str | None) -> Verification:
    """An intact dossier's status, by who signed it."""
    signer = str(found.signer)
    relied = wanted or signer
    notes = [f"countersigned by {other.fingerprint} ({other.trust or 'unknown here'})" for other in found.countersigners]
    found = replace(found, notes=(*found.notes, *notes))
    if relied not in holding:
        message = f"not signed by {relied}; it was sealed by {signer}"
        return replace(found, findings=(Finding(file=statement.ENVELOPE, message=message),))
    revoked = [key for key in dict.fromkeys((relied, signer)) if trusted(key) == "revoked"]
    if revoked:
        message = f"signed with the key {revoked[0]}, which was revoked here"
        return replace(found, findings=(Finding(file=statement.ENVELOPE, message=message),))
    return replace(found, status="intact-trusted" if wanted or trusted(relied) == "trusted" else "unknown-signer")


def _file_findings(files: Files, stated: statement.Statement) -> Iterator[Finding]:
    for name in stated.files:
        if name not in files.sizes:
            yield Finding(file=name, message="missing, though it was sealed with the others")
    for name in files.sizes:
        if name in statement.UNSIGNED:
            continue
        if name not in stated.files:
            yield Finding(file=name, message="not part of the dossier that was sealed")
        elif _digest(files, name) != stated.files[name]:
            yield Finding(file=name, message="changed since it was sealed")


def _digest(files: Files, name: str) -> str:
    # In a zip, damage to a member shows as a failed checksum and not as another digest.
    try:
        return files.digest(name)
    except UserError as error:
        return f"unreadable: {error.message}"


def _record(files: Files, stated: statement.Statement) -> Mapping[str, Any]:
    if statement.RECORD not in stated.files:
        raise UserError("nothing was sealed under this name", where=statement.RECORD)
    record = strict_json(_read(files, statement.RECORD, 1 << 30), where=statement.RECORD, largest=1 << 30)
    if not isinstance(record, dict) or record.get("schema") != _SCHEMA:
        hint = "if a newer pilotbase made the dossier, verify it with that version"
        raise UserError(f"not a record of the schema {_SCHEMA}", where=statement.RECORD, hint=hint)
    return record


def _statement_findings(record: Mapping[str, Any], stated: statement.Statement) -> Iterator[Finding]:
    try:
        expected = statement.predicate(record, stated.files[statement.RECORD], stated.signer)
        criteria, recorded = record["criteria"]["digest"], digest(record["criteria"]["document"])
        if not isinstance(record["confirmatory"], bool) or not isinstance(record["loads"], list):
            raise TypeError("confirmatory is true or false, and loads a list")
        tables = [*record["scores"].values(), record["cases"], *record["loads"], *record["commitments"].values()]
        entries = [(str(entry["file"]), str(entry["digest"])) for entry in tables]
    except _MISSHAPEN as error:
        raise UserError(f"it has not the shape of a record ({type(error).__name__}: {error})", where=statement.RECORD) from None
    for place, sentence in differences(stated.predicate, expected):
        wording = sentence.replace("the dossier says", "the signed statement says").replace("its scores give", "the record gives")
        yield Finding(file=statement.ENVELOPE, record=place or None, message=wording)
    yield from _criteria_findings(record)
    if criteria != recorded:
        yield Finding(file=statement.RECORD, record="criteria", message="the digest is not that of the criteria that are shown")
    for name, listed in entries:
        if stated.files.get(name) != listed:
            yield Finding(
                file=statement.RECORD, record=name, message="the record gives another digest of this file than the statement"
            )


def _criteria_findings(record: Mapping[str, Any]) -> Iterator[Finding]:
    """The verdict is derived by what the record shows; that must be what was fixed and digested before the first call."""
    document = record["criteria"]["document"]
    if not isinstance(document, Mapping):
        yield Finding(file=statement.RECORD, record="criteria", message="the criteria that are shown are none")
        return
    data = _mapping(record.get("data"))
    shown = {
        "pilot": record.get("pilot"),
        "packs": record.get("packs"),
        "early_stop": _mapping(_mapping(record.get("run")).get("options")).get("early_stop"),
        "data": {part: data.get(part) for part in ("digest", "order", "count")},
    }
    for part, value in shown.items():
        if part in document and document[part] != value:
            yield Finding(
                file=statement.RECORD,
                record=part,
                message=f"the {part} shown here is not the one in the criteria that were recorded",
            )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sealed_reader(files: Files, stated: statement.Statement) -> Callable[[str], bytes]:
    def read_file(name: str) -> bytes:
        if name not in stated.files or name not in files.sizes:
            raise UserError("no file of this name was sealed", where=str(name)[:100])
        data = files.read(name)
        # It may have been exchanged since its digest was checked.
        if stated.files[name] != digest_bytes(data):
            raise UserError("the file is no longer the one that was sealed", where=name)
        return data

    return read_file


def _commitment_findings(record: Mapping[str, Any], read_file: Callable[[str], bytes]) -> Iterator[Finding]:
    for candidate, entry in record["commitments"].items():
        file, root, count = str(entry["file"]), entry["root"], entry["count"]
        if not isinstance(root, str) or not _HEX.fullmatch(root) or type(count) is not int:
            yield Finding(file=statement.RECORD, record=f"commitments/{candidate}", message="the root or the count is garbled")
            continue
        try:
            leaves = commitments.leaves(read_table(read_file(file), where=file, most_rows=_MOST_ROWS), where=file)
        except UserError as error:
            yield Finding(file=file, message=error.message)
            continue
        if count != _mapping(record["data"]).get("count", count):
            yield Finding(file=file, record=candidate, message="it has not one commitment for each case of the data")
        if len(leaves) != count or merkle.root(leaves).hex() != root:
            yield Finding(file=file, record=candidate, message="the commitments do not give the root that was sealed")


def _derived(record: Mapping[str, Any], read_file: Callable[[str], bytes], rederive: Rederive) -> Mapping[str, Any] | Finding:
    """The result that the scores give, or why none can be had."""
    try:
        return rederive(record, read_file)
    except UserError as error:
        place, why = error.where or statement.RECORD, f": {error.message}"
    except _MISSHAPEN as error:
        place, why = statement.RECORD, f" ({type(error).__name__}: {error})"
    return Finding(file=place, record="result", message=f"no verdict can be re-derived{why}")


def _result_findings(stated: object, derived: Mapping[str, Any]) -> Iterator[Finding]:
    for place, sentence in differences(stated, derived):
        yield Finding(file=statement.RECORD, record=place or "result", message=sentence)


def _check_timestamp(files: Files, envelope: Envelope, signer: str, findings: list[Finding], notes: list[str]) -> None:
    try:
        token = timestamp.check(_read(files, statement.TIMESTAMP, timestamp.LARGEST), timestamp.stamped(envelope, signer))
    except UserError as error:
        findings.append(Finding(file=statement.TIMESTAMP, message=error.message))
        return
    notes.append(f"a time-stamp of {token.time.isoformat()} covers the signature; {timestamp.CAVEAT}")


def _check_witness(record: Mapping[str, Any], trusted: Trusted, findings: list[Finding], notes: list[str]) -> None:
    entry = record["criteria"].get("witness")
    if entry is None:
        notes.append("no witness: when its criteria were fixed is self-declared")
        return
    try:
        witness = countersign.read_witness(entry, record["criteria"]["digest"])
    except UserError as error:
        findings.append(Finding(file=statement.RECORD, record="criteria/witness", message=error.message))
        return
    state = trusted(witness.key_id) or "unknown here"
    notes.append(f"criteria witnessed at {witness.time.isoformat()} by {witness.key_id} ({state})")


def _read(files: Files, name: str, largest: int) -> bytes:
    if files.sizes[name] > largest:
        raise UserError(f"too large: {files.sizes[name]} bytes, and at most {largest} are read", where=name)
    return files.read(name)
