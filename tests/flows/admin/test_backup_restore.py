"""A base is put into one file and comes back from it: between both databases, from older schemas, and with its audit log."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.filled_tables import everything_in, fill_tables, kinds
from tests.flows.admin.conftest import Opened

from pilotbase.accounts import members
from pilotbase.context import Context, SystemClock
from pilotbase.domain.backup import UNKEPT, Manifest, Member
from pilotbase.errors import UserError
from pilotbase.flows.backup import backup
from pilotbase.flows.restore import restore
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.signing import Key
from pilotbase.store import audit
from pilotbase.store.archive import ArchiveReader, ArchiveWriter, pack_lines
from pilotbase.store.database import Database, migrations
from pilotbase.store.disk import Calls, LocalDisk
from pilotbase.store.neutral import lines

NEWEST = len(migrations())
CLOCK = SystemClock()
DISK = LocalDisk()


def put_back(source: Path, home: Path, database: str | None = None) -> Any:
    return restore(source, home, disk=DISK, clock=CLOCK, who="user:test", database=database)


def furnished(context: Context) -> None:
    """A chain of entries, an account, keys, and files of every kind."""
    now = context.clock.now()
    members.create_first(
        context.database, login="li", name="李明", organisation="医院", password="four plain words here", now=now
    )
    Key.load_or_create(context.home)
    load_pepper(context.home)
    for name, text in {
        "dossiers/a/报告.html": "档案",
        "runs/gone-1/cases.parquet": "of no run",
        "scratch/1/passing": "x",
        "gateway/serve.lock": "{}",
        "gateway/logs/2026-11-01.w.jsonl": "{}\n",
        "keys/set-up-code": "code",
    }.items():
        path = context.home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    audit.verify_home(context.database, context.disk, context.home)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_every_row_goes_from_either_database_into_either(
    place: Path | str, target: str, opened: Opened, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Where both are PostgreSQL the same server holds one after the other."""
    address = place if isinstance(place, str) else None
    with opened(database=address) as context:
        before = fill_tables(context.database, NEWEST)
        context.database.execute("DELETE FROM audit")  # these rows are no chain; the next test has one
        context.database.execute("DELETE FROM audit_chain")
        order = [row["run"] for row in context.database.rows("SELECT run FROM runs ORDER BY rowid")]
        done = backup(context, tmp_path / "b.tar", who="user:test")
        if address is not None and target == "postgresql":
            for table in reversed(context.database.tables()):
                context.database.execute(f"DROP TABLE {table} CASCADE")
            context.database.execute("DROP TABLE schema_version")
    new = (address or str(request.getfixturevalue("postgres_url"))) if target == "postgresql" else None
    put_back(done.path, tmp_path / "new", new)
    with Database(new or tmp_path / "new" / "pilotbase.db") as database:
        after = everything_in(database, kinds(NEWEST))
        for table, rows in before.items():
            if table not in ("audit", "audit_chain"):
                assert after[table] == ([] if table in UNKEPT else rows), table
        assert [row["run"] for row in database.rows("SELECT run FROM runs ORDER BY rowid")] == order


def test_the_files_the_account_and_the_audit_log_come_back(opened: Opened, tmp_path: Path) -> None:
    with opened() as context:
        furnished(context)
        link = audit.newest(context.database)
        done = backup(context, tmp_path / "b.tar", who="user:li", keys=True)
        assert done.path.stat().st_size == done.size and done.path.stat().st_mode & 0o777 == 0o600
        noted = audit.entries(context.database, action="base.backup")
        assert [(e.who, e.detail["keys"], e.detail["sha256"]) for e in noted] == [("user:li", True, done.sha256)]
    found = put_back(done.path, tmp_path / "new" / "home")
    home = tmp_path / "new" / "home"
    kept = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert kept == {
        "pilotbase.db", "audit-newest", "dossiers/a/报告.html", "gateway/logs/2026-11-01.w.jsonl",
        "keys/pepper", "keys/signing.pem",
    }  # fmt: skip
    assert Key.load(home / "keys" / "signing.pem").key_id == Key.load(tmp_path / "home" / "keys" / "signing.pem").key_id
    assert (home.stat().st_mode | (home / "keys").stat().st_mode) & 0o077 == 0
    with opened("new/home") as context:
        report = audit.verify_home(context.database, context.disk, home, [link] if link else [])
        assert report.broken is None and report.entries == found.log.entries + 1
        assert [e.action for e in audit.entries(context.database, limit=1)] == ["base.restore"]
        now = context.clock.now()
        assert members.sign_in(context.database, "li", "four plain words here", "::1", now).name == "李明"


def test_without_being_asked_no_private_file_is_enclosed(opened: Opened, tmp_path: Path) -> None:
    with opened() as context:
        furnished(context)
        secrets = [(context.home / "keys" / name).read_bytes().strip() for name in ("pepper", "signing.pem")]
        plain = backup(context, tmp_path / "plain.tar", who="t").path.read_bytes()
        whole = backup(context, tmp_path / "whole.tar", who="t", keys=True).path.read_bytes()
    assert [secret in plain for secret in secrets] == [False, False]
    assert [secret in whole for secret in secrets] == [True, True]


def test_a_link_noted_after_the_backup_is_unknown_after_the_restore_and_said_so(opened: Opened, tmp_path: Path) -> None:
    with opened() as context:
        furnished(context)
        done = backup(context, tmp_path / "b.tar", who="t")
        members.set_password(
            context.database,
            members.find_login(context.database, "li").id,
            "other plain words",
            version=1,
            who="t",
            now=CLOCK.now(),
        )
        later = audit.newest(context.database)
    put_back(done.path, tmp_path / "new")
    with opened("new") as context:
        assert later is not None
        report = audit.verify(context.database, [later])
        assert report.broken is not None and "noted" in report.why
        restored = audit.entries(context.database, action="base.restore")[0]
        assert restored.detail["link"] == done.manifest.link


