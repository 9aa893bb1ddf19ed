"""Gate packs: put in at their place, hashed, immutable once published, and told about with their own file's places."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pilotbase.domain.canonical import digest
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec.load import Loaded
from pilotbase.spec.packs import SHIPPED, known, publish, read_pack

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

PACK = """\
pack: ours
version: "2"
title: Ours
status: published
gates:
  - gate: ours.first
    checks:
      - {metric: accuracy, require: ">= 0.5"}
  - gate: ours.second
    checks:
      - {metric: accuracy, gap-by: site, require: "<= 0.5"}
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack beside the pilot."""
    path = tmp_path / "packs" / "ours@2.yaml"
    path.parent.mkdir()
    path.write_text(PACK)
    return path


@pytest.fixture
def using(base: str) -> str:
    """A pilot that uses it before its own gate."""
    return base.replace("  - gate: capability", "  - use: ours@2\n  - gate: capability")


def test_a_pack_stands_at_its_place_and_its_digest_is_recorded(load: Load, pack: Path, using: str) -> None:
    loaded = load(using)
    assert [g.gate for g in loaded.pilot.open_gates] == ["ours.first", "ours.second", "capability"]
    assert len(loaded.pilot.gates) == 3
    assert loaded.packs == {"ours@2": read_pack(pack).digest}
    assert [g["gate"] for g in loaded.document["gates"]] == ["ours.first", "ours.second", "capability"]


def test_the_digest_is_over_the_content_and_not_its_layout(pack: Path) -> None:
    before = read_pack(pack).digest
    pack.write_text("# a comment\n" + PACK.replace("title: Ours\n", "").replace("gates:", "title: Ours\ngates:"))
    assert read_pack(pack).digest == before
    assert before == digest(read_pack(pack).document.data)
    pack.write_text(PACK.replace("0.5", "0.4"))
    assert read_pack(pack).digest != before


def test_a_published_pack_that_changed_is_refused_with_both_digests(
    problems: Problems, load: Load, pack: Path, using: str
) -> None:
    published = publish(pack)
    assert load(using).packs == {"ours@2": published}
    pack.write_text(PACK.replace("0.5", "0.4"))
    now = read_pack(pack).digest
    assert problems(using) == [
        f"packs/ours@2.yaml:1:1: the pack was published as {published} and is now {now}; "
        "put it back, or give the change a new version"
    ]


def test_publishing_again_changes_nothing_and_a_changed_pack_is_not_published(pack: Path) -> None:
    first = publish(pack)
    lock = pack.with_suffix(".lock")
    assert lock.read_text() == first + "\n"
    assert publish(pack) == first
    pack.write_text(PACK.replace("0.5", "0.4"))
    with pytest.raises(InvalidInput) as refused:
        publish(pack)
    assert first in refused.value.problems[0]
    assert lock.read_text() == first + "\n"


def test_a_draft_is_used_and_not_published(load: Load, pack: Path, using: str) -> None:
    pack.write_text(PACK.replace("status: published", "status: draft"))
    assert load(using).packs
    with pytest.raises(UserError, match="is a draft"):
        publish(pack)
    assert not pack.with_suffix(".lock").exists()


def test_problems_in_a_pack_have_the_places_of_its_file(problems: Problems, pack: Path, using: str) -> None:
    pack.write_text(PACK.replace('">= 0.5"', "0.5").replace("title: Ours", "titel: Ours"))
    assert problems(using.replace("seed: 7", "seed: x")) == [
        "pilot.yaml:8:7: seed: found the text `x`; allowed: a whole number",
        "packs/ours@2.yaml:3:1: titel: `titel` is not a word here; "
        "allowed: pack, version, gates, title, status; did you mean `title`?",
        'packs/ours@2.yaml:8:37: gates[0].checks[0].require: found the number 0.5; allowed: text; quote it: "0.5"',
    ]


def test_rules_between_pilot_and_pack_are_told_at_the_packs_place(problems: Problems, pack: Path, using: str) -> None:
    assert problems(using.replace("groups: [site]", "groups: [ward]").replace("gap-by: site", "gap-by: ward")) == [
        "packs/ours@2.yaml:11:36: gates[1].checks[0].gap-by: `site` is not declared as a group; one of: ward"
    ]


def test_a_name_that_both_use_is_told_at_the_pilots_place(problems: Problems, pack: Path, using: str) -> None:
    assert problems(using.replace("gate: capability", "gate: ours.first")) == [
        "pilot.yaml:20:11: gates[1].gate: `ours.first` is used twice"
    ]


def test_a_pack_that_cannot_be_read_hides_no_other_problem(problems: Problems, pack: Path, using: str) -> None:
    pack.write_text("pack: [")
    assert problems(using.replace('">= 0.9"', '"0.9"').replace("gap-by: site", "gap-by: sex")) == [
        "pilot.yaml:22:37: gates[1].checks[0].require: `0.9` is not a requirement; "
        "write `OP VALUE [UNIT]` with OP one of >= <= = in, as in `>= 0.95` or `<= 50 ms`",
        "pilot.yaml:23:36: gates[1].checks[1].gap-by: `sex` is not declared as a group; one of: site",
        "packs/ours@2.yaml:1:8: the file ends where a value should stand; write it and close what is open",
    ]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            ("pack: ours", "pack: theirs"),
            ":1:7: pack: the file is named for the pack `ours`, and says `theirs`; make them the same",
        ),
        (('version: "2"', 'version: "3"'), ":2:10: version: the file is named for version `2`, and says `3`; make them the same"),
        (('version: "2"', "version: 2"), ':2:10: version: found the number 2; allowed: text; quote it: "2"'),
        (("status: published", "status: final"), ":4:9: status: found the text `final`; allowed: one of draft, published"),
    ],
)
def test_a_pack_must_be_what_its_file_is_called(
    edit: tuple[str, str], line: str, problems: Problems, pack: Path, using: str
) -> None:
    pack.write_text(PACK.replace(*edit))
    assert problems(using) == [f"packs/ours@2.yaml{line}"]


@pytest.mark.parametrize("content", ["", "[]", "pack: ours\n", "\x00", "5"])
def test_a_file_that_is_no_pack_is_an_error_in_its_own_place(content: str, problems: Problems, pack: Path, using: str) -> None:
    pack.write_text(content)
    assert all(line.startswith("packs/ours@2.yaml:1:") for line in problems(using))


def test_a_pack_cannot_use_a_pack(problems: Problems, pack: Path, using: str) -> None:
    pack.write_text(PACK + "  - use: binary-basics@1\n")
    assert [line.split(";")[0] for line in problems(using)] == [
        "packs/ours@2.yaml:12:5: gates[2].checks: `checks` is missing",
        "packs/ours@2.yaml:12:5: gates[2].gate: `gate` is missing",
        "packs/ours@2.yaml:12:5: gates[2].use: `use` is not a word here",
    ]


@pytest.mark.parametrize("use", ["../ours@2", "/etc/passwd@1", "ours@../2", "Ours@2"])
def test_a_name_cannot_lead_out_of_the_folder_of_packs(use: str, problems: Problems, pack: Path, using: str) -> None:
    assert "names no pack" in problems(using.replace("ours@2", use))[0]


def test_packs_that_come_along_are_sound_and_say_that_they_are_drafts(tmp_path: Path) -> None:
    files = sorted(SHIPPED.glob("*.yaml"))
    assert [f.stem for f in files] == list(known(tmp_path)) == ["binary-basics@1"]
    for file in files:
        found = read_pack(file)
        assert found.faults == ()
        assert found.pack is not None
        assert found.pack.status == "draft"


def test_a_pack_that_comes_along_can_be_used(load: Load, base: str) -> None:
    loaded = load(base.replace("  - gate: capability", "  - use: binary-basics@1\n  - gate: capability"))
    assert loaded.packs["binary-basics@1"].startswith("sha256:")
    assert {c.metric for g in loaded.pilot.open_gates[:2] for c in g.checks} == {"failure-rate", "sensitivity", "specificity"}


def test_a_pack_used_twice_is_told_where_it_is_used_again(problems: Problems, pack: Path, using: str) -> None:
    assert problems(using.replace("  - use: ours@2\n", "  - use: ours@2\n" * 3)) == [
        "pilot.yaml:20:10: gates[1].use: `ours@2` is used twice; keep one",
        "pilot.yaml:21:10: gates[2].use: `ours@2` is used twice; keep one",
    ]
