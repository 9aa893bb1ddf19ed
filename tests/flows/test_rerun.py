"""A second tester runs a dossier's pilot again, and the two are compared."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.chat_server import answers
from tests.flows.stories import key_of, pilotbase, record_of, sealed
from tests.flows.support import MODELS, Base, cases, serving

CHECKS = [{"metric": "accuracy", "require": ">= 0.7"}, {"metric": "sensitivity", "require": ">= 0.5"}]
READERS = {"recorded": {"path": "answers/readers.csv", "id": "id", "answer": "opinion"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("rerun")
    base = Base(folder=folder / "pilot", home=folder / "home")
    (base.folder / "answers").mkdir(parents=True)
    opinions = "".join(f"{r['id']},{r['label']}\n" for r in cases(100))
    (base.folder / "answers" / "readers.csv").write_text("id,opinion\n" + opinions)
    (base.folder / "python").write_text("no part of any candidate")
    candidates = {"good": {"python": "models:good"}, "readers": READERS}
    return base.write(rows=cases(100), checks=CHECKS, candidates=candidates)


@pytest.fixture(scope="module")
def whole(base: Base) -> Path:
    """A dossier with its data and candidates."""
    return sealed(base, "--with-data", "--with-candidate", name="whole")


@pytest.fixture(scope="module")
def bare(base: Base, whole: Path) -> Path:
    """The same run's dossier with neither."""
    out = base.home.parent / "bare"
    assert pilotbase(base.home, "dossier", "last", "--out", out).code == 0
    return out


def brought(base: Base, models: Path | None = None, call: str = "good") -> list[str]:
    return [
        "--data", str(base.folder / "test.csv"), "--candidate", f"good={models or base.folder}/models:{call}",
        "--candidate", f"readers={base.folder}/answers/readers.csv",
    ]  # fmt: skip


def test_only_what_candidates_are_made_of_is_enclosed(whole: Path) -> None:
    files = [p.relative_to(whole) for p in whole.rglob("*") if p.is_file()]
    found = sorted(p.as_posix() for p in files if p.parts[0] in ("data", "candidate"))
    assert found == ["candidate/good/models.py", "candidate/readers/readers.csv", "data/test.csv"]


def test_a_whole_dossier_is_rerun_elsewhere_and_agrees(base: Base, whole: Path, tmp_path: Path) -> None:
    said = pilotbase(tmp_path / "home", "rerun", whole, "--signer", key_of(base.home).key_id, "--json")
    assert said.code == 0, said.err
    comparison = said.json["comparison"]
    assert (comparison["same_data"], comparison["same_candidates"], comparison["agreement"]) == (True, True, "agree")
    assert all(c["changed"] == 0 and c["paired"] > 0 for c in comparison["checks"])
    made = pilotbase(tmp_path / "home", "dossier", said.json["run"]["run"], "--out", tmp_path / "second")
    assert made.code == 0, made.err
    assert record_of(tmp_path / "second")["criteria"]["digest"] == record_of(whole)["criteria"]["digest"]


def test_a_zip_is_rerun_in_the_home_that_made_it(base: Base, whole: Path, tmp_path: Path) -> None:
    run = record_of(whole)["run"]["id"]
    assert pilotbase(base.home, "dossier", run, "--with-data", "--with-candidate", "--out", tmp_path / "one.zip").code == 0
    said = pilotbase(base.home, "rerun", tmp_path / "one.zip", "-q")
    assert said.code == 0, said.err
    assert "the same data; the same candidates: agree" in said.out


def test_code_that_a_stranger_enclosed_is_not_run(base: Base, whole: Path, tmp_path: Path) -> None:
    said = pilotbase(tmp_path / "home", "rerun", whole)
    assert said.code == 2
    assert key_of(base.home).key_id in said.err
    assert "--signer" in said.err


