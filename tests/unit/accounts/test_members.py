"""Members: sign-in with one wording and the same work, changes with their rules, and what the audit log says of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from pilotbase.accounts import members, organisations, sessions
from pilotbase.accounts.rows import COLUMNS
from pilotbase.accounts.throttle import LOGIN, ThrottledError, count
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.audit import entries, verify
from pilotbase.store.database import Database

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PASSWORD = "four plain words here"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HERE = "10.0.0.1"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        yield found


@pytest.fixture
def chief(database: Database) -> Member:
    """An operator whose hash is quickly made."""
    home = organisations.create(database, "Base", who="test", now=NOW)
    row = ("mem_li", "li", "Li", home.id, '["operator"]', "", "", NOW.isoformat(), None, 1, QUICK.hash(PASSWORD))
    database.execute(f"INSERT INTO members ({COLUMNS}, password) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    found = members.find(database, "mem_li")
    assert found is not None
    return found


def refused(database: Database, login: str, password: str, now: datetime = NOW) -> UserError:
    with pytest.raises(UserError) as caught:
        members.sign_in(database, login, password, HERE, now)
    return caught.value


def test_every_failure_to_sign_in_has_the_same_words(database: Database, chief: Member) -> None:
    other = members.create(
        database, login="wang", name="W", organisation=chief.organisation, roles=["owner"], password=PASSWORD, who="x", now=NOW
    )
    members.disable(database, other.id, version=1, who="x", now=NOW)
    tried = [("li", "wrong password"), ("nobody", PASSWORD), ("wang", PASSWORD), ("a\0b\ud800", PASSWORD), ("", "")]
    told = {(error.message, error.hint, error.status) for error in (refused(database, *one) for one in tried)}
    assert len(told) == 1 and told.pop()[2] == 401
    failed = entries(database, action="member.sign-in-failed")
    assert {e.subject for e in failed} == {chief.id, other.id, "unknown"} and {e.who for e in failed} == {f"address:{HERE}"}
    assert "nobody" not in str(failed) and "password" not in str([e.detail for e in failed])


def test_an_unknown_login_writes_as_much_as_a_known_one(database: Database, chief: Member) -> None:
    def rows() -> list[int]:
        return [database.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"] for table in ("login_failures", "audit", "sessions")]

    before = rows()
    refused(database, "li", "wrong password")
    known = rows()
    refused(database, "nobody", "wrong password")
    assert [b - a for a, b in zip(before, known, strict=True)] == [b - a for a, b in zip(known, rows(), strict=True)]


def test_the_right_password_does_not_help_while_throttled_and_does_after_the_wait(database: Database, chief: Member) -> None:
    for _ in range(LOGIN.free - 1):
        count(database, "li", HERE, NOW)
    assert refused(database, "li", "wrong password").status == 401
    error = refused(database, "LI ", PASSWORD)
    assert isinstance(error, ThrottledError) and error.status == 429 and str(error.seconds) in str(error)
    later = NOW + timedelta(seconds=error.seconds)
    assert members.sign_in(database, "li", PASSWORD, HERE, later) == chief
    assert refused(database, "li", "wrong password", later).status == 401, "a right one begins anew"


def test_an_unknown_login_is_throttled_as_a_known_one(database: Database, chief: Member) -> None:
    for _ in range(LOGIN.free - 1):
        count(database, "nobody", HERE, NOW)
    assert [refused(database, " NOBODY", "x").status for _ in range(2)] == [401, 429]


def test_a_sign_in_is_on_record_with_its_address(database: Database, chief: Member) -> None:
    members.sign_in(database, "li", PASSWORD, "x" * 100, NOW)
    members.sign_in(database, "li", PASSWORD, HERE, NOW + timedelta(seconds=1))
    told = entries(database, action="member.sign-in")
    assert [(e.who, e.subject, e.detail) for e in told] == [
        ("member:li", chief.id, {"address": HERE}),
        ("member:li", chief.id, {"address": "unknown"}),
    ]


def test_a_hash_of_old_parameters_is_made_anew_at_the_sign_in(database: Database, chief: Member) -> None:
    assert members.sign_in(database, "li", PASSWORD, HERE, NOW) == chief
    assert "m=65536,t=3,p=4" in database.rows("SELECT password FROM members")[0]["password"]
    assert members.sign_in(database, "li", PASSWORD, HERE, NOW) == chief


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"login": "l i"}, "cannot be a login"),
        ({"login": "<script>"}, "cannot be a login"),
        ({"name": "a\nb"}, "a name is 1 to 120"),
        ({"roles": []}, "without a role"),
        ({"roles": ["king"]}, "`king` is no role"),
        ({"organisation": "org_none"}, "no such organisation"),
        ({"password": "short"}, "too short"),
        ({"password": "wangwang1"}, "too short"),
        ({"password": "wangwang2026"}, "the login or the name"),
        ({"login": "LI"}, "login is taken"),
    ],
)
def test_what_a_member_cannot_be_is_told_in_words(
    database: Database, chief: Member, wrong: dict[str, object], words: str
) -> None:
    good = {"login": "wangwang", "name": "W", "organisation": chief.organisation, "roles": ["owner"], "password": PASSWORD}
    with pytest.raises(UserError, match=words) as caught:
        members.create(database, **{**good, **wrong}, who="x", now=NOW)  # type: ignore[arg-type]
    assert caught.value.status in (409, 422) and caught.value.hint
    assert len(members.list_members(database)) == 1 and verify(database).broken is None


def test_no_password_and_no_hash_stands_in_the_audit_log(database: Database, chief: Member) -> None:
    members.set_password(database, chief.id, "another good one", version=1, who="user:root", now=NOW)
    told = str([tuple(row) for row in database.rows("SELECT * FROM audit")])
    assert "another good one" not in told and PASSWORD not in told and "argon2" not in told


def test_a_new_password_ends_the_sessions_except_the_one_it_came_from(database: Database, chief: Member) -> None:
    here, there = (sessions.begin(database, chief.id, NOW)[0] for _ in range(2))
    for _ in range(LOGIN.free):
        count(database, "li", HERE, NOW)
    after = members.set_password(database, chief.id, "another good one", version=1, who="member:li", now=NOW, but=here)
    assert sessions.find(database, there, NOW) is None
    found = sessions.find(database, here, NOW)
    assert found is not None and found.member == after
    assert members.sign_in(database, "li", "another good one", HERE, NOW) == after, "and the login waits no more"


def test_ones_own_change_needs_the_password_of_now_and_is_throttled(database: Database, chief: Member) -> None:
    with pytest.raises(UserError, match="present password is wrong") as caught:
        members.change_password(database, chief, "wrong", "another good one", address=HERE, now=NOW)
    assert caught.value.status == 422
    with pytest.raises(UserError, match="too short"):
        members.change_password(database, chief, PASSWORD, "short", address=HERE, now=NOW)
    after = members.change_password(database, chief, PASSWORD, "another good one", address=HERE, now=NOW)
    for _ in range(LOGIN.free):
        count(database, "li", HERE, NOW)
    with pytest.raises(ThrottledError):
        members.change_password(database, after, "another good one", "yet another one", address=HERE, now=NOW)


def test_profile_and_look_are_kept_and_checked(database: Database, chief: Member) -> None:
    after = members.set_profile(
        database, chief.id, name=" 李明 ", language="zh", theme="dark", version=1, who="member:li", now=NOW
    )
    assert after == members.find(database, chief.id) == replace(chief, name="李明", language="zh", theme="dark", version=2)
    members.set_look(database, chief.id, language="en", theme="")
    assert members.find(database, chief.id) == replace(after, language="en", theme="")
    with pytest.raises(UserError, match="no language"):
        members.set_look(database, chief.id, language="fr")
    with pytest.raises(UserError, match="no theme"):
        members.set_profile(database, chief.id, name="x", language="", theme="pink", version=2, who="x", now=NOW)


def test_a_change_that_changes_nothing_is_not_written(database: Database, chief: Member) -> None:
    before = len(entries(database))
    assert members.set_roles(database, chief.id, ["operator"], version=1, who="x", now=NOW) == chief
    assert members.enable(database, chief.id, version=1, who="x", now=NOW) == chief
    assert len(entries(database)) == before


def test_organisations_have_names_of_their_own(database: Database, chief: Member) -> None:
    made = organisations.create(database, " 某某科技有限公司 ", who="member:li", now=NOW)
    assert made.name == "某某科技有限公司" and organisations.find(database, made.id) == made
    with pytest.raises(UserError, match="there already"):
        organisations.create(database, "Base", who="x", now=NOW)
    with pytest.raises(UserError, match="there already"):
        organisations.rename(database, made.id, "Base", who="x", now=NOW)
    with pytest.raises(UserError, match="no such organisation"):
        organisations.rename(database, "org_none", "A", who="x", now=NOW)
    with pytest.raises(UserError, match="a name is"):
        organisations.create(database, " ", who="x", now=NOW)
    assert organisations.rename(database, made.id, "Vendor", who="x", now=NOW).name == "Vendor"
    assert [one.name for one in organisations.list_organisations(database)] == ["Base", "Vendor"]
    assert members.list_members(database, made.id) == [] and members.list_members(database, chief.organisation) == [chief]
