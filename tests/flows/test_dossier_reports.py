"""The reports of a dossier, its schema and packs, and a disk that fills while it is sealed."""

import errno
import os
import shutil
import xml.etree.ElementTree as ET
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.flows.stories import pilotbase, record_of, sealed
from tests.flows.support import Base, cases

from pilotbase.domain.gate import Check, Gate
from pilotbase.domain.pilot import Pilot, TestData
from pilotbase.errors import Interrupted, UserError
from pilotbase.flows.dossier import make_dossier
from pilotbase.flows.enclose import Wishes
from pilotbase.pilots.progress import Silent, Step
from pilotbase.pilots.records import find_run
from pilotbase.store.disk import Calls, LocalDisk

PACKS = """pack: tiny
version: "1.0"
status: published
gates:
  - gate: capability
    checks:
      - {metric: accuracy, require: ">= 0.7"}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("reports")
    found = Base(folder=folder / "pilot", home=folder / "home")
    checks = [
        {"metric": "accuracy", "require": ">= 0.7"}, {"metric": "sensitivity", "require": ">= 0.99"},
        {"metric": "accuracy", "gap-by": "site", "require": "<= 0.01", "role": "inform"},
        {"metric": "auroc", "require": ">= 0.8"},
    ]  # fmt: skip
    candidates = {n: found.python(n) for n in ("scored", "coin", "wrong")}
    return found.write(
        rows=cases(569),
        checks=checks,
        candidates=candidates,
        data={"groups": ["site"]},
        more={"title": {"en": "Small <&> trial", "zh": "小试"}},
    )


@pytest.fixture(scope="module")
def dossier(base: Base) -> Path:
    return sealed(base, run_flags=("--no-early-stop",))


def test_junit_has_one_case_for_each_check_with_its_verdict(dossier: Path) -> None:
    root = ET.parse(dossier / "junit.xml").getroot()
    checks = [k for c in record_of(dossier)["result"]["candidates"] for g in c["gates"] for k in g["checks"]]
    assert len(root.findall(".//testcase")) == len(checks) == 12
    assert int(root.attrib["tests"]) == 12
    failing = [k for k in checks if k["verdict"] == "fail" and k["role"] == "decide"]
    assert len(root.findall(".//failure")) == int(root.attrib["failures"]) == len(failing) > 0


def test_html_and_markdown_tell_every_candidate_and_verdict(dossier: Path) -> None:
    page, text = (dossier / "report.html").read_text("utf-8"), (dossier / "report.md").read_text("utf-8")
    assert "Small &lt;&amp;&gt; trial" in page
    for written in (page, text):
        for name in ("scored", "coin", "wrong"):
            assert name in written
    assert "小试" in page
    assert "<script src" not in page
    assert "FAIL" in text


class Filling:
    """A disk whose system call of number `at` finds no space."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def disk(self) -> LocalDisk:
        real = Calls()
        return LocalDisk(
            Calls(**{name: self._counted(getattr(real, name)) for name in ("open_file", "write", "sync", "rename", "mkdir")})
        )

    def _counted(self, call: Any) -> Any:
        def counted(*given: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*given)

        return counted


def test_a_disk_that_fills_while_sealing_leaves_nothing(base: Base, dossier: Path, tmp_path: Path, full: bool) -> None:
    filling = Filling(0)
    with base.opened(filling.disk()) as context:
        before = filling.count
        make_dossier(context, find_run(context.database, "last"), tmp_path / "whole", Wishes())
        calls = filling.count - before
    assert calls > 20
    shutil.rmtree(tmp_path / "whole")
    step = 1 if full else max(1, calls // 12)
    for at in [*range(1, calls, step), calls]:
        filling = Filling(0)
        with base.opened(filling.disk()) as context:
            filling.at = filling.count + at
            with pytest.raises(UserError) as raised:
                make_dossier(context, find_run(context.database, "last"), tmp_path / "d", Wishes())
        assert "space" in str(raised.value) or "full" in str(raised.value)
        assert not [p for p in tmp_path.iterdir() if p.name != "d" or not (p / "statement.dsse.json").exists()], at
        shutil.rmtree(tmp_path / "d", ignore_errors=True)


def test_the_schema_is_one_json_document_that_names_every_word(base: Base) -> None:
    said = pilotbase(base.home, "schema")
    assert said.code == 0
    assert said.json["$schema"].startswith("https://json-schema.org/")
    for part in (Pilot, Check, Gate, TestData):
        for field in fields(part):
            assert f'"{field.name.rstrip("_").replace("_", "-")}"' in said.out, field.name


def test_packs_are_listed_published_and_then_fixed(base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    folder.mkdir()
    pack = folder / "tiny@1.0.yaml"
    pack.write_text(PACKS)
    said = pilotbase(base.home, "pack", "ls", tmp_path)
    assert "tiny@1.0" in said.out
    published = pilotbase(base.home, "pack", "publish", pack)
    assert published.code == 0, published.err
    assert published.out.startswith("sha256:")
    assert pilotbase(base.home, "pack", "publish", pack).out == published.out
    pack.write_text(PACKS.replace("0.7", "0.6"))
    said = pilotbase(base.home, "pack", "publish", pack)
    assert said.code == 2
    assert "new version" in said.err


def test_show_and_runs_print_one_json_document(base: Base, dossier: Path) -> None:
    run = record_of(dossier)["run"]["id"]
    assert pilotbase(base.home, "show", run, "--json").json["run"] == run
    assert run in str(pilotbase(base.home, "runs", "--json").json)
    assert pilotbase(base.home, "show", "nobody").code == 2


class Stopping(Silent):
    """Ctrl-C at the first news of the run."""

    def step(self, step: Step) -> None:
        raise KeyboardInterrupt


def test_a_run_that_was_cut_has_no_dossier_and_no_comparison_yet(tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home").write()
    with pytest.raises(Interrupted):
        base.run(progress=Stopping())
    listed = pilotbase(base.home, "runs", "--json").json
    assert len(listed) == 1
    run = listed[0]["run"]
    for words in (("dossier", run, "--out", tmp_path / "d"), ("compare", run, run), ("disclose", "open", run, "good", "c1")):
        said = pilotbase(base.home, *words)
        assert said.code == 2, words
        assert "unfinished" in said.err
    assert not (tmp_path / "d").exists()
