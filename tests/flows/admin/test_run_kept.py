"""A finished run's page reads its evidence once, says the same the second time, and sees when the evidence became another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.flows.admin.conftest import Opened
from tests.flows.support import Base, cases

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.run_sight import run_sight
from pilotbase.pilots.records import find_run
from pilotbase.store.disk import LocalDisk


class Reading(LocalDisk):
    """Names the evidence that is read."""

    __slots__ = ("read_names",)

    def __init__(self) -> None:
        super().__init__()
        self.read_names: list[str] = []

    def read(self, path: Path) -> bytes:
        self.read_names.append(path.name)
        return super().read(path)


@pytest.fixture
def home(tmp_path: Path, opened: Opened) -> Iterator[Context]:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home")
    checks = [{"metric": "accuracy", "require": ">= 0.6"}]
    base.write(rows=cases(40), candidates={"good": base.python("good")}, checks=checks)
    base.run()
    with opened() as context:
        yield context


def test_the_second_view_reads_no_evidence_and_says_the_same(home: Context) -> None:
    disk = Reading()
    context = replace(home, disk=disk)
    first = run_sight(context, find_run(context.database, "last"))
    assert "00000001.parquet" in disk.read_names
    disk.read_names.clear()
    assert run_sight(context, find_run(context.database, "last")) == first
    assert disk.read_names == []
    assert run_sight(context, find_run(context.database, "last"), confidence=0.9)["exploratory_because"]
    assert "00000001.parquet" in disk.read_names


def test_evidence_that_was_changed_after_a_view_is_found(home: Context) -> None:
    run_sight(home, find_run(home.database, "last"))
    path = next(home.home.rglob("00000001.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="changed after it was sealed"):
        run_sight(home, find_run(home.database, "last"))
    path.unlink()
    with pytest.raises(UserError, match="the file is missing"):
        run_sight(home, find_run(home.database, "last"))
