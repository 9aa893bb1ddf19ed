"""A backup from somebody else's hands: it leads nowhere else, fills no disk, and is taken whole or not at all."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.flows.admin.conftest import Opened

from pilotbase.context import SystemClock
from pilotbase.errors import UserError
from pilotbase.flows.backup import backup
from pilotbase.flows.restore import restore
from pilotbase.store.archive import ArchiveReader
from pilotbase.store.disk import LocalDisk

Entries = list[tuple[tarfile.TarInfo, bytes]]
Document = dict[str, Any]


@pytest.fixture
def good(opened: Opened, tmp_path: Path) -> Path:
    with opened() as context:
        (context.home / "dossiers").mkdir()
        (context.home / "dossiers" / "record.json").write_text("{}")
        context.database.execute("INSERT INTO criteria (digest, recorded, document) VALUES ('d', 'now', '{}')")
        return backup(context, tmp_path / "good.tar", who="t").path


def entries_of(path: Path) -> tuple[Entries, Document]:
    with tarfile.open(path) as tar:
        found = [(entry, tar.extractfile(entry).read()) for entry in tar]
    return found[:-1], orjson.loads(found[-1][1])


def pack(path: Path, entries: Entries, document: Document) -> Path:
    text = orjson.dumps(document)
    with tarfile.open(path, "w") as tar:
        for entry, data in [*entries, (plain("manifest.json", text), text)]:
            tar.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return path


def plain(name: str, data: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = (len(data) if kind == tarfile.REGTYPE else 0), kind, link
    return entry


def listed(name: str, data: bytes, **more: Any) -> Document:
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "private": True, **more}


def refused(path: Path, folder: Path) -> UserError:
    before = sorted(folder.iterdir())
    with pytest.raises(UserError) as caught:
        restore(path, folder / "new", disk=LocalDisk(), clock=SystemClock(), who="t")
    assert sorted(folder.iterdir()) == before and caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["home/../../out", "home//x", "/home/x", "home/./x", "../x", "home", "home/", "x", "home/a\\b", "home/a\nb", "tables/x",
     "home/" + "x" * 300, "home/" + "x/" * 600 + "x", "tables/a b.jsonl.gz", "home/pilotbase.db", "home/pilotbase.db-wal"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(good: Path, tmp_path: Path, name: str) -> None:
    entries, document = entries_of(good)
    document["members"].append(listed(name, b"evil"))
    refused(pack(tmp_path / "evil.tar", [*entries, (plain(name, b"evil"), b"evil")], document), tmp_path)
    assert not (tmp_path.parent / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_plain_file_is_refused(good: Path, tmp_path: Path, kind: bytes) -> None:
    entries, document = entries_of(good)
    document["members"].append(listed("home/evil", b""))
    evil = plain("home/evil", b"", kind, "/etc/passwd")
    assert "no plain file" in str(refused(pack(tmp_path / "evil.tar", [*entries, (evil, b"")], document), tmp_path))


def twice(entries: Entries, document: Document) -> None:
    entries.append(entries[-1])


def unlisted(entries: Entries, document: Document) -> None:
    entries.append((plain("home/evil", b"x"), b"x"))


def absent(entries: Entries, document: Document) -> None:
    entries.pop()


def longer(entries: Entries, document: Document) -> None:
    document["members"][0]["size"] += 1


def newer(entries: Entries, document: Document) -> None:
    document["schema"] = 999


def other_format(entries: Entries, document: Document) -> None:
    document["format"] = 2


def endless(entries: Entries, document: Document) -> None:
    document["members"][0]["unpacked"] = 1 << 60


def unknown_table(entries: Entries, document: Document) -> None:
    data = gzip.compress(b'["a"]\n')
    entries.append((plain("tables/evil.jsonl.gz", data), data))
    document["members"].append(listed("tables/evil.jsonl.gz", data, rows=0, unpacked=6))


def bomb(entries: Entries, document: Document) -> None:
    _table(entries, document, b'["digest","recorded","document","countersignature"]\n' + b"0" * (8 << 20), unpacked=100)


def wrong_rows(entries: Entries, document: Document) -> None:
    _table(entries, document, b'["digest","recorded","document","countersignature"]\n["d","now",{"a":1},null]\n')


def short_rows(entries: Entries, document: Document) -> None:
    _table(entries, document, b'["digest","recorded","document","countersignature"]\n["d"]\n')


def fewer_rows(entries: Entries, document: Document) -> None:
    _table(entries, document, b'["digest","recorded","document","countersignature"]\n')


def other_columns(entries: Entries, document: Document) -> None:
    _table(entries, document, b'["digest\\") VALUES (1); --","recorded","document","countersignature"]\n["d","n","{}",null]\n')


def no_chain(entries: Entries, document: Document) -> None:
    document["link"] = "1:" + "0" * 64


def _table(entries: Entries, document: Document, text: bytes, unpacked: int | None = None) -> None:
    name, data = "tables/criteria.jsonl.gz", gzip.compress(text)
    place = next(i for i, (entry, _) in enumerate(entries) if entry.name == name)
    entries[place] = (plain(name, data), data)
    document["members"][place] = listed(name, data, rows=1, unpacked=len(text) if unpacked is None else unpacked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (twice, "stands there twice"),
        (unlisted, "do not agree"),
        (absent, "do not agree"),
        (longer, "do not agree"),
        (newer, "written by a newer version"),
        (other_format, "has format 2"),
        (endless, "MiB are free"),
        (unknown_table, "has no table `evil`"),
        (bomb, "more than its manifest says"),
        (wrong_rows, "none that a database keeps"),
        (short_rows, "has 1 values for 4 columns"),
        (fewer_rows, "should have 1 rows"),
        (other_columns, "its columns are others"),
        (no_chain, "newest link"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_fit_is_refused_and_named(
    good: Path, tmp_path: Path, change: Callable[[Entries, Document], None], said: str
) -> None:
    entries, document = entries_of(good)
    change(entries, document)
    assert said in str(refused(pack(tmp_path / "evil.tar", entries, document), tmp_path))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), flip=st.integers(min_value=0, max_value=255))
def test_a_cut_or_a_changed_byte_is_found_or_changes_nothing(good: Path, tmp_path: Path, at: int, flip: int) -> None:
    data = bytearray(good.read_bytes())
    at %= len(data)
    if flip:
        data[at] ^= flip
    else:
        del data[at:]
    changed = tmp_path / "changed.tar"
    changed.write_bytes(data)
    with ArchiveReader(good) as whole:
        try:
            with ArchiveReader(changed) as found:
                assert found.manifest == whole.manifest or flip
                assert {one.name for one in found.manifest.members} == {one.name for one in whole.manifest.members}
                for member in found.manifest.members:
                    found.check(member)
        except UserError as error:
            assert error.hint


def test_a_file_that_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive at all\n" * 100)
    assert "cannot be read as an archive" in str(refused(tmp_path / "text", tmp_path))
    (tmp_path / "empty").write_bytes(b"")
    assert "cannot be" in str(refused(tmp_path / "empty", tmp_path))
    assert "the file is missing" in str(refused(tmp_path / "nothing", tmp_path))
    assert "manifest" in str(refused(pack(tmp_path / "list.tar", [], []), tmp_path))  # type: ignore[arg-type]
