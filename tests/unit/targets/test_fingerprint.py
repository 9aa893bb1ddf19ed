"""A fingerprint changes with what a candidate is made of, and with nothing else."""

from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint, Prompting, TargetContext
from pilotbase.targets.python import Options, kind, parse_size


def _print(folder: Path, **options: object) -> Fingerprint:
    context = TargetContext(folder=folder, prompting=Prompting(), secrets=lambda name: None, scratch=folder / ".scratch")
    return kind.fingerprint(Options(call="models:one", **options), context)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text("raise RuntimeError('never imported')\n")
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "__init__.py").touch()
    (tmp_path / "lib" / "deep" / "part.py").write_text("A = 1\n")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"1")
    return tmp_path


@pytest.mark.parametrize("name", ["models.py", "lib/deep/part.py", "new.py"])
def test_a_change_of_code_beside_the_pilot_changes_it_and_is_named(name: str, folder: Path) -> None:
    before = _print(folder)
    (folder / name).write_text("B = 2\n")
    after = _print(folder)
    assert before.digest != after.digest
    assert {k for k in before.parts | after.parts if before.parts.get(k) != after.parts.get(k)} == {f"code {name}"}


@pytest.mark.parametrize("name", ["data.csv", "notes/run.py", "lib/__pycache__/x.py", ".hidden/y.py", "weights/w.bin"])
def test_files_that_are_no_part_of_it_leave_it_as_it_is(name: str, folder: Path) -> None:
    before = _print(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("other\n")
    assert _print(folder) == before


def test_declared_files_are_parts(folder: Path) -> None:
    before = _print(folder, files=("weights", "models.py"))
    assert "file weights/w.bin" in before.parts
    (folder / "weights" / "w.bin").write_bytes(b"2")
    assert _print(folder, files=("weights", "models.py")).digest != before.digest


def test_the_way_of_calling_is_a_part_and_the_size_of_a_batch_is_not(folder: Path) -> None:
    assert _print(folder, batch=4) == _print(folder, batch=8) != _print(folder)


def test_a_missing_declared_file_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        _print(folder, files=("absent.bin",))


def test_a_missing_module_is_an_error_that_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"put `models\.py` beside the pilot file") as caught:
        _print(tmp_path)
    assert caught.value.code == 4


def test_an_installed_module_is_fingerprinted_without_being_imported(tmp_path: Path) -> None:
    context = TargetContext(folder=tmp_path, prompting=Prompting(), secrets=lambda name: None, scratch=tmp_path)
    found = kind.fingerprint(Options(call="pluggy._hooks:HookRelay"), context)
    assert "code pluggy/_hooks.py" in found.parts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("call", "models"),
        ("call", "models:"),
        ("call", "a b:c"),
        ("batch", -1),
        ("frame", 10**9),
        ("workers", 0),
        ("timeout", "soon"),
        ("memory", "2"),
    ],
)
def test_wrong_options_are_problems_at_their_place(field: str, value: object) -> None:
    (problem,) = Options(**{"call": "models:one", field: value}).problems()
    assert problem.path == (field,)


def test_batch_and_frame_exclude_each_other() -> None:
    (problem,) = Options(call="m:f", batch=2, frame=2).problems()
    assert "keep one" in str(problem.hint)


def test_sizes_are_read() -> None:
    assert (parse_size("2GiB"), parse_size("512 MB")) == (2**31, 512_000_000)
