"""The shared page that tells workers of changes."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.gateway.epoch import EpochPage


def _bump(home: str, times: int) -> None:
    with EpochPage.open(Path(home)) as page:
        for _ in range(times):
            page.bump()


def test_a_change_made_by_one_process_is_seen_by_another_without_asking(tmp_path: Path) -> None:
    with EpochPage.open(tmp_path) as page:
        before = page.value
        other = multiprocessing.get_context("spawn").Process(target=_bump, args=(str(tmp_path), 1))
        other.start()
        other.join()
        assert other.exitcode == 0
        assert page.value == before + 1


def test_no_bump_is_lost_among_processes_and_threads(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=_bump, args=(str(tmp_path), 300)) for _ in range(2)]
    with EpochPage.open(tmp_path) as page:
        for other in others:
            other.start()
        threads = [threading.Thread(target=lambda: [page.bump() for _ in range(300)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for worker in [*threads, *others]:
            worker.join()
        assert page.value == 5 * 300


def test_two_pages_opened_at_once_are_one(tmp_path: Path) -> None:
    found: list[EpochPage] = []
    threads = [threading.Thread(target=lambda: found.append(EpochPage.open(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found[0].bump()
    assert [page.value for page in found] == [1] * 8
    for page in found:
        page.close()
        page.close()
    assert os.listdir(tmp_path / "gateway") == ["epoch"]


@pytest.mark.parametrize("data", [b"", b"1234567", b"123456789"])
def test_a_file_that_is_no_page_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "epoch").write_bytes(data)
    with pytest.raises(UserError, match="not an epoch page"):
        EpochPage.open(tmp_path)


def test_a_page_that_was_cut_short_removed_or_replaced_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "gateway" / "epoch"
    with EpochPage.open(tmp_path) as page:
        page.check()
        os.truncate(path, 3)
        with pytest.raises(UserError, match="3 bytes instead of 8"):
            page.check()
    path.unlink()
    with EpochPage.open(tmp_path) as page:
        path.rename(path.with_name("away"))
        with pytest.raises(UserError, match="no such file"):
            page.check()
        path.write_bytes(bytes(8))
        with pytest.raises(UserError, match="another file was put in place"):
            page.bump()


def test_a_closed_page_raises_rather_than_say_that_nothing_changed(tmp_path: Path) -> None:
    page = EpochPage.open(tmp_path)
    page.close()
    with pytest.raises(ValueError):
        _ = page.value
