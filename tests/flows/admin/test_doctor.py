"""The examination of a base: each fault is found by its check, with what to do; nothing is changed by looking."""

import argparse
import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.fakes.console_home import furnish
from tests.fakes.ledger_records import put_log, reserve
from tests.flows.admin.conftest import Opened

from pilotbase.cli import admin
from pilotbase.context import Context, SystemClock
from pilotbase.domain.health import Finding
from pilotbase.flows.doctor import Patient, doctor
from pilotbase.gateway import keys
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.ports import Clock
from pilotbase.settings import read_settings
from pilotbase.signing import Key
from pilotbase.store import audit
from pilotbase.store.database import Database, migrations
from pilotbase.store.disk import LocalDisk


class Stopped:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


LATER = Stopped(datetime(2031, 1, 1, tzinfo=UTC))  # than anything that the furnished home has seen


def examined(home: Path, *, deep: bool = False, clock: Clock = LATER, address: str | None = None) -> dict[str, Finding]:
    patient = Patient(home=home, disk=LocalDisk(), clock=clock, deep=deep, address=address)
    return {one.check: one for one in doctor(patient)}


def bytes_of(home: Path) -> dict[str, tuple[bytes, int]]:
    """All but what SQLite itself keeps while somebody reads."""
    found = {path.relative_to(home).as_posix(): path for path in home.rglob("*") if path.is_file()}
    kept = {name: path for name, path in found.items() if not name.endswith(("-wal", "-shm"))}
    return {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in kept.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = furnish(tmp_path_factory.mktemp("whole")).home
    Key.load_or_create(home)
    changed(home, "DELETE FROM requests")  # put there by themselves, for a release to look at
    home.chmod(0o700)
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


def test_a_sound_base_is_good_and_is_not_changed_by_looking(home: Path) -> None:
    before = bytes_of(home)
    found = examined(home, deep=True)
    assert {name: one.told for name, one in found.items() if one.state == "bad"} == {}
    assert {"good"} == {found[name].state for name in ("home", "database", "schema", "audit log", "ledger", "evidence", "pepper")}
    assert found["backups"].state == "look" and "admin backup" in found["backups"].todo
    assert bytes_of(home) == before


def wide(home: Path) -> None:
    (home / "keys" / "pepper").chmod(0o644)


def open_home(home: Path) -> None:
    home.chmod(0o777)


def damaged_key(home: Path) -> None:
    (home / "keys" / "signing.pem").write_text("no key")


def damaged_database(home: Path) -> None:
    with (home / "pilotbase.db").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(40_000))


def no_database(home: Path) -> None:
    (home / "pilotbase.db").write_bytes(b"no database, for longer than a header is" * 100)


def damaged_evidence(home: Path) -> None:
    path = sorted((home / "runs").rglob("evidence/*/*.parquet"))[0]
    path.write_bytes(path.read_bytes() + b"x")


def missing_evidence(home: Path) -> None:
    sorted((home / "runs").rglob("evidence/*/*.parquet"))[0].unlink()


def no_pepper(home: Path) -> None:
    (home / "keys" / "pepper").unlink()


def changed(home: Path, sql: str) -> None:
    with Database(home / "pilotbase.db") as database:
        database.execute(sql)


def changed_entry(home: Path) -> None:
    changed(home, "UPDATE audit SET who = 'nobody' WHERE id = (SELECT entry FROM audit_chain WHERE seq = 1)")


def damaged_note(home: Path) -> None:
    (home / audit.NOTE).write_text("0:zz")


def unbalanced(home: Path) -> None:
    changed(home, "INSERT INTO balances (access_key, route, currency, settled) VALUES ('k', 'm', 'CNY', 1)")


def newer_schema(home: Path) -> None:
    changed(home, f"PRAGMA user_version = {len(migrations()) + 1}")


