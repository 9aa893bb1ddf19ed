"""Whatever is changed in a dossier is found, and a forger's own signature does not hide it."""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.fakes.dossiers import forged, sealed, verified

from pilotbase.domain.canonical import canonical, digest_bytes
from pilotbase.dossier import statement
from pilotbase.dossier.countersign import countersign_dossier
from pilotbase.dossier.packing import pack
from pilotbase.dsse import build, parse
from pilotbase.signing import Key

KEY, FORGER = Key.generate(), Key.generate()
FILES = [
    "record.json",
    "statement.dsse.json",
    "report.md",
    "cases.parquet",
    "scores/alpha.parquet",
    "loads/alpha-1.parquet",
    "commitments/beta.parquet",
    "data/rows.csv",
    "candidate/model.bin",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    enclosed = {"data/rows.csv": b"a,b\n1,2\n", "candidate/model.bin": bytes(20)}
    return sealed(tmp_path / "dossier", KEY, enclosed=enclosed)


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    table = change(pl.read_parquet(path.read_bytes()))
    table.write_parquet(path)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_of_every_file_is_found_and_the_file_named(
    folder: Path, name: str, size: Callable[[int, int], int]
) -> None:
    path = folder / name
    data = path.read_bytes()
    most = size(150, 1_000_000)
    places = range(len(data)) if len(data) <= most else sorted(random.Random(name).sample(range(len(data)), most))
    for at in places:
        flip = 1 << (at % 8)
        path.write_bytes(bytes([*data[:at], data[at] ^ flip, *data[at + 1 :]]))
        found = verified(folder, KEY)
        assert found.exit_code in (1, 2), at
        if name != statement.ENVELOPE:
            assert found.exit_code == 1
            assert [finding.file for finding in found.findings] == [name], at
    path.write_bytes(data)
    assert verified(folder, KEY).exit_code == 0


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_emptied_removed_or_renamed_is_found(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    for content in (b"", data[:-1], data + b"\n"):
        path.write_bytes(content)
        assert verified(folder, KEY).exit_code in (1, 2)
    path.write_bytes(data)
    path.rename(path.with_name("renamed"))
    found = verified(folder, KEY)
    assert found.exit_code == (2 if name == statement.ENVELOPE else 1)
    if name != statement.ENVELOPE:
        extra = str(Path(name).with_name("renamed"))
        assert {(finding.file, finding.message.split(",")[0]) for finding in found.findings} == {
            (name, "missing"),
            (extra, "not part of the dossier that was sealed"),
        }
    path.with_name("renamed").unlink()
    assert verified(folder, KEY).exit_code in (1, 2)


@pytest.mark.parametrize("name", ["more.txt", "data/more.csv", "candidate/.hidden", "new/folder/file"])
def test_a_file_that_was_added_is_found(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    found = verified(folder, KEY)
    assert found.exit_code == 1 and [finding.file for finding in found.findings] == [name]


def test_two_files_that_were_swapped_are_found(folder: Path) -> None:
    one, two = folder / "scores/alpha.parquet", folder / "scores/beta.parquet"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert {finding.file for finding in verified(folder, KEY).findings} == {"scores/alpha.parquet", "scores/beta.parquet"}


def a_changed_verdict(record: dict[str, Any], _: Path) -> None:
    record["result"]["candidates"][1]["gates"][0]["checks"][0]["verdict"] = "pass"


def a_changed_number(record: dict[str, Any], _: Path) -> None:
    record["result"]["candidates"][1]["gates"][0]["checks"][0]["value"] = 0.41


def a_changed_score(_: dict[str, Any], folder: Path) -> None:
    rewrite(folder / "scores/beta.parquet", lambda table: table.with_columns(v0=pl.lit(1.0)))


def a_lost_score(_: dict[str, Any], folder: Path) -> None:
    rewrite(folder / "scores/beta.parquet", lambda table: table.head(3))


@pytest.mark.parametrize("change", [a_changed_verdict, a_changed_number, a_changed_score, a_lost_score])
def test_a_forgery_that_is_not_borne_out_by_its_scores_is_found_whoever_signed_it(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any], Path], None]
) -> None:
    path = forged(folder, tmp_path / "forged", FORGER, change)
    for keys in ((), (KEY,), (FORGER,)):
        found = verified(path, *keys)
        assert found.exit_code == 1
        assert "beta/capability/accuracy" in [finding.record for finding in found.findings]


