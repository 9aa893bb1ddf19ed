"""What `init` writes works at once."""

import csv
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pilotbase.errors import UserError
from pilotbase.spec.load import load
from pilotbase.spec.scaffold import cases, scaffold


def candidates(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("scaffolded_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_three_files_are_written_into_a_new_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert scaffold(folder) == [folder / "pilot.yaml", folder / "models.py", folder / "test.csv"]
    assert all(path.read_text(encoding="utf-8") for path in scaffold(tmp_path / "c"))


@pytest.mark.parametrize("name", ["pilot.yaml", "models.py", "test.csv"])
def test_nothing_is_overwritten_and_nothing_written_beside_what_is_there(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} already there"):
        scaffold(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="cannot write here") as refused:
        scaffold(tmp_path / "x")
    assert refused.value.where == str(tmp_path / "x")


def test_the_pilot_is_valid_and_names_columns_and_candidates_that_are_there(tmp_path: Path, kinds: Any) -> None:
    pilot_file, models, data = scaffold(tmp_path)
    text = pilot_file.read_text(encoding="utf-8")
    pilot_file.write_text(text.replace("target: {python:", "target: {code:"), encoding="utf-8")
    pilot = load(pilot_file, kinds=kinds, known=("code",)).pilot
    with data.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    test = pilot.data.test
    assert set(columns) == {*test.inputs, *test.hidden}
    module = candidates(models)
    for candidate in pilot.candidates:
        name, _, function = candidate.target.options.call.partition(":")
        assert name == models.stem
        assert callable(getattr(module, function))


def test_the_candidates_answer_well_enough_for_the_gates_to_be_passed(tmp_path: Path) -> None:
    _, models, data = scaffold(tmp_path)
    module = candidates(models)
    with data.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    for candidate, least in ((module.threshold, 190), (module.centroid, 195)):
        answers = [candidate({"vibration": float(r["vibration"]), "temperature": float(r["temperature"])}) for r in rows]
        labels = [a["label"] if isinstance(a, dict) else a for a in answers]
        assert sum(label == row["state"] for label, row in zip(labels, rows, strict=True)) >= least
        assert sum(label == row["state"] == "fault" for label, row in zip(labels, rows, strict=True)) >= 95


def test_the_made_up_cases_are_the_same_every_time_and_said_to_be_made_up(tmp_path: Path) -> None:
    assert cases() == cases()
    assert cases().splitlines()[1] == "p001,-0.128,0.256,A,normal"
    pilot = scaffold(tmp_path)[0].read_text(encoding="utf-8")
    assert "made-up rows: 200 cases written by a seeded random generator (seed 7)" in pilot