@pytest.mark.parametrize(
    ("harm", "check", "said"),
    [
        (wide, "private files", "keys/pepper"),
        (open_home, "home", "can be changed by other users (777)"),
        (damaged_key, "signing key", "not an unencrypted private key"),
        (damaged_database, "database", "pilotbase.db"),
        (no_database, "database", "not a database"),
        (damaged_evidence, "evidence", "changed after it was sealed"),
        (missing_evidence, "evidence", "the file is missing"),
        (no_pepper, "pepper", "their pepper is gone"),
        (changed_entry, "audit log", "was changed"),
        (damaged_note, "audit log", "damaged"),
        (unbalanced, "ledger", "in the sums"),
        (newer_schema, "schema", "this version has"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_is_found_with_what_to_do(home: Path, harm: Callable[[Path], None], check: str, said: str) -> None:
    harm(home)
    found = examined(home)[check]
    assert found.state == "bad" and said in found.told and found.todo


def test_a_clock_that_went_back_is_bad(home: Path) -> None:
    assert examined(home, clock=Stopped(datetime(2021, 1, 1, tzinfo=UTC)))["clock"].state == "bad"


def test_an_old_schema_is_looked_at_and_not_brought_up(tmp_path: Path) -> None:
    Database(tmp_path / "pilotbase.db", schema=2).close()
    found = examined(tmp_path)
    assert found["schema"].state == "look" and "audit log" not in found
    with Database(tmp_path / "pilotbase.db", read=True) as database:
        assert database.schema == 2


def test_a_run_that_was_cut_and_a_log_that_nobody_applied_are_named(home: Path) -> None:
    changed(home, "UPDATE runs SET state = 'asking'")
    assert examined(home)["runs"].state == "good"  # this process made the run, and lives
    for path in (home / "runs").glob("*/run.lock"):
        path.write_bytes(orjson.dumps({"pid": 2**22 + 1, "host": socket.gethostname(), "since": "then"}))
    put_log(home / "gateway" / "ledger", "gone", [reserve("a")])
    found = examined(home)
    assert found["runs"].state == "look" and "were cut" in found["runs"].told
    assert found["ledger"].state == "look" and "pilotbase serve" in found["ledger"].todo
    assert found["gateway"].told == "is not running"


def test_a_server_is_examined_without_being_changed(tmp_path: Path, postgres_url: str) -> None:
    with Database(postgres_url, schema=3):
        pass
    found = examined(tmp_path, address=postgres_url)
    assert found["database"].state == "good" and found["schema"].state == "look"
    with Database(postgres_url, read=True) as database:
        assert database.schema == 3


def test_where_there_is_no_home_nothing_is_made(tmp_path: Path) -> None:
    assert examined(tmp_path / "none")["home"].state == "bad" and not (tmp_path / "none").exists()
    assert examined(tmp_path)["database"].state == "look" and list(tmp_path.iterdir()) == []


def test_the_command_tells_the_same_as_json_and_by_its_exit_code(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened() as context:
        load_pepper(context.home)
        keys.create(context.database, b"p" * 32, keys.Wanted(name="one"), who="t", now=context.clock.now())

    def run(*words: str) -> int:
        parser = argparse.ArgumentParser()
        admin.arguments(parser)
        settings = read_settings({"PILOTBASE_HOME": str(tmp_path / "home")})
        return admin.outside(settings, parser.parse_args(["doctor", *words]))

    assert run("--json") == 0
    document = orjson.loads(capsys.readouterr().out)
    assert document["state"] == "look" and {one["state"] for one in document["findings"]} == {"good", "look"}
    assert run() == 0 and "nothing is broken" in capsys.readouterr().out
    no_pepper(tmp_path / "home")
    assert run() == 1 and "something is broken" in capsys.readouterr().out


def test_the_commands_write_and_read_a_backup_and_say_what_keys_mean(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    admin.arguments(parser)

    def back_up(context: Context, *words: str) -> str:
        assert admin.run(context, parser.parse_args(["backup", str(tmp_path / "b.tar"), *words])) == 0
        return capsys.readouterr().out

    with opened() as context:
        assert "without private keys" in back_up(context)
        assert "IT HOLDS PRIVATE KEYS" in back_up(context, "--with-keys", "--replace")
    settings = read_settings({"PILOTBASE_HOME": str(tmp_path / "unused")})
    words = ["restore", str(tmp_path / "b.tar"), "--into", str(tmp_path / "new")]
    assert admin.outside(settings, parser.parse_args(words)) == 0
    assert "everybody signs in anew" in capsys.readouterr().out
    found = examined(tmp_path / "new", clock=SystemClock())
    assert {name: one.told for name, one in found.items() if one.state == "bad"} == {}
    assert found["backups"].state == "good"  # the first is in the second
