"""A witness's signature on criteria."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pilotbase.domain.canonical import canonical, digest
from pilotbase.dossier.countersign import countersign_digest, read_countersignature, read_witness, witness_entry
from pilotbase.dsse import build
from pilotbase.errors import UserError
from pilotbase.signing import Key

KEY = Key.generate()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DIGEST, OTHER = digest("criteria"), digest("others")


def test_a_countersignature_reads_back_with_who_and_when() -> None:
    found = read_countersignature(countersign_digest(DIGEST, KEY, NOW), DIGEST)
    assert (found.key_id, found.digest, found.time) == (KEY.key_id, DIGEST, NOW)


def test_the_record_s_entry_is_checked_against_the_digest() -> None:
    entry = witness_entry(countersign_digest(DIGEST, KEY, NOW), DIGEST)
    assert set(entry) == {"key_id", "public_key", "signature", "time"}
    assert read_witness(entry, DIGEST).time == NOW
    with pytest.raises(UserError, match="does not fit"):
        read_witness(entry, OTHER)


def test_a_countersignature_on_other_criteria_is_refused() -> None:
    with pytest.raises(UserError, match="other criteria"):
        read_countersignature(countersign_digest(DIGEST, KEY, NOW), OTHER)
    with pytest.raises(UserError, match="other criteria"):
        witness_entry(countersign_digest(DIGEST, KEY, NOW), OTHER)


@pytest.mark.parametrize("text", ["", "sha256:12", "sha256:" + "G" * 64, "md5:" + "0" * 64])
def test_only_a_digest_is_countersigned(text: str) -> None:
    with pytest.raises(UserError, match="not a digest"):
        countersign_digest(text, KEY, NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        canonical({"type": "urn:pilotbase:criteria-witness:1", "digest": DIGEST}),
        canonical({"type": "urn:other", "digest": DIGEST, "time": NOW.isoformat()}),
        canonical({"type": "urn:pilotbase:criteria-witness:1", "digest": DIGEST, "time": "yesterday"}),
        canonical({"type": "urn:pilotbase:criteria-witness:1", "digest": DIGEST, "time": "2026-11-21T12:00:00"}),
        canonical({"type": "urn:pilotbase:criteria-witness:1", "digest": DIGEST, "time": 5}),
    ],
)
def test_a_signature_on_anything_else_is_no_countersignature(payload: bytes) -> None:
    envelope = build(payload, "application/vnd.pilotbase.criteria-witness+json", KEY)
    with pytest.raises(UserError):
        read_countersignature(envelope.document())


def test_a_signature_of_a_dossier_does_not_pass_for_one_on_criteria() -> None:
    payload = canonical({"type": "urn:pilotbase:criteria-witness:1", "digest": DIGEST, "time": NOW.isoformat()})
    with pytest.raises(UserError, match="another type"):
        read_countersignature(build(payload, "application/vnd.in-toto+json", KEY).document())


@pytest.mark.parametrize("wrong", [None, [], {}, {"key_id": 1, "public_key": 2, "signature": 3, "time": "x"}])
def test_a_garbled_witness_is_refused_in_words(wrong: Any) -> None:
    with pytest.raises(UserError):
        read_witness(wrong, DIGEST)
