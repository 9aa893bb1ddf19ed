"""Customers' keys: their secrets, and their life in the database."""

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.domain.access import AccessKey
from pilotbase.domain.quantity import Money
from pilotbase.errors import UserError
from pilotbase.gateway import audit, keys, secret_key
from pilotbase.gateway.changes import changes_since
from pilotbase.store.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PEPPER = b"p" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "pilotbase.db") as opened:
        yield opened


def made(database: Database, **wanted: object) -> tuple[AccessKey, str]:
    return keys.create(database, PEPPER, keys.Wanted(**{"name": "acme", **wanted}), who="user:test", now=NOW)  # type: ignore[arg-type]


def test_a_key_is_kept_as_a_keyed_hash_alone(database: Database, tmp_path: Path) -> None:
    key, token = made(database, budget=Money(5, "CNY"), rpm=60, tpm=1000, routes=("a", "b"), expires=NOW + timedelta(days=1))
    assert secret_key.split(token) == key.id
    assert keys.find_key(database, key.id) == key
    database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.rpartition("_")[2].encode() not in stored
    assert key.digest.encode() in stored


def test_a_key_is_known_by_its_text_and_by_no_other(database: Database) -> None:
    key, token = made(database)
    assert keys.check(database, token, PEPPER, NOW) == key
    other = made(database)[1]
    swapped = f"pb_{key.id}_{other.rpartition('_')[2]}"
    for wrong in (token[:-1], token + "x", token.swapcase(), swapped, "", "pb_", f" {token}", f"{token}\n"):
        assert keys.check(database, wrong, PEPPER, NOW) is None
    assert keys.check(database, token, b"q" * 32, NOW) is None


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_any_text_can_be_asked_about(text: str) -> None:
    assert secret_key.split(text) is None
    assert secret_key.split(f"pb_{text}") is None or len(text) >= 44
    assert len(secret_key.digest_of(text, PEPPER)) == 64


def test_an_expired_key_admits_nothing(database: Database) -> None:
    _, token = made(database, expires=NOW + timedelta(hours=1))
    assert keys.check(database, token, PEPPER, NOW + timedelta(minutes=59)) is not None
    assert keys.check(database, token, PEPPER, NOW + timedelta(hours=1)) is None


def test_a_key_that_would_have_expired_already_or_is_out_of_range_is_not_made(database: Database) -> None:
    for wanted in ({"expires": NOW}, {"rpm": 0}, {"tpm": 10**13}, {"name": "a\0b"}, {"name": ""}, {"routes": ()}):
        with pytest.raises(UserError):
            made(database, **wanted)
    assert keys.list_keys(database) == []
    assert audit.entries(database) == []
    assert audit.stored_epoch(database) == 0


def test_a_revoked_key_stays_revoked_and_revoking_twice_changes_nothing(database: Database) -> None:
    key, token = made(database)
    revoked, changed = keys.revoke(database, key.id, why="leaked", who="user:test", now=NOW)
    assert changed and revoked.revoked == NOW
    assert keys.check(database, token, PEPPER, NOW) is None
    epoch = audit.stored_epoch(database)
    assert keys.revoke(database, key.id, why="again", who="user:test", now=NOW + timedelta(1)) == (revoked, False)
    assert audit.stored_epoch(database) == epoch
    with pytest.raises(UserError, match="revoked"):
        keys.rotate(database, key.id, PEPPER, who="user:test", now=NOW)


def test_streams_of_a_revoked_key_can_be_cut_later(database: Database) -> None:
    key, _ = made(database)
    keys.revoke(database, key.id, why="", who="user:test", now=NOW)
    cut, changed = keys.revoke(database, key.id, why="", who="user:test", now=NOW + timedelta(1), cut=True)
    assert changed and cut.cut and cut.revoked == NOW


