"""Keys that a home trusts, and the second party's signatures."""

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.flows.stories import forge, key_of, pilotbase, record_of, sealed
from tests.flows.support import Base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("keys")
    return Base(folder=folder / "pilot", home=folder / "home").write()


@pytest.fixture(scope="module")
def dossier(base: Base) -> Path:
    return sealed(base)


def test_a_key_is_exported_trusted_shown_and_revoked(base: Base, dossier: Path, tmp_path: Path) -> None:
    line = pilotbase(base.home, "key", "export", "--name", "第一基地").out
    home, fingerprint = tmp_path / "home", key_of(base.home).key_id
    assert pilotbase(home, "verify", dossier).code == 3
    assert pilotbase(home, "key", "trust", line.strip()).code == 0
    assert pilotbase(home, "verify", dossier).code == 0
    shown = pilotbase(home, "key", "show").out
    assert shown.splitlines()[0] == key_of(home).key_id
    assert f"trusted  {fingerprint}  第一基地" in shown
    assert pilotbase(home, "key", "revoke", fingerprint).code == 0
    said = pilotbase(home, "verify", dossier)
    assert said.code == 1
    assert "revoked" in said.out
    assert pilotbase(home, "verify", dossier, "--signer", fingerprint).code == 1
    again = pilotbase(home, "key", "trust", line.strip())
    assert again.code == 2
    assert "never trusted again" in again.err
    assert f"revoked  {fingerprint}" in pilotbase(home, "key", "show").out


def test_a_trust_file_counts_for_that_command_alone(base: Base, dossier: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("# those we met\n" + pilotbase(base.home, "key", "export").out)
    home = tmp_path / "home"
    assert pilotbase(home, "verify", dossier, "--trust", file).code == 0
    assert pilotbase(home, "verify", dossier).code == 3
    file.write_text("")
    assert pilotbase(home, "verify", dossier, "--trust", file).code == 2
    assert pilotbase(home, "verify", dossier, "--trust", tmp_path / "missing").code == 2


def test_a_file_of_keys_can_be_trusted_for_good(base: Base, dossier: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(
        pilotbase(base.home, "key", "export", "--name", "one").out
        + pilotbase(tmp_path / "b", "key", "export", "--name", "two").out
    )
    home = tmp_path / "home"
    assert pilotbase(home, "key", "trust", file).out.count("trusted") == 2
    assert pilotbase(home, "verify", dossier).code == 0


def test_a_home_can_revoke_its_own_key_and_garbled_keys_are_refused(dossier: Path, base: Base, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(base.home, home)
    assert pilotbase(home, "key", "revoke", key_of(home).key_id).code == 0
    assert pilotbase(home, "verify", dossier).code == 1
    assert pilotbase(home, "key", "revoke", "SHA256:x").code == 2
    assert pilotbase(home, "key", "revoke", key_of(tmp_path / "stranger").key_id).code == 2
    assert pilotbase(home, "key", "trust", "nonsense").code == 2


def test_a_private_key_is_readable_by_its_owner_alone(base: Base, dossier: Path) -> None:
    found = [p for p in base.home.rglob("*") if p.is_file() and (b"PRIVATE" in p.read_bytes() or p.name == "secret")]
    assert found
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in found)


def test_criteria_lodged_with_a_witness_are_witnessed_in_the_dossier(base: Base, tmp_path: Path) -> None:
    home, witness = tmp_path / "home", tmp_path / "witness"
    committed = pilotbase(home, "explain", base.pilot, "--commit")
    assert committed.code == 0, committed.err
    digest = committed.out.strip()
    signed = pilotbase(witness, "countersign", digest)
    assert signed.code == 0
    assert isinstance(signed.json, dict)
    (tmp_path / "witness.json").write_text(signed.out)
    kept = pilotbase(home, "countersign", tmp_path / "witness.json", "--keep")
    assert kept.code == 0, kept.err
    assert digest in kept.out
    assert pilotbase(home, "run", base.pilot, "-q", environment=base.environment).code in (0, 3)
    assert pilotbase(home, "dossier", "last", "--out", tmp_path / "d").code == 0
    record = record_of(tmp_path / "d")
    assert record["criteria"]["digest"] == digest
    assert record["criteria"]["witness"]["key_id"] == key_of(witness).key_id
    said = pilotbase(home, "verify", tmp_path / "d")
    assert said.code == 0
    assert f"by {key_of(witness).key_id} (unknown here)" in said.out
    _trusted_then_tampered(home, witness, tmp_path)


def _trusted_then_tampered(home: Path, witness: Path, tmp_path: Path) -> None:
    pilotbase(home, "key", "trust", pilotbase(witness, "key", "export").out.strip())
    assert "(trusted)" in pilotbase(home, "verify", tmp_path / "d").out

    def earlier(record: dict[str, Any], folder: Path) -> None:
        record["criteria"]["witness"]["time"] = "2020-01-01T00:00:00+00:00"

    said = pilotbase(home, "verify", forge(tmp_path / "d", tmp_path / "forged", key_of(home), earlier))
    assert said.code == 1
    assert "criteria/witness" in said.out


def test_a_countersignature_on_criteria_not_recorded_here_or_garbled_is_refused(base: Base, tmp_path: Path) -> None:
    signed = pilotbase(tmp_path / "witness", "countersign", "sha256:" + "0" * 64)
    (tmp_path / "w.json").write_text(signed.out)
    said = pilotbase(tmp_path / "home", "countersign", tmp_path / "w.json", "--keep")
    assert said.code == 2
    assert "explain PILOT --commit" in said.err
    changed = orjson.loads(signed.out)
    changed["signatures"][0]["sig"] = "A" * len(changed["signatures"][0]["sig"])
    (tmp_path / "w.json").write_bytes(orjson.dumps(changed))
    assert pilotbase(tmp_path / "home", "countersign", tmp_path / "w.json", "--keep").code == 2
    (tmp_path / "w.json").write_text("nothing")
    assert pilotbase(tmp_path / "home", "countersign", tmp_path / "w.json", "--keep").code == 2
    assert pilotbase(tmp_path / "home", "countersign", tmp_path / "none.json", "--keep").code == 2
    assert pilotbase(tmp_path / "home", "countersign", "sha256:12").code == 2
    assert pilotbase(tmp_path / "home", "countersign", tmp_path / "no-dossier").code == 2


@pytest.mark.parametrize("zipped", [False, True])
def test_a_second_party_signs_a_dossier_that_it_verified(base: Base, dossier: Path, tmp_path: Path, zipped: bool) -> None:
    copy, second = tmp_path / "copy", tmp_path / "second"
    if zipped:
        copy = tmp_path / "copy.zip"
        assert pilotbase(base.home, "dossier", "last", "--out", copy).code == 0
    else:
        shutil.copytree(dossier, copy)
    assert pilotbase(second, "countersign", copy).code == 0
    said = pilotbase(base.home, "verify", copy)
    assert said.code == 0
    assert said.out.count(f"countersigned by {key_of(second).key_id}") == 1
    assert pilotbase(tmp_path / "third", "verify", copy, "--signer", key_of(second).key_id).code == 0
    again = pilotbase(second, "countersign", copy)
    assert again.code == 2
    assert "before" in again.err or "already" in again.err


def test_a_changed_dossier_is_not_countersigned(dossier: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dossier, copy)
    (copy / "report.md").write_text("PASS")
    before = (copy / "statement.dsse.json").read_bytes()
    assert pilotbase(tmp_path / "second", "countersign", copy).code == 1
    assert (copy / "statement.dsse.json").read_bytes() == before