def test_a_log_that_was_broken_before_comes_back_and_is_told(opened: Opened, tmp_path: Path) -> None:
    with opened() as context:
        furnished(context)
        context.database.execute("UPDATE audit SET who = 'nobody' WHERE action = 'member.create'")
        done = backup(context, tmp_path / "b.tar", who="t")
    assert put_back(done.path, tmp_path / "new").log.broken is not None


@pytest.mark.parametrize("schema", range(1, NEWEST))
def test_a_backup_of_an_older_schema_is_brought_up(schema: int, place: Path | str, tmp_path: Path) -> None:
    with Database(tmp_path / "old.db", schema=schema) as old:
        fill_tables(old, schema)
        for table in {"audit", "audit_chain"} & set(old.tables()):
            old.execute(f"DELETE FROM {table}")  # these rows are no chain
        before = everything_in(old, kinds(schema))
        path = tmp_path / "old.tar"
        handle = DISK.create(path)
        writer = ArchiveWriter(handle)
        entries = []
        with old.snapshot():
            for table in old.tables():
                packed = tmp_path / "packed"
                with packed.open("w+b") as file:
                    unpacked = pack_lines(lines(old, table), file)
                    size = file.tell()
                    file.seek(0)
                    name = f"tables/{table}.jsonl.gz"
                    sha = writer.add(name, file, size)
                entries.append(Member(name=name, size=size, sha256=sha, rows=len(before[table]), unpacked=unpacked))
        manifest = Manifest(
            program="0.0.9", schema=schema, created="2026-01-01T00:00:00Z", database="sqlite", keys=False, link=None,
            members=tuple(entries),
        )  # fmt: skip
        writer.finish(manifest)
        handle.close()
    address = place if isinstance(place, str) else None
    assert put_back(path, tmp_path / "new", address).rows == sum(map(len, before.values()))
    with Database(address or tmp_path / "new" / "pilotbase.db") as new:
        assert new.schema == NEWEST
        after = everything_in(new, kinds(schema))
        assert [row for row in after.pop("audit", []) if "base.restore" not in row] == before.pop("audit", [])
        assert len(after.pop("audit_chain", [])) <= 2  # the restore's own
        before.pop("audit_chain", [])
        assert after == before


def test_a_file_that_is_there_is_replaced_only_when_asked_and_never_half(opened: Opened, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    target.write_text("mine")
    with opened() as context:
        with pytest.raises(UserError, match="there is such a file already"):
            backup(context, target, who="t")
        with pytest.raises(UserError, match="in the home that it is of"):
            backup(context, context.home / "b.tar", who="t")
        with pytest.raises(UserError, match="no such folder"):
            backup(context, tmp_path / "none" / "b.tar", who="t")
        assert target.read_text() == "mine"
        backup(context, target, who="t", replacing=True)
        (tmp_path / "link.tar").symlink_to(target)
        with pytest.raises(UserError, match="no plain file"):
            backup(context, tmp_path / "link.tar", who="t", replacing=True)
    with ArchiveReader(target) as archive:
        assert archive.manifest.schema == NEWEST


@pytest.mark.parametrize("call", [1, 20])
@pytest.mark.parametrize("what", ["write", "sync"])
def test_a_full_disk_is_named_and_leaves_what_was_there(opened: Opened, tmp_path: Path, what: str, call: int) -> None:
    target = tmp_path / "b.tar"
    target.write_text("the old one")
    count = 0

    def full(fd: int, *data: Any) -> Any:
        nonlocal count
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".tmp"):
            count += 1
            if count >= (call if what == "write" else 1):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return getattr(Calls(), what)(fd, *data)

    disk = LocalDisk(Calls(**{what: full}))
    with opened(disk=disk) as context:
        with pytest.raises(UserError, match="no space is left"):
            backup(context, target, who="t", replacing=True)
        assert audit.entries(context.database, action="base.backup") == []
    assert target.read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "home"]


def test_a_restore_takes_only_an_empty_home_and_leaves_nothing_behind(opened: Opened, tmp_path: Path) -> None:
    with opened() as context:
        furnished(context)
        done = backup(context, tmp_path / "b.tar", who="t")
    with pytest.raises(UserError, match="the home is not empty"):
        put_back(done.path, tmp_path / "home")
    (tmp_path / "empty").mkdir()
    put_back(done.path, tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="the home is not empty"):
        put_back(done.path, tmp_path / "link")
    data = bytearray(done.path.read_bytes())
    at = data.index("档案".encode())
    data[at] ^= 1
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(UserError, match="its digest is another"):
        put_back(tmp_path / "bad.tar", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "bad.tar", "empty", "home", "link"]


def test_a_restore_takes_only_an_empty_server_and_fills_it_only_with_its_home(
    opened: Opened, tmp_path: Path, postgres_url: str
) -> None:
    with opened() as context:
        furnished(context)
        done = backup(context, tmp_path / "b.tar", who="t")
    put_back(done.path, tmp_path / "new", postgres_url)
    with pytest.raises(UserError, match="the database is not empty"):
        put_back(done.path, tmp_path / "newer", postgres_url)
    assert not (tmp_path / "newer").exists()


def test_what_a_link_in_the_home_leads_to_is_left_out_and_named(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("not ours")
    with opened() as context:
        (context.home / "dossiers").symlink_to(tmp_path / "outside")
        done = backup(context, tmp_path / "b.tar", who="t")
    assert not any("outside" in one.name or "file" in one.name for one in done.manifest.members)
    assert [line.split(":")[0] for line in done.manifest.troubles] == ["dossiers"]
