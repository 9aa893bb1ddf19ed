"""A disk that fails at any write, sync or rename leaves no half of a dossier under its name, and an old one as it was."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.dossiers import sealed, verified

from pilotbase.dossier.countersign import countersign_dossier
from pilotbase.dossier.packing import pack
from pilotbase.errors import UserError
from pilotbase.signing import Key
from pilotbase.store.disk import Calls, LocalDisk

KEY, OTHER = Key.generate(), Key.generate()
NAMES = ("open_file", "write", "sync", "rename", "mkdir")


class Failing:
    """System calls of which number `at` fails for want of space, counted over all kinds."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def disk(self) -> LocalDisk:
        real = Calls()
        return LocalDisk(Calls(**{name: self._wrapped(getattr(real, name)) for name in NAMES}))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments)

        return counted


def boundaries(work: Callable[[LocalDisk], object]) -> int:
    """How many durable calls the work makes."""
    counting = Failing(0)
    work(counting.disk())
    return counting.count


def test_a_disk_that_is_full_at_any_moment_of_sealing_leaves_nothing(tmp_path: Path) -> None:
    total = boundaries(lambda disk: sealed(tmp_path / "counted" / "d", KEY, disk))
    assert total > 20
    (tmp_path / "work").mkdir()
    out = tmp_path / "work" / "d"
    for at in range(1, total - 2):
        with pytest.raises(UserError) as caught:
            sealed(out, KEY, Failing(at).disk())
        assert "no space is left" in str(caught.value), at
        if out.exists():
            # Only the sync after the rename can still fail: then all of it is there.
            assert verified(out, KEY).exit_code == 0
            break
        assert list(out.parent.iterdir()) == [], at
    assert verified(sealed(tmp_path / "last", KEY), KEY).exit_code == 0


def test_a_disk_that_is_full_while_countersigning_leaves_the_dossier_as_it_was(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    for path in (folder, pack(folder, tmp_path / "d.zip")):
        before = sorted(os.listdir(path.parent))
        for at in range(1, 100):
            failing = Failing(at)
            try:
                countersign_dossier(path, OTHER, failing.disk())
            except UserError:
                found = verified(path, KEY)
                assert found.exit_code == 0
                assert sorted(os.listdir(path.parent)) == before
                if found.countersigners:
                    break
                continue
            break
        assert at > 3
        assert [other.fingerprint for other in verified(path, KEY).countersigners] == [OTHER.key_id]


def test_packing_on_a_full_disk_leaves_no_zip(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "d", KEY)
    for at in range(1, 12):
        with pytest.raises(UserError):
            pack(folder, tmp_path / "d.zip", Failing(at).disk())
        assert os.listdir(tmp_path) == ["d"]