def test_scores_swapped_between_candidates_are_found_under_both(folder: Path, tmp_path: Path) -> None:
    def swap(_: dict[str, Any], folder: Path) -> None:
        one, two = folder / "scores/alpha.parquet", folder / "scores/beta.parquet"
        one.rename(folder / "x")
        two.rename(one)
        (folder / "x").rename(two)

    found = verified(forged(folder, tmp_path / "forged", FORGER, swap), FORGER)
    assert {"alpha/capability/accuracy", "beta/capability/accuracy"} <= {finding.record for finding in found.findings}


def test_a_commitment_that_was_exchanged_does_not_give_the_sealed_root(folder: Path, tmp_path: Path) -> None:
    def exchange(_: dict[str, Any], folder: Path) -> None:
        rewrite(folder / "commitments/beta.parquet", lambda table: table.with_columns(commitment=pl.lit("00" * 32)))

    found = verified(forged(folder, tmp_path / "forged", FORGER, exchange), FORGER)
    assert [(finding.file, finding.record) for finding in found.findings] == [("commitments/beta.parquet", "beta")]


def test_a_forgery_that_agrees_with_itself_is_of_an_unknown_signer_and_never_verified(folder: Path, tmp_path: Path) -> None:
    def consistent(record: dict[str, Any], folder: Path) -> None:
        a_changed_score(record, folder)
        entry = record["result"]["candidates"][1]
        entry["verdict"] = "pass"
        entry["gates"][0]["checks"][0].update(verdict="pass", value=1.0)

    path = forged(folder, tmp_path / "forged", FORGER, consistent)
    found = verified(path, KEY)
    assert (found.exit_code, found.signer) == (3, FORGER.key_id)
    assert "verified" not in str(found)
    assert verified(path, KEY, signer=KEY.key_id).exit_code == 1


def test_a_statement_that_says_other_than_its_record_is_found(folder: Path, tmp_path: Path) -> None:
    envelope = (folder / statement.ENVELOPE).read_bytes()
    path = forged(folder, tmp_path / "forged", FORGER, a_changed_verdict)
    (path / statement.ENVELOPE).write_bytes(envelope)
    assert "record.json" in [finding.file for finding in verified(path, KEY).findings]


def test_a_countersignature_does_not_carry_over_to_a_forgery(folder: Path, tmp_path: Path) -> None:
    witness = Key.generate()
    countersign_dossier(folder, witness)
    entries = json.loads((folder / statement.ENVELOPE).read_bytes())["signatures"]
    path = forged(folder, tmp_path / "forged", FORGER, lambda record, _: record.update(made="2020-01-01T00:00:00+00:00"))
    document = json.loads((path / statement.ENVELOPE).read_bytes())
    document["signatures"] += entries
    (path / statement.ENVELOPE).write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    for signer in (None, KEY.key_id, witness.key_id):
        found = verified(path, KEY, witness, signer=signer)
        assert found.exit_code == 1
        assert {finding.record for finding in found.findings} == {KEY.key_id, witness.key_id}