def test_rotation_keeps_the_id_and_the_limits_and_ends_the_old_secret(database: Database) -> None:
    key, old = made(database, budget=Money(7, "CNY"), rpm=3)
    rotated, new = keys.rotate(database, key.id, PEPPER, who="user:test", now=NOW)
    assert (rotated.id, rotated.budget, rotated.rpm) == (key.id, key.budget, key.rpm)
    assert keys.check(database, new, PEPPER, NOW) == rotated
    assert keys.check(database, old, PEPPER, NOW) is None


def test_a_rotation_may_let_the_old_secret_through_for_a_while(database: Database) -> None:
    key, old = made(database)
    new = keys.rotate(database, key.id, PEPPER, who="user:test", now=NOW, keep=600)[1]
    for moment, both in ((NOW + timedelta(seconds=599), True), (NOW + timedelta(seconds=600), False)):
        assert (keys.check(database, old, PEPPER, moment) is not None) == both
        assert keys.check(database, new, PEPPER, moment) is not None
    newest = keys.rotate(database, key.id, PEPPER, who="user:test", now=NOW, keep=600)[1]
    assert keys.check(database, old, PEPPER, NOW) is None, "a second rotation ends what the first one kept"
    keys.revoke(database, key.id, why="", who="user:test", now=NOW)
    assert [keys.check(database, token, PEPPER, NOW) for token in (old, new, newest)] == [None] * 3


def test_the_first_admin_key_is_told_once_even_to_several_processes(tmp_path: Path) -> None:
    found: list[str | None] = []

    def start() -> None:
        with Database(tmp_path / "pilotbase.db") as own:
            found.append(keys.first_admin_key(own, PEPPER, now=NOW))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [token for token in found if token is not None]
    assert len(found) == 4 and len(told) == 1
    with Database(tmp_path / "pilotbase.db") as own:
        key = keys.check(own, told[0], PEPPER, NOW)
        assert key is not None and key.admin
        keys.revoke(own, key.id, why="", who="user:test", now=NOW)
        assert keys.first_admin_key(own, PEPPER, now=NOW) is None


def test_workers_are_told_of_changed_keys_alone_and_of_no_secret(database: Database) -> None:
    one, _ = made(database)
    two, token = made(database)
    first = changes_since(database, -1)
    assert (first.epoch, first.keys) == (2, ())
    keys.revoke(database, one.id, why="", who="user:test", now=NOW)
    later = changes_since(database, first.epoch)
    assert (later.epoch, [key.id for key in later.keys]) == (3, [one.id])
    assert token not in str(keys.document_of(two))


def test_every_change_is_on_record_with_who_and_without_the_hash(database: Database) -> None:
    key, token = made(database)
    keys.rotate(database, key.id, PEPPER, who="key:admin", now=NOW + timedelta(1))
    keys.revoke(database, key.id, why="left", who="user:ann", now=NOW + timedelta(2))
    found = audit.entries(database)
    assert [(e.action, e.who, e.subject) for e in found] == [
        ("key.revoke", "user:ann", key.id),
        ("key.rotate", "key:admin", key.id),
        ("key.create", "user:test", key.id),
    ]
    assert found[0].detail["why"] == "left"
    assert key.digest not in str(found) and token not in str(found)
    assert audit.entries(database, limit=1, before=found[0].id) == [found[1]]
    with pytest.raises(UserError, match="no audit entry"):
        audit.entries(database, before="nothing")


def test_a_pepper_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(secret_key.load_pepper(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 8 and len(found[0]) >= 32
    path = tmp_path / "keys" / "pepper"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_key.load_pepper(tmp_path, "s" * 32) == b"s" * 32
    with pytest.raises(UserError, match="at least 32"):
        secret_key.load_pepper(tmp_path, "short")
    path.chmod(0o640)
    with pytest.raises(UserError, match="others than the owner"):
        secret_key.load_pepper(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"cut")
    with pytest.raises(UserError, match="damaged"):
        secret_key.load_pepper(tmp_path)
