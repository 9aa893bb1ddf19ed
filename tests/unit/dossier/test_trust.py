"""Which keys a home trusts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotbase.dossier import trust
from pilotbase.errors import UserError
from pilotbase.signing import Key
from pilotbase.store.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE, TWO = Key.generate().public_key("the base"), Key.generate().public_key("a vendor")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as opened:
        yield opened


def test_a_key_is_unknown_then_trusted_then_revoked(database: Database) -> None:
    assert trust.state(database, ONE.fingerprint) is None
    trust.add(database, ONE, NOW)
    assert trust.state(database, ONE.fingerprint) == "trusted"
    trust.revoke(database, ONE.fingerprint, NOW)
    assert trust.state(database, ONE.fingerprint) == "revoked"


def test_a_revoked_key_stays_revoked(database: Database) -> None:
    trust.add(database, ONE, NOW)
    trust.revoke(database, ONE.fingerprint, NOW)
    trust.revoke(database, ONE.fingerprint, NOW + timedelta(days=1))
    assert trust.entries(database)[0].revoked == NOW.isoformat()
    with pytest.raises(UserError, match="never trusted again"):
        trust.add(database, ONE, NOW)


def test_a_key_that_is_trusted_twice_is_listed_once(database: Database) -> None:
    trust.add(database, ONE, NOW)
    trust.add(database, ONE, NOW + timedelta(days=1))
    (found,) = trust.entries(database)
    assert (found.key, found.added) == (ONE, NOW.isoformat())


def test_keys_are_listed_newest_first(database: Database) -> None:
    trust.add(database, ONE, NOW)
    trust.add(database, TWO, NOW + timedelta(seconds=1))
    assert [entry.fingerprint for entry in trust.entries(database)] == [TWO.fingerprint, ONE.fingerprint]


def test_an_unknown_key_can_be_revoked_only_where_it_is_given(database: Database) -> None:
    with pytest.raises(UserError, match="known here"):
        trust.revoke(database, ONE.fingerprint, NOW)
    trust.revoke(database, ONE.fingerprint, NOW, ONE)
    assert trust.state(database, ONE.fingerprint) == "revoked"


def test_a_row_that_was_tampered_with_is_found(database: Database) -> None:
    trust.add(database, ONE, NOW)
    database.execute("UPDATE trust SET public_key = ?", (TWO.text(),))
    with pytest.raises(UserError, match="does not fit its fingerprint"):
        trust.entries(database)


def test_a_trust_file_gives_keys_by_fingerprint() -> None:
    assert trust.read_file(f"# ours\n{ONE.text()}\n{TWO.text()}\n") == {ONE.fingerprint: ONE, TWO.fingerprint: TWO}
    with pytest.raises(UserError, match="holds no key"):
        trust.read_file("# nothing\n", where="trust.txt")
