"""The chain of the audit log: what was changed, removed, put in or moved is found, and what cannot be proved is said."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotbase.errors import UserError
from pilotbase.gateway import audit as gateway_audit
from pilotbase.store.audit import Link, entries, newest, verify, verify_home, write
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
OLD = (
    "INSERT INTO audit (id, at, who, action, subject, detail) VALUES (?, '2025-01-01T00:00:00+00:00', 'user:a', 'old', 's', '{}')"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        yield found


def put(database: Database, count: int, start: int = 0) -> list[str]:
    """So many entries, a second apart; their ids."""
    return [
        write(database, who="user:li", action="route.add", subject=f"s{i}", detail={"n": i}, at=START + timedelta(seconds=i))
        for i in range(start, start + count)
    ]


def test_a_log_that_nobody_touched_is_whole(database: Database) -> None:
    assert verify(database).newest is None
    put(database, 5)
    report = verify(database)
    assert (report.entries, report.before, report.broken) == (5, 0, None)
    assert report.newest == newest(database) and report.newest is not None and report.newest.seq == 5


def test_a_log_longer_than_a_page_is_read_to_its_end(database: Database) -> None:
    with database.transaction():
        database.execute_many(OLD, [(f"old-{i:05}",) for i in range(1200)])
        put(database, 1100)
    report = verify(database)
    assert (report.entries, report.before, report.broken) == (2300, 1200, None)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET who = 'user:eve' WHERE subject = 's2'",
        "UPDATE audit SET at = '2026-03-01T07:00:00.000000+00:00' WHERE subject = 's2'",
        "UPDATE audit SET action = 'route.rm' WHERE subject = 's2'",
        "UPDATE audit SET detail = '{\"n\":7}' WHERE subject = 's2'",
        "UPDATE audit SET subject = 'other' WHERE subject = 's2'",
        "UPDATE audit SET id = 'other' WHERE subject = 's2'",
        "DELETE FROM audit WHERE subject = 's2'",
        "UPDATE audit_chain SET digest = '0' WHERE seq = 3",
        "DELETE FROM audit_chain WHERE seq = 3",
    ],
)
def test_a_changed_or_removed_entry_is_found_at_its_link(database: Database, change: str) -> None:
    put(database, 5)
    assert database.execute(change) == 1
    report = verify(database)
    assert report.broken == 3 and report.why and report.newest is not None and report.newest.seq == 2


def test_an_entry_removed_with_its_link_is_found(database: Database) -> None:
    ids = put(database, 5)
    database.execute("DELETE FROM audit WHERE id = ?", (ids[2],))
    database.execute("DELETE FROM audit_chain WHERE entry = ?", (ids[2],))
    assert verify(database).broken == 3
    database.execute("UPDATE audit_chain SET seq = seq - 1 WHERE seq > 3")
    assert verify(database).broken == 3


def test_entries_that_changed_places_are_found(database: Database) -> None:
    ids = put(database, 5)
    for before, after in ((ids[1], "x"), (ids[3], ids[1]), ("x", ids[3])):
        database.execute("UPDATE audit_chain SET entry = ? WHERE entry = ?", (after, before))
    report = verify(database)
    assert report.broken == 2 and "place" in report.why


def test_an_entry_that_was_put_in_is_found(database: Database) -> None:
    put(database, 3)
    database.execute(OLD, ("forged",))
    report = verify(database)
    assert report.broken == 0 and "1 entries stand outside the chain; 0 stood before" in report.why


def test_what_is_older_than_the_chain_is_covered_by_its_first_link(database: Database) -> None:
    for name in ("old-1", "old-2"):
        database.execute(OLD, (name,))
    assert verify(database).entries == 2
    put(database, 3)
    report = verify(database)
    assert (report.entries, report.before, report.broken) == (5, 2, None)
    database.execute("UPDATE audit SET who = 'user:eve' WHERE id = 'old-1'")
    assert verify(database).broken == 0
    database.execute("UPDATE audit SET who = 'user:a' WHERE id = 'old-1'")
    assert verify(database).broken is None
    database.execute("DELETE FROM audit WHERE id = 'old-2'")
    assert verify(database).broken == 0


def cut(database: Database, count: int) -> None:
    """Remove the newest entries with their links: nothing in the database shows it."""
    for row in database.rows("SELECT seq, entry FROM audit_chain ORDER BY seq DESC LIMIT ?", (count,)):
        database.execute("DELETE FROM audit WHERE id = ?", (row["entry"],))
        database.execute("DELETE FROM audit_chain WHERE seq = ?", (row["seq"],))


def test_the_last_entries_removed_are_found_where_the_newest_link_was_noted(database: Database, tmp_path: Path) -> None:
    put(database, 5)
    report = verify_home(database, LocalDisk(), tmp_path)
    assert report.broken is None and (tmp_path / "audit-newest").stat().st_mode & 0o777 == 0o600
    assert Link.parse((tmp_path / "audit-newest").read_text()) == report.newest
    cut(database, 2)
    assert verify(database).broken is None, "the database alone cannot show it"
    found = verify_home(database, LocalDisk(), tmp_path)
    assert found.broken == 4 and "cut after link 3" in found.why
    put(database, 3, start=10)
    again = verify_home(database, LocalDisk(), tmp_path)
    assert again.broken == 5 and "written anew" in again.why


def test_a_chain_removed_whole_is_found_where_a_link_was_noted(database: Database, tmp_path: Path) -> None:
    put(database, 5)
    verify_home(database, LocalDisk(), tmp_path)
    database.execute("DELETE FROM audit_chain")
    assert verify_home(database, LocalDisk(), tmp_path).broken == 0
    put(database, 1, start=9)
    assert verify_home(database, LocalDisk(), tmp_path).broken is not None


def test_a_note_moves_on_with_a_log_that_grows_and_not_with_one_that_broke(database: Database, tmp_path: Path) -> None:
    put(database, 2)
    first = verify_home(database, LocalDisk(), tmp_path).newest
    put(database, 2, start=5)
    second = verify_home(database, LocalDisk(), tmp_path).newest
    assert first != second and first is not None and second is not None
    assert verify_home(database, LocalDisk(), tmp_path, [first]).broken is None
    assert verify_home(database, LocalDisk(), tmp_path, [Link(second.seq, "0" * 64)]).broken == second.seq
    database.execute("UPDATE audit SET who = 'user:eve'")
    assert verify_home(database, LocalDisk(), tmp_path).broken == 1
    assert (tmp_path / "audit-newest").read_text().strip() == str(second)


def test_a_damaged_note_is_told_and_not_taken_for_a_new_home(database: Database, tmp_path: Path) -> None:
    put(database, 2)
    (tmp_path / "audit-newest").write_text("nonsense")
    with pytest.raises(UserError, match="damaged"):
        verify_home(database, LocalDisk(), tmp_path)


@pytest.mark.parametrize("text", ["", "5", "5:abc", f"-1:{'0' * 64}", f"5:{'g' * 64}", f"{'9' * 30}:{'0' * 64}", f"٣:{'0' * 64}"])
def test_a_text_that_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no link"):
        Link.parse(text)


def test_an_entry_stands_or_falls_with_the_change_that_it_tells_of(database: Database) -> None:
    put(database, 1)
    with pytest.raises(ZeroDivisionError), database.transaction():
        put(database, 1, start=1)
        raise ZeroDivisionError
    assert len(entries(database)) == 1 and verify(database).broken is None


def test_an_entry_with_an_id_of_its_own_is_written_once(database: Database) -> None:
    for _ in range(2):
        write(database, who="ledger", action="ledger.stray", subject="r", detail={}, at=START, once="stray-w-r")
    assert [entry.id for entry in entries(database)] == ["stray-w-r"] and verify(database).entries == 1


def test_entries_are_found_by_the_beginning_of_their_words_and_paged(database: Database) -> None:
    put(database, 4)
    write(database, who="member:100%_li", action="key.create", subject="k", detail={}, at=START + timedelta(hours=1))
    assert [e.subject for e in entries(database, who="member:100%_")] == ["k"]
    assert entries(database, who="member:%") == [] and entries(database, action="KEY") == []
    first, second = entries(database, action="route.", limit=2)
    assert [e.subject for e in (first, second)] == ["s3", "s2"]
    assert [e.subject for e in entries(database, action="route.", before=second.id)] == ["s1", "s0"]


def test_a_change_of_the_gateway_is_a_link_too(database: Database) -> None:
    with gateway_audit.changing(database, who="user:li", action="stop", subject="all", detail={"why": "x"}, now=START):
        pass
    report = verify(database)
    assert (report.entries, report.broken) == (1, None)
