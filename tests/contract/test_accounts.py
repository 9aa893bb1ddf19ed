"""Accounts, sessions and the audit log's chain, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.accounts import members, organisations, sessions, throttle, tokens
from pilotbase.domain.account import Member, may
from pilotbase.errors import UserError
from pilotbase.store.audit import entries, verify, write
from pilotbase.store.database import Database

__all__ = ["place", "postgres_server", "postgres_url"]

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PASSWORD = "four plain words here"


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as found:
        yield found


def first(database: Database) -> Member:
    return members.create_first(
        database, login="Li@base.example", name="李明", organisation="市第一医院", password=PASSWORD, now=NOW
    )


def engineer(database: Database, login: str, organisation: str, *roles: str) -> Member:
    return members.create(
        database,
        login=login,
        name=login,
        organisation=organisation,
        roles=roles or ("engineer",),
        password=PASSWORD,
        who="member:li",
        now=NOW,
    )


def test_the_first_member_is_an_operator_and_there_is_one_first(database: Database) -> None:
    assert members.is_empty(database)
    made = first(database)
    assert (made.login, made.name, made.roles, made.version) == ("li@base.example", "李明", ("operator",), 1)
    assert made == members.find(database, made.id) == members.find_login(database, " LI@base.example ")
    with pytest.raises(UserError, match="has members already"):
        first(database)
    (home,) = organisations.list_organisations(database)
    assert (home.name, made.organisation) == ("市第一医院", home.id)


def test_an_account_is_made_signed_in_changed_and_closed(database: Database) -> None:
    chief = first(database)
    made = engineer(database, "wang", chief.organisation, "auditor", "engineer", "engineer")
    assert made.roles == ("engineer", "auditor")
    assert [m.login for m in members.list_members(database)] == ["li@base.example", "wang"]
    signed = members.sign_in(database, "WANG", PASSWORD, "10.0.0.1", NOW)
    token, csrf = sessions.begin(database, signed.id, NOW)
    found = sessions.find(database, token, NOW)
    assert found is not None and (found.member, found.csrf, found.created) == (made, csrf, NOW)
    after = members.set_roles(database, made.id, ["auditor"], version=1, who="member:li", now=NOW)
    assert (after.roles, after.version) == (("auditor",), 2)
    with pytest.raises(UserError, match="meanwhile") as caught:
        members.set_roles(database, made.id, ["operator"], version=1, who="member:li", now=NOW)
    assert caught.value.status == 409
    closed = members.disable(database, made.id, version=2, who="member:li", now=NOW)
    assert closed.disabled == NOW and sessions.find(database, token, NOW) is None
    told = {"member.disable", "member.roles", "member.sign-in", "member.create"}
    assert {e.action for e in entries(database, subject=made.id)} == told
    assert verify(database).broken is None


def test_the_last_operator_stays(database: Database) -> None:
    chief = first(database)
    second = engineer(database, "wang", chief.organisation, "operator")
    members.disable(database, second.id, version=1, who="x", now=NOW)
    for change in (
        lambda: members.disable(database, chief.id, version=1, who="x", now=NOW),
        lambda: members.set_roles(database, chief.id, ["auditor"], version=1, who="x", now=NOW),
    ):
        with pytest.raises(UserError, match="last operator"):
            change()
    assert members.find(database, chief.id) == chief
    members.enable(database, second.id, version=2, who="x", now=NOW)
    assert members.set_roles(database, chief.id, ["auditor"], version=1, who="x", now=NOW).roles == ("auditor",)


def test_throttled_tries_are_counted_and_swept(database: Database) -> None:
    for _ in range(throttle.LOGIN.free):
        throttle.count(database, "li", "10.0.0.1", NOW)
    with pytest.raises(throttle.ThrottledError):
        throttle.count(database, "li", "10.0.0.1", NOW)
    assert throttle.sweep(database, NOW + timedelta(days=2)) == 2 * throttle.LOGIN.free


def test_sessions_are_listed_ended_and_swept(database: Database) -> None:
    chief = first(database)
    tokens = [sessions.begin(database, chief.id, NOW + timedelta(seconds=i))[0] for i in range(3)]
    listed = sessions.list_sessions(database, chief.id, NOW)
    assert len(listed) == 3
    assert sessions.end_one(database, chief.id, listed[0].id, who="member:li", now=NOW)
    assert not sessions.end_one(database, "mem_other", listed[1].id, who="member:eve", now=NOW)
    assert sessions.find(database, tokens[2], NOW) is None
    assert sessions.end_all(database, chief.id, but=tokens[0]) == 1
    assert sessions.find(database, tokens[0], NOW) is not None
    assert sessions.sweep(database, NOW + sessions.IDLE) == 1


def test_several_writers_at_once_never_fork_the_chain(place: Path | str) -> None:
    each, writers = 15, 4

    def work(name: str) -> None:
        with Database(place) as database:
            for i in range(each):
                write(database, who=name, action="test", subject=str(i), detail={}, at=NOW)

    with Database(place) as database:
        threads = [threading.Thread(target=work, args=(f"user:{i}",)) for i in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report = verify(database)
        assert (report.entries, report.before, report.broken) == (each * writers, 0, None)
        assert report.newest is not None and report.newest.seq == each * writers


def test_of_several_that_set_a_base_up_one_is_first(place: Path | str) -> None:
    told: list[str] = []

    def work(login: str) -> None:
        with Database(place) as database:
            try:
                members.create_first(database, login=login, name="x", organisation="Base", password=PASSWORD, now=NOW)
            except UserError as error:
                told.append(error.message)

    with Database(place) as database:
        threads = [threading.Thread(target=work, args=(f"user{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(members.list_members(database)) == 1 and told == ["this base has members already"] * 2


def test_the_last_two_operators_cannot_put_each_other_out(place: Path | str) -> None:
    refused: list[int] = []

    def work(member: Member) -> None:
        with Database(place) as database:
            try:
                members.disable(database, member.id, version=1, who="x", now=NOW)
            except UserError as error:
                refused.append(error.status)

    with Database(place) as database:
        chief = first(database)
        both = [chief, engineer(database, "wang", chief.organisation, "operator")]
        threads = [threading.Thread(target=work, args=(member,)) for member in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused == [409] and sum(m.disabled is None for m in members.list_members(database)) == 1


def test_a_token_is_made_used_and_revoked_and_its_text_is_kept_nowhere(database: Database) -> None:
    chief = first(database)
    until = NOW + timedelta(days=30)
    words = {"name": "nightly", "scopes": ["usage.read", "runs.read"], "expires": until, "who": "member:li", "now": NOW}
    token, text = tokens.make(database, chief, **words)  # type: ignore[arg-type]
    assert text.startswith(f"{token.id}_") and token.scopes == ("runs.read", "usage.read")
    found = tokens.find(database, text, NOW + timedelta(minutes=90))
    assert found is not None and (found.member, found.token) == (chief, token)
    (listed,) = tokens.list_tokens(database, chief.id)
    assert listed.used == NOW + timedelta(hours=1)
    for other in (
        text[:-1],
        text + "x",
        text[:-1] + ("a" if text[-1] != "a" else "b"),
        "",
        "pbt_",
        token.id,
        "\ud800",
        text.upper(),
    ):
        assert tokens.find(database, other, NOW) is None, other
    assert tokens.find(database, text, until) is None
    with pytest.raises(UserError, match="no token"):
        tokens.revoke(database, token.id, who="x", now=NOW, member="mem_other")
    assert tokens.revoke(database, token.id, who="member:li", now=NOW)[1]
    assert not tokens.revoke(database, token.id, who="member:li", now=NOW)[1]
    assert tokens.find(database, text, NOW) is None
    told = entries(database, subject=token.id)
    assert sorted(e.action for e in told) == ["token.create", "token.revoke"] and text[15:] not in str(told)
    stored = database.row("SELECT digest FROM tokens WHERE id = ?", (token.id,))
    assert stored is not None and text[15:] not in stored["digest"]


def test_a_token_dies_with_its_member_and_follows_the_members_roles(database: Database) -> None:
    chief = first(database)
    made = engineer(database, "wang", chief.organisation, "auditor")
    words = {"name": "n", "expires": NOW + timedelta(days=30), "who": "x", "now": NOW}
    with pytest.raises(UserError, match=r"may not do `members\.write`"):
        tokens.make(database, made, scopes=["members.write"], **words)  # type: ignore[arg-type]
    _, text = tokens.make(database, made, scopes=["audit.read"], **words)  # type: ignore[arg-type]
    members.set_roles(database, made.id, ["engineer"], version=1, who="x", now=NOW)
    found = tokens.find(database, text, NOW)
    assert found is not None and not may(found.member, "audit.read", scopes=found.token.scopes)
    members.disable(database, made.id, version=2, who="x", now=NOW)
    assert tokens.find(database, text, NOW) is None
    members.enable(database, made.id, version=3, who="x", now=NOW)
    assert tokens.find(database, text, NOW) is None, "what died stays dead"
    assert tokens.list_tokens(database, made.id)[0].revoked == NOW
