"""Sealing and verifying: honest dossiers, and whose signature they bear."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.dossiers import forged, materials, report, sealed, trusting, verified

from pilotbase.dossier import statement
from pilotbase.dossier.countersign import countersign_digest, countersign_dossier, witness_entry
from pilotbase.dossier.packing import pack
from pilotbase.dossier.seal import Materials, seal
from pilotbase.dossier.verify import verify
from pilotbase.dsse import parse
from pilotbase.errors import UserError
from pilotbase.signing import Key

KEY, OTHER = Key.generate(), Key.generate()


def predicate(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parse((folder / statement.ENVELOPE).read_bytes()).payload)["predicate"]
    return found


def test_a_sealed_dossier_of_a_trusted_signer_is_intact(tmp_path: Path) -> None:
    found = verified(sealed(tmp_path / "d", KEY), KEY)
    assert (found.status, found.exit_code, found.signer, found.findings) == ("intact-trusted", 0, KEY.key_id, ())
    assert found.record is not None and found.record["result"]["verdict"] == "pass"


def test_the_same_dossier_as_a_zip_is_intact_too_and_packs_to_the_same_bytes(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    one, two = pack(folder, tmp_path / "1.zip"), pack(folder, tmp_path / "2.zip")
    assert one.read_bytes() == two.read_bytes()
    assert verified(one, KEY).status == "intact-trusted"
    with pytest.raises(UserError, match="already"):
        pack(folder, one)


def test_an_unknown_signer_is_exit_code_3_and_never_called_verified(tmp_path: Path) -> None:
    found = verified(sealed(tmp_path / "d", KEY))
    assert (found.status, found.exit_code, found.signer) == ("unknown-signer", 3, KEY.key_id)
    assert "verified" not in str(found)


def test_a_fingerprint_that_is_demanded_must_have_signed(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    assert verified(folder, signer=KEY.key_id).exit_code == 0
    found = verified(folder, KEY, signer=OTHER.key_id)
    assert found.exit_code == 1 and "not signed by" in found.findings[0].message
    with pytest.raises(UserError, match="not a fingerprint"):
        verified(folder, KEY, signer="SHA256:short")


def test_a_revoked_key_is_exit_code_1_even_where_it_is_demanded(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    for signer in (None, KEY.key_id):
        found = verified(folder, signer=signer, revoked=(KEY,))
        assert found.exit_code == 1 and "revoked" in found.findings[0].message


def test_a_countersignature_is_shown_and_stands_in_only_where_it_is_demanded(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    for path in (folder, pack(folder, tmp_path / "d.zip")):
        countersign_dossier(path, OTHER)
        found = verified(path, OTHER)
        assert found.exit_code == 3
        assert [(other.fingerprint, other.trust) for other in found.countersigners] == [(OTHER.key_id, "trusted")]
        assert verified(path, signer=OTHER.key_id).exit_code == 0
        assert verified(path, KEY).exit_code == 0
        assert verified(path, OTHER, signer=OTHER.key_id, revoked=(KEY,)).exit_code == 1
        with pytest.raises(UserError, match="signed this before"):
            countersign_dossier(path, OTHER)


def test_the_signer_s_signature_cannot_be_taken_off_a_countersigned_dossier(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    countersign_dossier(folder, OTHER)
    path = folder / statement.ENVELOPE
    document = json.loads(path.read_bytes())
    document["signatures"] = document["signatures"][1:]
    path.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    found = verified(folder, OTHER)
    assert found.exit_code == 1 and "missing" in found.findings[0].message


def test_a_changed_dossier_is_not_countersigned(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    path = folder / statement.ENVELOPE
    document = json.loads(path.read_bytes())
    document["signatures"][0]["sig"] = "A" * 86 + "=="
    path.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    with pytest.raises(UserError, match="does not hold"):
        countersign_dossier(folder, OTHER)


def test_an_exploratory_pass_is_not_sealed_as_a_pass(tmp_path: Path) -> None:
    assert predicate(sealed(tmp_path / "one", KEY))["verdict"] == "pass"
    folder = sealed(tmp_path / "two", KEY, confirmatory=False)
    assert predicate(folder)["verdict"] == "exploratory"
    assert verified(folder, KEY).exit_code == 0


def test_enclosed_files_are_under_the_seal(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b\n" * 1000)
    folder = sealed(tmp_path / "d", KEY, enclosed={"data/rows.csv": tmp_path / "rows.csv", "candidate/alpha/模型.py": b"pass\n"})
    assert verified(folder, KEY).exit_code == 0
    (folder / "candidate/alpha/模型.py").write_bytes(b"fail\n")
    assert [finding.file for finding in verified(folder, KEY).findings] == ["candidate/alpha/模型.py"]


@pytest.mark.parametrize("name", ["data/../record.json", "data//x", "record.json", "/etc/passwd", "data/a\\b", "data/\n"])
def test_a_file_is_not_enclosed_under_an_unsafe_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        sealed(tmp_path / "d", KEY, enclosed={name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_dossier_is_never_written_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert verified(sealed(tmp_path / "empty", KEY), KEY).exit_code == 0
    for taken in ("empty", "file"):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="something here already"):
            sealed(tmp_path / taken, KEY)


def test_the_record_and_the_statement_name_every_file(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    record = json.loads((folder / "record.json").read_bytes())
    assert set(record["scores"]) == set(record["commitments"]) == {"alpha", "beta"}
    assert record["loads"][0]["file"] == "loads/alpha-1.parquet" and record["loads"][0]["rows"] == 2
    stated = statement.read(parse((folder / statement.ENVELOPE).read_bytes()).payload, statement.PAYLOAD_TYPE)
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(stated.files) == on_disk - {statement.ENVELOPE}


def test_a_witness_s_signature_on_the_criteria_is_checked(tmp_path: Path) -> None:
    plain = materials()
    digest = plain.record["criteria"]["digest"]
    now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    entry = witness_entry(countersign_digest(digest, OTHER, now), digest)
    for name, given, code in (("good", entry, 0), ("bad", entry | {"time": "2020-01-01T00:00:00+00:00"}, 1), ("odd", ["x"], 1)):
        record = dict(plain.record) | {"criteria": dict(plain.record["criteria"]) | {"witness": given}}
        parts = Materials(record=record, scores=plain.scores, cases=plain.cases, commitments=plain.commitments)
        found = verified(seal(parts, KEY, tmp_path / name, {"report.md": report}), KEY)
        assert found.exit_code == code, found
        if code:
            assert found.findings[0].record == "criteria/witness"
        else:
            assert f"criteria witnessed at 2026-11-20T09:00:00+00:00 by {OTHER.key_id} (unknown here)" in found.notes


def test_criteria_that_are_not_those_of_their_digest_are_found(tmp_path: Path) -> None:
    def soften(record: dict[str, Any], _: Path) -> None:
        record["criteria"]["document"]["least"] = 0.61

    found = verified(forged(sealed(tmp_path / "d", KEY), tmp_path / "f", OTHER, soften), OTHER)
    assert found.exit_code == 1 and found.findings[0].record == "criteria"


def test_what_cannot_be_re_derived_is_unreadable_and_not_intact(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)

    def helpless(*_: object) -> dict[str, Any]:
        raise KeyError("plan")

    found = verify(folder, trusted=trusting(KEY), rederive=helpless)
    assert found.exit_code == 2 and "KeyError: 'plan'" in found.findings[0].message


def test_rederiving_reads_sealed_files_only(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    found = verify(folder, trusted=trusting(KEY), rederive=lambda record, read: {"x": read("../../etc/passwd")})
    assert found.exit_code == 2 and "no file of this name was sealed" in found.findings[0].message
