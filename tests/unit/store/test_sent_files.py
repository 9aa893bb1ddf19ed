"""Zips that people send: what is taken, and what would harm."""

import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.disk import LocalDisk
from pilotbase.store.sent_files import Allowance, digest_files, keep, name_problem, unpack


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], packed: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", packed) as archive:
        for name, data in files:
            archive.writestr(name, data)
    whole.seek(0)
    return whole


def test_plain_files_are_taken_and_one_folder_around_them_is_left_out() -> None:
    assert unpack(zipped(("pilot.yaml", b"a"), ("data/x.csv", b"b")), Allowance()) == {"pilot.yaml": b"a", "data/x.csv": b"b"}
    around = zipped(("top/pilot.yaml", b"a"), ("top/data/x.csv", b"b"), ("__MACOSX/top/._x.csv", b"?"))
    assert set(unpack(around, Allowance())) == {"pilot.yaml", "data/x.csv"}


@pytest.mark.parametrize(
    "name",
    [
        "../x.csv", "a/../../x.csv", "/etc/x.csv", "C:\\x.csv", "a\\x.csv", "a//x.csv", "./x.csv", ".hidden.csv", "a/.git/x.csv",
        "x.exe", "x.pkl", "x.zip", "x", "x.csv\0.txt", "x\u202e.csv", "__pycache__/x.py", "a/" * 20 + "x.csv", "x" * 500 + ".csv",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_is_of_no_use_is_refused(name: str, tmp_path: Path) -> None:
    assert name_problem(name) is not None
    with pytest.raises(UserError):
        keep({name: b"1"}, tmp_path / "w", LocalDisk())
    assert not any((tmp_path / "w").glob("*")) if (tmp_path / "w").exists() else True
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["w"])


def test_links_devices_twins_and_encrypted_members_are_refused_all_at_once() -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(InvalidInput) as caught:
        unpack(zipped((link, b"/etc/passwd"), ("A.csv", b"1"), ("a.csv", b"2"), ("x.exe", b"3")), Allowance())
    told = "\n".join(caught.value.problems)
    assert "link.csv: it is a link" in told and "a.csv: another file's name" in told and "x.exe" in told


def test_a_bomb_ends_before_it_fills_anything_whatever_its_head_says() -> None:
    bomb = zipped(("zeros.csv", b"\0" * (8 << 20)))
    with pytest.raises(UserError, match="zip bomb"):
        unpack(bomb, Allowance())
    wide = zipped(*((f"{i}.csv", b"\0" * (1 << 19)) for i in range(8)), packed=zipfile.ZIP_STORED)
    with pytest.raises(UserError, match="more than 2 MiB"):
        unpack(wide, Allowance(bytes=2 << 20))
    liar = bytearray(zipped(("x.csv", b"\0" * (4 << 20)), packed=zipfile.ZIP_STORED).getvalue())
    told = (4 << 20).to_bytes(4, "little")
    liar = liar.replace(told, (10).to_bytes(4, "little"))
    with pytest.raises(UserError):
        unpack(io.BytesIO(bytes(liar)), Allowance(bytes=1 << 20))
    with pytest.raises(UserError, match="2,001 files"):
        unpack(zipped(*((f"{i}.csv", b"") for i in range(2001))), Allowance())


@given(st.binary(max_size=300))
def test_bytes_that_are_no_zip_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(UserError):
        unpack(io.BytesIO(data), Allowance())


def test_what_is_kept_lies_under_its_digest_once_and_is_whole(tmp_path: Path) -> None:
    files = {"pilot.yaml": b"a", "data/x.csv": b"b"}
    first, second = keep(files, tmp_path, LocalDisk()), keep(files, tmp_path, LocalDisk())
    assert first == second == digest_files(files)
    assert [path.name for path in tmp_path.iterdir()] == [first.removeprefix("sha256:")]
    assert (tmp_path / first[7:] / "data" / "x.csv").read_bytes() == b"b"
    assert digest_files({**files, "pilot.yaml": b"c"}) != first