@pytest.mark.parametrize(
    "change",
    [
        lambda record, _: record.pop("result"),
        lambda record, _: record["result"].update(candidates=7),
        lambda record, _: record["scores"]["alpha"].update(file=5),
        lambda record, _: record["scores"]["alpha"].update(file="../../etc/passwd"),
        lambda record, _: record["scores"].update(alpha=[]),
        lambda record, _: record["commitments"]["alpha"].update(file=["x"]),
        lambda record, _: record["commitments"]["alpha"].update(root="zz", count=10**30),
        lambda record, _: record["criteria"].update(document={"least": "high"}),
        lambda record, _: record["result"]["candidates"][0]["gates"][0]["checks"][0].update(value=10**400),
        lambda record, _: record.update(loads={}),
        lambda record, _: record.update(confirmatory="yes"),
        lambda record, _: record.update(schema="pilotbase.dossier/9"),
        lambda _, folder: (folder / "scores/alpha.parquet").write_bytes(b"PAR1 not really PAR1"),
        lambda _, folder: (folder / "commitments/alpha.parquet").write_bytes(b""),
        lambda _, folder: rewrite(folder / "scores/alpha.parquet", lambda table: table.drop("v0")),
    ],
)
def test_a_misshapen_record_under_a_good_signature_is_never_a_traceback(folder: Path, tmp_path: Path, change: Any) -> None:
    try:
        path = forged(folder, tmp_path / "forged", FORGER, change)
    except (KeyError, TypeError, AttributeError):
        # The forger's own tool stumbles: so seal the broken record by hand under the old statement's predicate.
        path = by_hand(folder, tmp_path / "by-hand", change)
    found = verified(path, FORGER)
    assert found.exit_code in (1, 2)
    assert all(finding.message for finding in found.findings)


def by_hand(folder: Path, out: Path, change: Any) -> Path:
    """The folder with a changed record, under the statement's old claims and a new signature."""
    shutil.copytree(folder, out)
    record = json.loads((out / "record.json").read_bytes())
    change(record, out)
    (out / "record.json").write_bytes(canonical(record))
    stated = statement.read(parse((folder / statement.ENVELOPE).read_bytes()).payload, statement.PAYLOAD_TYPE)
    files = {name: digest_bytes((out / name).read_bytes()) for name in stated.files}
    claimed = dict(stated.predicate) | {"record": files["record.json"], "signer": FORGER.key_id}
    envelope = build(statement.write(files, claimed), statement.PAYLOAD_TYPE, FORGER)
    (out / statement.ENVELOPE).write_bytes(envelope.bytes())
    return out


def test_what_is_no_dossier_is_unreadable_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    for name in ("empty", "text", "missing"):
        found = verified(tmp_path / name, KEY)
        assert (found.status, found.exit_code) == ("unreadable", 2)
        assert found.findings[0].message


def test_a_link_in_a_dossier_is_not_followed(folder: Path) -> None:
    (folder / "data" / "link").symlink_to("/etc/hostname")
    found = verified(folder, KEY)
    assert found.exit_code == 2 and "link" in found.findings[0].message


def packed(entries: list[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            file.writestr(name, data)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o120777 << 16
    return member


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("../out", b"x")], "leads out"),
        ([("/etc/x", b"x")], "absolute"),
        ([("C:/x", b"x")], "drive"),
        ([("a\\b", b"x")], "backslash"),
        ([("a//b", b"x")], "empty part"),
        ([("a\u202eb", b"x")], "cannot be seen"),
        ([("record.json", b"1"), ("record.json", b"2")], "there twice"),
        ([("record.json", b"1"), ("RECORD.json", b"2")], "there twice"),
        ([(link("data/x"), b"/etc/passwd")], "link"),
        ([("bomb", bytes(20 << 20))], "zip bomb"),
        ([("/".join("x" * 40), b"")], "too deep"),
        ([], "holds no statement.dsse.json"),
    ],
)
def test_a_hostile_zip_is_unreadable_and_says_why(tmp_path: Path, entries: Any, said: str) -> None:
    path = tmp_path / "d.zip"
    path.write_bytes(packed(entries))
    found = verified(path, KEY)
    assert found.exit_code == 2
    assert said in found.findings[0].message


def test_a_damaged_zip_never_passes_for_other_contents(folder: Path, tmp_path: Path, size: Callable[[int, int], int]) -> None:
    path = pack(folder, tmp_path / "d.zip")
    data, pick = path.read_bytes(), random.Random(7)
    honest = verified(path, KEY).record
    for _ in range(size(300, 5000)):
        at = pick.randrange(len(data))
        path.write_bytes(bytes([*data[:at], data[at] ^ (1 << pick.randrange(8)), *data[at + 1 :]]))
        found = verified(path, KEY)
        # Dates and other marks of the packing are no part of what was sealed.
        assert found.exit_code in (1, 2) or (found.exit_code == 0 and found.record == honest)
    path.write_bytes(data[: len(data) // 2])
    assert verified(path, KEY).exit_code == 2
