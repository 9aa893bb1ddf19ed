"""How long logs and bodies are kept."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.gateway.retention import KEEP, sweep

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"{}\n")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_logs_are_kept_for_183_whole_days_and_then_removed(tmp_path: Path) -> None:
    # 183 days before noon of 30 November is noon of 31 May: that day is not over, the one before is.
    put(
        tmp_path,
        "2026-05-29.w1.jsonl",
        "2026-05-30.w1.jsonl",
        "2026-05-30.w2.jsonl",
        "2026-05-31.w1.jsonl",
        "2026-11-30.w1.jsonl",
    )
    swept = sweep(tmp_path, NOW)
    assert timedelta(days=183) == KEEP
    assert swept.files == ("2026-05-29.w1.jsonl", "2026-05-30.w1.jsonl", "2026-05-30.w2.jsonl")
    assert left(tmp_path) == ["2026-05-31.w1.jsonl", "2026-11-30.w1.jsonl"]


def test_what_was_removed_is_said(tmp_path: Path) -> None:
    put(tmp_path, "2026-01-01.w1.jsonl", "2026-01-02.w1.jsonl")
    swept = sweep(tmp_path, NOW)
    assert str(swept) == f"{tmp_path}: removed 2 file(s), 6 bytes, of 2 day(s): 2026-01-01 to 2026-01-02"
    assert str(sweep(tmp_path, NOW)) == f"{tmp_path}: nothing is old enough to be removed"


def test_bodies_may_have_a_shorter_time_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "2026-11-20.w1.jsonl", "2026-11-28.w1.jsonl")
    assert sweep(tmp_path, NOW, timedelta(days=7)).days == ("2026-11-20",)


def test_days_are_those_of_utc_in_whatever_zone_the_time_is_given(tmp_path: Path) -> None:
    put(tmp_path, "2026-11-29.w1.jsonl")
    early = datetime(2026, 12, 1, 7, tzinfo=timezone(timedelta(hours=8)))  # 30 November, 23:00 UTC
    assert sweep(tmp_path, early, timedelta(days=1)).files == ()
    assert sweep(tmp_path, early + timedelta(hours=1), timedelta(days=1)).files == ("2026-11-29.w1.jsonl",)


def test_other_files_stay(tmp_path: Path) -> None:
    names = ["notes.txt", "2026-01-01.jsonl", "2026-13-01.w1.jsonl", "2026-01-01.w1.jsonl.gz", "x2026-01-01.w1.jsonl", "state.db"]
    put(tmp_path, *names)
    assert sweep(tmp_path, NOW).files == ()
    assert left(tmp_path) == sorted(names)


def test_links_are_never_followed_and_never_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, "2026-01-01.w1.jsonl")
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "2026-01-02.w1.jsonl").symlink_to(outside / "2026-01-01.w1.jsonl")
    (logs / "2026-01-03.w1.jsonl").mkdir()
    (tmp_path / "linked").symlink_to(outside)
    assert sweep(logs, NOW).files == ()
    assert sweep(tmp_path / "linked", NOW).files == ()
    assert left(outside) == ["2026-01-01.w1.jsonl"] and len(left(logs)) == 2


def test_folders_inside_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "inner", "2026-01-01.w1.jsonl")
    assert sweep(tmp_path, NOW).files == ()
    assert left(tmp_path / "inner") == ["2026-01-01.w1.jsonl"]


def test_a_missing_folder_is_an_empty_one_and_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", NOW).files == ()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: could not read it"):
        sweep(tmp_path / "file", NOW)


def test_a_time_without_a_zone_or_a_time_to_keep_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        sweep(tmp_path, datetime(2026, 11, 30))
    with pytest.raises(ValueError, match="positive"):
        sweep(tmp_path, NOW, timedelta(0))