def test_what_is_not_enclosed_is_asked_for_and_can_be_brought(base: Base, bare: Path, tmp_path: Path) -> None:
    said = pilotbase(tmp_path / "home", "rerun", bare)
    assert said.code == 2
    assert "--data PATH" in said.err
    said = pilotbase(tmp_path / "home", "rerun", bare, "--data", base.folder / "test.csv")
    assert said.code == 2
    assert "--candidate good=TARGET" in said.err
    said = pilotbase(tmp_path / "home", "rerun", bare, *brought(base), "--json")
    assert said.code == 0, said.err
    assert said.json["comparison"]["same_candidates"]


def test_other_data_is_refused_with_both_digests(base: Base, bare: Path, tmp_path: Path) -> None:
    other = tmp_path / "test.csv"
    other.write_text((base.folder / "test.csv").read_text().replace("c1,1,", "c1,3,"))
    given = brought(base)
    given[1] = str(other)
    said = pilotbase(tmp_path / "home", "rerun", bare, *given)
    assert said.code == 2
    assert record_of(bare)["data"]["digest"][7:19] in said.err
    assert "this is not the data of the dossier: its digest is" in said.err


def test_a_changed_dossier_and_wrong_words_are_refused(base: Base, whole: Path, bare: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("record.json", "statement.dsse.json"):
        (broken / name).write_bytes((bare / name).read_bytes())
    assert pilotbase(base.home, "rerun", broken).code == 1
    assert pilotbase(base.home, "rerun", tmp_path / "missing").code == 2
    assert pilotbase(base.home, "rerun", whole, "--candidate", "nobody=x:y").code == 2
    assert pilotbase(base.home, "rerun", whole, "--candidate", "good").code == 2


def test_a_worse_candidate_disagrees_with_paired_differences(base: Base, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    said = pilotbase(tmp_path / "home", "rerun", bare, *brought(base, tmp_path, "wrong"), "--json")
    assert said.code == 1, said.err
    comparison = said.json["comparison"]
    assert not comparison["same_candidates"]
    (accuracy,) = (c for c in comparison["checks"] if (c["candidate"], c["check"]) == ("good", "capability/accuracy"))
    assert (accuracy["first"], accuracy["second"], accuracy["agreement"]) == ("pass", "fail", "disagree")
    assert accuracy["difference"]["value"] < -0.5
    assert accuracy["difference"]["high"] < 0
    assert 0 < accuracy["changed"] <= accuracy["paired"]


def test_a_partial_run_is_rerun_with_the_same_limits(base: Base, whole: Path, tmp_path: Path) -> None:
    home = tmp_path / "first"
    assert pilotbase(home, "run", base.pilot, "-q", "--limit", "30", "--only", "good").code == 3
    assert pilotbase(home, "dossier", "last", "--with-data", "--with-candidate", "--out", tmp_path / "d").code == 0
    said = pilotbase(home, "rerun", tmp_path / "d", "--json")
    assert said.code == 0, said.err
    assert said.json["run"]["status"] == "partial"
    assert [c["id"] for c in said.json["run"]["candidates"]] == ["good"]


def test_an_endpoint_is_reached_again_where_the_tester_says(tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home", environment={})
    target: dict[str, Any] = {"openai": {"url-env": "CHAT_URL", "model": "m", "version": "1"}}
    with serving(answers("yes")) as first, serving(answers("yes")) as second:
        base.environment["CHAT_URL"] = first.url
        base.write(rows=cases(60), checks=CHECKS[1:], candidates={"chat": {"target": target, "prompt": "odd: {x}?"}})
        dossier = sealed(base, "--with-data")
        assert pilotbase(base.home, "verify", dossier).code == 0
        said = pilotbase(tmp_path / "elsewhere", "rerun", dossier, "--candidate", f"chat={second.url}", "--json")
        assert said.code == 0, said.err
        assert len(second.bodies) == len(first.bodies) > 0
    assert not said.json["comparison"]["same_candidates"]


def test_the_tables_of_a_rerun_are_told_in_words(base: Base, whole: Path, tmp_path: Path) -> None:
    said = pilotbase(base.home, "rerun", whole, "-q")
    assert said.code == 0, said.err
    assert "agree" in said.out
    assert "capability/accuracy" in said.out
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(said.out)
