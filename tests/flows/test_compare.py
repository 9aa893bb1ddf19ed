"""Two runs, or two versions, side by side."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.flows.stories import forge, key_of, pilotbase, record_of
from tests.flows.support import Base, cases


def run(base: Base, *flags: str) -> str:
    """A run's id."""
    said = pilotbase(base.home, "run", base.pilot, "-q", "--json", *flags, environment=base.environment)
    assert said.code in (0, 1, 3), said.err
    return str(said.json["run"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("compare")
    return Base(folder=folder / "pilot", home=folder / "home")


@pytest.fixture(scope="module")
def runs(base: Base) -> dict[str, str]:
    """One run of each version, and a partial one."""
    found = {}
    for call in ("good", "wrong"):
        base.write(rows=cases(100), candidates={"app": base.python(call)})
        found[call] = run(base, "--no-early-stop")
    base.write(rows=cases(100), candidates={"app": base.python("good")})
    found["early"] = run(base)
    found["partial"] = run(base, "--limit", "10")
    base.write(rows=cases(80), candidates={"app": base.python("good")})
    found["other data"] = run(base)
    base.write(rows=cases(100), candidates={"app": base.python("good"), "second": base.python("coin")})
    found["two"] = run(base)
    return found


def test_a_run_agrees_with_itself(base: Base, runs: dict[str, str]) -> None:
    said = pilotbase(base.home, "compare", runs["good"], runs["good"], "--json")
    assert said.code == 0
    (check,) = said.json["checks"]
    assert (check["changed"], check["paired"], check["difference"]["value"]) == (0, 100, 0)


def test_a_worse_version_disagrees_with_an_interval_below_zero(base: Base, runs: dict[str, str]) -> None:
    said = pilotbase(base.home, "compare", runs["good"], runs["wrong"], "--json")
    assert said.code == 1
    assert not said.json["same_candidates"]
    (check,) = said.json["checks"]
    assert check["difference"]["low"] <= check["difference"]["value"] <= check["difference"]["high"] < 0
    assert check["difference"]["value"] == pytest.approx(-0.9)
    back = pilotbase(base.home, "compare", runs["wrong"], runs["good"], "--json").json["checks"][0]
    assert back["difference"]["value"] == pytest.approx(0.9)


def test_where_only_one_decided_it_is_undecided(base: Base, runs: dict[str, str]) -> None:
    said = pilotbase(base.home, "compare", runs["good"], runs["partial"])
    assert said.code == 3
    assert "undecided" in said.out


def test_early_and_complete_runs_pair_the_cases_that_both_asked(base: Base, runs: dict[str, str]) -> None:
    (check,) = pilotbase(base.home, "compare", runs["good"], runs["early"], "--json").json["checks"]
    assert 0 < check["paired"] < 100
    assert check["changed"] == 0


def test_other_data_is_compared_without_pairs(base: Base, runs: dict[str, str]) -> None:
    said = pilotbase(base.home, "compare", runs["early"], runs["other data"], "--json")
    assert not said.json["same_data"]
    assert [c["difference"] for c in said.json["checks"]] == [None]


def test_candidates_are_paired_by_id(base: Base, runs: dict[str, str]) -> None:
    said = pilotbase(base.home, "compare", runs["early"], runs["two"], "--json")
    assert {c["candidate"] for c in said.json["checks"]} == {"app"}


def test_an_unknown_run_and_a_wrong_confidence_are_told(base: Base, runs: dict[str, str]) -> None:
    assert pilotbase(base.home, "compare", runs["good"], "nobody-9").code == 2
    said = pilotbase(base.home, "compare", runs["good"], runs["wrong"], "--confidence", "1.5")
    assert said.code == 2
    assert "--confidence" in said.err


def test_runs_without_a_candidate_in_common_are_refused(base: Base, runs: dict[str, str]) -> None:
    base.write(rows=cases(60), candidates={"a": base.python("good"), "b": base.python("coin")})
    other = run(base)
    said = pilotbase(base.home, "compare", runs["good"], other)
    assert said.code == 2
    assert "no candidate in common" in said.err


def test_a_dossier_is_compared_with_a_run_and_a_changed_one_refused(base: Base, runs: dict[str, str], tmp_path: Path) -> None:
    base.write(rows=cases(100), candidates={"app": base.python("good")})
    assert pilotbase(base.home, "dossier", runs["good"], "--out", tmp_path / "d").code == 0
    assert pilotbase(base.home, "compare", tmp_path / "d", runs["good"]).code == 0
    assert pilotbase(base.home, "compare", runs["wrong"], tmp_path / "d").code == 1

    def passing(record: dict[str, Any], folder: Path) -> None:
        record["result"]["candidates"][0]["gates"][0]["checks"][0]["verdict"] = "fail"

    forged = forge(tmp_path / "d", tmp_path / "forged", key_of(base.home), passing)
    assert record_of(forged)["result"] != record_of(tmp_path / "d")["result"]
    said = pilotbase(base.home, "compare", forged, runs["good"])
    assert said.code == 1
    assert "does not verify" in said.err
    shutil.rmtree(forged)


def test_clusters_widen_a_difference(tmp_path: Path) -> None:
    found = {}
    for cluster in (None, "patient"):
        base = Base(folder=tmp_path / f"pilot-{cluster}", home=tmp_path / f"home-{cluster}")
        runs = []
        for call in ("good", "coin"):
            base.write(rows=cases(120), candidates={"app": base.python(call)}, data={"cluster": cluster})
            runs.append(run(base, "--no-early-stop"))
        found[cluster] = pilotbase(base.home, "compare", *runs, "--json").json["checks"][0]["difference"]
    assert "cluster" in found["patient"]["method"]
    assert found["patient"]["value"] == pytest.approx(found[None]["value"])
    assert (
        found["patient"]["low"] <= found[None]["low"] + 0.02
    )  # the order of cases is another, and bounds of a mean depend on it
