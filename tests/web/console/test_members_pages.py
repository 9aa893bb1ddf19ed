"""Members and organisations: made, given roles, let in no more; an initial password is shown once."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.console import render, visit

from pilotbase.accounts import members, organisations, sessions
from pilotbase.console import rendering
from pilotbase.console.page import Page, To, Visit
from pilotbase.console.pages import members as pages
from pilotbase.context import Context, open_context
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.audit import entries
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
LIST, ONE = pages.PAGES
HOSTILE = "<b onmouseover=alert(1)>\"'&"
ONCE = re.compile(r'<p class="once">([^<]+)</p>')


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


@pytest.fixture
def chief(base: Context) -> Member:
    return members.create_first(
        base.database, login="chief", name="Chief", organisation="Base", password="a-long-enough-one", now=NOW
    )


def act(page: Page, word: str, seen: Visit, /, **form: str) -> To | str:
    """What a form of the page leads to: another page, or an answer as HTML."""
    done = page.acts[word].do(seen, form)
    return done if isinstance(done, To) else rendering.render(done, seen, page=page, csrf="token", act=word, form=form)


def made(base: Context, login: str = "wang", **roles: str) -> tuple[Member, str]:
    home = organisations.list_organisations(base.database)[0]
    form = {"login": login, "name": "Wang Fang", "organisation": home.id, **(roles or {"role-engineer": "yes"})}
    shown = act(LIST, "create", visit(base), **form)
    assert isinstance(shown, str)
    found = members.find_login(base.database, login)
    assert found is not None
    return found, ONCE.findall(shown)[0]


def of(base: Context, member: Member, **more: str) -> Visit:
    return visit(base, place={"member": member.id}, **more)  # type: ignore[arg-type]


def test_a_new_member_gets_a_password_that_is_shown_once_and_works(base: Context, chief: Member) -> None:
    member, password = made(base, **{"role-engineer": "yes", "role-reviewer": "yes"})
    assert member.roles == ("engineer", "reviewer") and chief.organisation == member.organisation
    assert members.sign_in(base.database, "wang", password, "10.0.0.9", NOW).id == member.id
    assert password not in render(LIST, visit(base)) and "Wang Fang" in render(LIST, visit(base))
    entry = entries(base.database, limit=5)
    assert password not in str(entry) and any(one.who == "member:operator" and one.action == "member.create" for one in entry)


def test_wrong_wishes_for_a_member_are_refused_and_nothing_is_made(base: Context, chief: Member) -> None:
    good = {"login": "wang", "name": "Wang", "organisation": chief.organisation, "role-engineer": "yes"}
    for wrong in ({"login": "<b>"}, {"login": "chief"}, {"name": ""}, {"organisation": "nothing"}, {"role-engineer": ""}):
        with pytest.raises(UserError):
            act(LIST, "create", visit(base), **{**good, **wrong})
    assert [one.login for one in members.list_members(base.database)] == ["chief"]


def test_organisations_are_added_renamed_and_filter_the_list(base: Context, chief: Member) -> None:
    act(LIST, "create-organisation", visit(base), name="No. 1 Hospital")
    other = organisations.find_named(base.database, "No. 1 Hospital")
    assert other is not None
    done = act(LIST, "rename-organisation", visit(base), organisation=other.id, name="No. 2 Hospital")
    assert isinstance(done, To) and "No. 2 Hospital" in done.note
    form = {"login": "zhao", "name": "Zhao", "organisation": other.id, "role-owner": "yes"}
    act(LIST, "create", visit(base), **form)
    shown = render(LIST, visit(base, query={"organisation": other.id}))
    assert "zhao" in shown and ">chief<" not in shown and "Members of No. 2 Hospital." in shown
    with pytest.raises(UserError):
        act(LIST, "create-organisation", visit(base), name="No. 2 Hospital")


def test_roles_are_changed_from_the_version_that_was_seen(base: Context, chief: Member) -> None:
    member, _ = made(base)
    form = {"version": str(member.version), "role-auditor": "yes"}
    assert "This is you" not in render(ONE, of(base, member))
    assert isinstance(act(ONE, "roles", of(base, member), **form), To)
    assert members.find(base.database, member.id).roles == ("auditor",)  # type: ignore[union-attr]
    with pytest.raises(UserError) as caught:
        act(ONE, "roles", of(base, member), **form)
    assert caught.value.status == 409
    with pytest.raises(UserError):
        act(ONE, "roles", of(base, member), **{"version": "x", "role-auditor": "yes"})


def test_the_last_operator_stays(base: Context, chief: Member) -> None:
    for word, form in (("disable", {}), ("roles", {"role-auditor": "yes"})):
        with pytest.raises(UserError, match="last operator"):
            act(ONE, word, of(base, chief), version=str(chief.version), **form)


def test_a_member_is_let_in_no_more_and_again(base: Context, chief: Member) -> None:
    member, _ = made(base)
    token, _csrf = sessions.begin(base.database, member.id, NOW)
    assert isinstance(act(ONE, "disable", of(base, member), version=str(member.version)), To)
    assert sessions.find(base.database, token, NOW) is None
    assert "disabled" in render(ONE, of(base, member)) and "Let this member in again" in render(ONE, of(base, member))
    now = members.find(base.database, member.id)
    assert now is not None
    act(ONE, "enable", of(base, member), version=str(now.version))
    assert members.find(base.database, member.id) == replace(member, version=now.version + 1)


def test_another_password_is_shown_once_and_ends_all_sessions(base: Context, chief: Member) -> None:
    member, old = made(base)
    token, _csrf = sessions.begin(base.database, member.id, NOW)
    shown = act(ONE, "password", of(base, member), version=str(member.version))
    assert isinstance(shown, str)
    new = ONCE.findall(shown)[0]
    assert new != old and new not in render(ONE, of(base, member))
    assert sessions.find(base.database, token, NOW) is None
    assert members.sign_in(base.database, "wang", new, "10.0.0.9", NOW).id == member.id


def test_an_auditor_reads_and_changes_nothing(base: Context, chief: Member) -> None:
    member, _ = made(base)
    for shown in (render(LIST, visit(base, role="auditor")), render(ONE, of(base, member, role="auditor"))):
        assert "wang" in shown and 'class="panel"' not in shown
    assert {one.permit for page in pages.PAGES for one in page.acts.values()} == {"members.write"}


def test_what_people_typed_is_shown_as_text(base: Context, chief: Member) -> None:
    act(LIST, "create-organisation", visit(base), name=HOSTILE)
    form = {"login": "evil", "name": HOSTILE, "organisation": chief.organisation, "role-vendor": "yes"}
    shown = act(LIST, "create", visit(base), **form)
    evil = members.find_login(base.database, "evil")
    assert evil is not None and isinstance(shown, str)
    for page in (shown, render(LIST, visit(base)), render(ONE, of(base, evil))):
        assert "<b onmouseover" not in page
    assert "&lt;b onmouseover" in render(LIST, visit(base))


def test_a_member_who_is_not_there_is_told_as_404(base: Context) -> None:
    with pytest.raises(UserError) as caught:
        render(ONE, visit(base, place={"member": "mem_none"}))
    assert caught.value.status == 404


def test_pages_are_chinese_where_the_member_reads_chinese(base: Context, chief: Member) -> None:
    for shown in (render(LIST, visit(base, language="zh")), render(ONE, of(base, chief, language="zh"))):
        for english in ("Members<", "Roles", "operator:", "Login<", "Organisation", "Save the roles", "runs the base", "Actions"):
            assert english not in shown
        assert "运营管理员" in shown
