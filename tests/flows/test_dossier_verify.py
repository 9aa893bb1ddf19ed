"""A run, its dossier, and what `verify` says of it: here, elsewhere, changed, and forged."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.flows.stories import forge, key_of, pilotbase, record_of, rescore, sealed
from tests.flows.support import Base, cases

CHECKS = [
    {"metric": "accuracy", "require": ">= 0.7"},
    {"metric": "sensitivity", "require": ">= 0.95"},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("verify")
    return Base(folder=folder / "pilot", home=folder / "home").write(rows=cases(120), checks=CHECKS, more={"confidence": 0.95})


@pytest.fixture(scope="module")
def dossier(base: Base) -> Path:
    return sealed(base)


def _raised(record: dict[str, Any], folder: Path) -> None:
    """Every answer right, and every verdict a pass, as a forger would have it."""
    rescore(record, folder, "good", v0=1.0, v1=pl.when(pl.col("v1").is_nan()).then(pl.col("v1")).otherwise(1.0))
    _passing(record, folder)


def _passing(record: dict[str, Any], folder: Path) -> None:
    result = record["result"]
    result["verdict"] = result["candidates"][0]["verdict"] = "pass"
    for gate in result["candidates"][0]["gates"]:
        gate["verdict"] = "pass"
        for check in gate["checks"]:
            check["verdict"] = "pass"


def test_the_home_that_made_a_dossier_verifies_it(base: Base, dossier: Path) -> None:
    said = pilotbase(base.home, "verify", dossier)
    assert said.code == 0, said.out
    assert "verified: intact" in said.out
    assert key_of(base.home).key_id in said.out


def test_another_home_calls_the_signer_unknown_and_never_says_verified(dossier: Path, base: Base, tmp_path: Path) -> None:
    said = pilotbase(tmp_path / "home", "verify", dossier)
    assert said.code == 3
    assert "verified" not in (said.out + said.err).lower()
    assert key_of(base.home).key_id in said.out


def test_the_right_signer_is_accepted_and_a_wrong_one_refused(dossier: Path, base: Base, tmp_path: Path) -> None:
    right, wrong = key_of(base.home).key_id, key_of(tmp_path / "other").key_id
    assert pilotbase(tmp_path / "home", "verify", dossier, "--signer", right).code == 0
    said = pilotbase(tmp_path / "home", "verify", dossier, "--signer", wrong)
    assert said.code == 1
    assert "not signed by" in said.out
    assert pilotbase(tmp_path / "home", "verify", dossier, "--signer", "SHA256:short").code == 2


def test_what_is_no_dossier_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"PK\x03\x04 nothing")
    for name in ("empty", "file", "missing"):
        assert pilotbase(tmp_path / "home", "verify", tmp_path / name).code == 2


@pytest.mark.parametrize(
    "name", ["record.json", "scores/good.parquet", "cases.parquet", "commitments/good.parquet", "report.html", "junit.xml"]
)
def test_a_changed_file_is_named(dossier: Path, base: Base, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dossier, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    said = pilotbase(base.home, "verify", copy)
    assert said.code == 1
    assert f"{name}: changed since it was sealed" in said.out


def test_a_missing_file_and_one_too_many_are_named(dossier: Path, base: Base, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dossier, copy)
    (copy / "report.md").unlink()
    (copy / "data").mkdir()
    (copy / "data" / "more.csv").write_text("x")
    said = pilotbase(base.home, "verify", copy)
    assert said.code == 1
    assert "report.md: missing" in said.out
    assert "data/more.csv: not part of the dossier" in said.out


def test_evidence_forged_whole_under_another_key_is_never_more_than_unknown(dossier: Path, base: Base, tmp_path: Path) -> None:
    forger = key_of(tmp_path / "forger")
    forged = forge(dossier, tmp_path / "forged", forger, lambda r, f: None)
    assert pilotbase(tmp_path / "fresh", "verify", forged).code == 3
    assert pilotbase(base.home, "verify", forged).code == 3
    assert pilotbase(tmp_path / "fresh", "verify", forged, "--signer", key_of(base.home).key_id).code == 1


def test_scores_forged_under_another_key_do_not_give_the_verdict_that_was_left(dossier: Path, base: Base, tmp_path: Path) -> None:
    forged = forge(dossier, tmp_path / "forged", key_of(tmp_path / "forger"), _raised)
    said = pilotbase(tmp_path / "fresh", "verify", forged)
    assert said.code == 1
    assert "good/capability/sensitivity" in said.out
    assert pilotbase(tmp_path / "fresh", "verify", forged, "--signer", key_of(base.home).key_id).code == 1


def test_a_verdict_that_does_not_follow_is_named_even_under_the_trusted_key(dossier: Path, base: Base, tmp_path: Path) -> None:
    assert record_of(dossier)["result"]["verdict"] != "pass"
    forged = forge(dossier, tmp_path / "forged", key_of(base.home), _passing)
    said = pilotbase(base.home, "verify", forged)
    assert said.code == 1
    assert "record.json: good/capability/sensitivity" in said.out
    assert "verified" not in said.out


def test_a_softer_pilot_than_the_criteria_is_found_even_under_the_trusted_key(dossier: Path, base: Base, tmp_path: Path) -> None:
    def soften(record: dict[str, Any], folder: Path) -> None:
        record["pilot"]["gates"][0]["checks"][1]["require"] = ">= 0.5"

    said = pilotbase(base.home, "verify", forge(dossier, tmp_path / "forged", key_of(base.home), soften))
    assert said.code == 1
    assert "record.json: pilot: the pilot shown here is not the one in the criteria" in said.out


def test_criteria_of_another_digest_are_found_even_under_the_trusted_key(dossier: Path, base: Base, tmp_path: Path) -> None:
    def soften(record: dict[str, Any], folder: Path) -> None:
        for pilot in (record["pilot"], record["criteria"]["document"]["pilot"]):
            pilot["gates"][0]["checks"][1]["require"] = ">= 0.5"

    said = pilotbase(base.home, "verify", forge(dossier, tmp_path / "forged", key_of(base.home), soften))
    assert said.code == 1
    assert "the digest is not that of the criteria" in said.out


def test_cases_left_out_are_found_even_under_the_trusted_key(dossier: Path, base: Base, tmp_path: Path) -> None:
    def shorten(record: dict[str, Any], folder: Path) -> None:
        for name in ("cases.parquet", "scores/good.parquet"):
            pl.read_parquet(folder / name).head(100).write_parquet(folder / name)

    said = pilotbase(base.home, "verify", forge(dossier, tmp_path / "forged", key_of(base.home), shorten))
    assert said.code != 0
    assert "100 cases, where the data has 120" in said.out


def test_a_dossier_as_one_zip_verifies_and_leaves_no_folder(base: Base, dossier: Path, tmp_path: Path) -> None:
    said = pilotbase(base.home, "dossier", "last", "--out", tmp_path / "made" / "one.zip")
    assert said.code == 0, said.err
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["one.zip"]
    assert pilotbase(base.home, "verify", tmp_path / "made" / "one.zip").code == 0
    again = pilotbase(base.home, "dossier", "last", "--out", tmp_path / "made" / "one.zip")
    assert again.code == 2
    assert "never written over" in again.err


def test_a_dossier_is_never_written_over(base: Base, dossier: Path) -> None:
    before = (dossier / "record.json").read_bytes()
    said = pilotbase(base.home, "dossier", "last", "--out", dossier)
    assert said.code == 2
    assert "--out" in said.err
    assert (dossier / "record.json").read_bytes() == before


def test_without_out_it_is_written_into_the_home(base: Base, dossier: Path) -> None:
    said = pilotbase(base.home, "dossier", "small")
    assert said.code == 0, said.err
    assert (base.home / "dossiers" / record_of(dossier)["run"]["id"] / "report.html").exists()


def test_data_that_moved_or_changed_is_told_with_what_to_do(tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home").write()
    assert pilotbase(base.home, "run", base.pilot, "-q", environment=base.environment).code in (0, 3)
    data = base.folder / "test.csv"
    text = data.read_text()
    data.write_text(text.replace("c1,", "cX,"))
    said = pilotbase(base.home, "dossier", "last", "--out", tmp_path / "d")
    assert said.code == 2
    assert "the data changed since run" in said.err
    data.unlink()
    said = pilotbase(base.home, "dossier", "last", "--out", tmp_path / "d")
    assert said.code == 2
    assert "test.csv" in said.err
    assert not (tmp_path / "d").exists()


def test_an_unknown_run_and_an_exploratory_conclusion_seal_nothing(base: Base, dossier: Path, tmp_path: Path) -> None:
    said = pilotbase(base.home, "dossier", "nobody-1", "--out", tmp_path / "d")
    assert said.code == 2
    assert not (tmp_path / "d").exists()


def test_another_confidence_is_exploratory_and_never_a_pass(tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home").write(rows=cases(120))
    assert pilotbase(base.home, "run", base.pilot, "-q", environment=base.environment).code == 0
    said = pilotbase(base.home, "conclude", "last", "--confidence", "0.9", "--json")
    assert said.code == 3
    assert said.json["confirmatory"] is False
    assert said.json["verdict"] == "inconclusive"
    assert "exploratory" in said.json["candidates"][0]["reasons"][-1]
    assert "0.9" in said.json["exploratory_because"][0]
    same = pilotbase(base.home, "conclude", "last", "--confidence", "0.95", "--json")
    assert (same.code, same.json["confirmatory"]) == (0, True)
    assert pilotbase(base.home, "show", "last", "--json").json["verdict"] == "pass"


def test_the_record_names_the_end_of_each_evidence_chain_of_the_home(base: Base, dossier: Path) -> None:
    said = record_of(dossier)["evidence"]
    with base.opened() as context:
        for candidate, end in said.items():
            rows = context.database.rows(
                "SELECT digest, rows FROM segments WHERE log = ? ORDER BY seq",
                (f"{record_of(dossier)['run']['id']}/{candidate}",),
            )
            assert end == {"segments": len(rows), "rows": sum(r["rows"] for r in rows), "head": rows[-1]["digest"]}
    assert said["good"]["rows"] >= 1
