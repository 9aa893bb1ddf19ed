"""Tokens on the console: one's own are made and shown once, listed and revoked; an operator revokes those of others."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.console import act, render, visit

from pilotbase.accounts import members, tokens
from pilotbase.console.page import To, Visit
from pilotbase.console.pages import members as member_pages
from pilotbase.console.pages import tokens as pages
from pilotbase.console.visits import SignedVisit
from pilotbase.console.words import speak
from pilotbase.context import Context, open_context
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
(PAGE,) = pages.PAGES
MEMBER = member_pages.PAGES[1]
ONCE = re.compile(r'<p class="once">([^<]+)</p>')
FORM = {"name": "nightly", "scope-runs.read": "yes", "expires": "30d"}


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


def by(base: Context, member: Member) -> Visit:
    return SignedVisit(context=base, member=member, language="en", t=speak("en"))


def made(base: Context, member: Member, **form: str) -> str:
    shown = act(PAGE, "create", by(base, member), **{**FORM, **form})
    assert isinstance(shown, str)
    return ONCE.findall(shown)[0]


def test_a_token_is_shown_once_works_and_is_revoked_by_its_member(base: Context, chief: Member) -> None:
    assert "You have no tokens yet." in render(PAGE, by(base, chief))
    text = made(base, chief)
    found = tokens.find(base.database, text, NOW)
    assert found is not None and found.token.scopes == ("runs.read",) and (found.token.expires - NOW).days == 30
    listed = render(PAGE, by(base, chief))
    assert text not in listed and text[15:] not in listed and "nightly" in listed and found.token.id in listed
    done = act(PAGE, "revoke", by(base, chief), token=found.token.id)
    assert isinstance(done, To) and tokens.find(base.database, text, NOW) is None


def test_nobody_revokes_anothers_token_on_the_own_page(base: Context, chief: Member) -> None:
    found = tokens.find(base.database, made(base, chief), NOW)
    assert found is not None
    with pytest.raises(UserError, match="there is no token"):
        act(PAGE, "revoke", visit(base, role="engineer"), token=found.token.id)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"scope-runs.read": ""}, {"expires": ""}, {"expires": "9999d"}, {"name": "x" * 200}]
)
def test_wrong_wishes_for_a_token_are_refused_and_nothing_is_made(base: Context, chief: Member, wrong: dict[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        act(PAGE, "create", by(base, chief), **{**FORM, **wrong})
    assert caught.value.status == 422 and tokens.list_tokens(base.database, chief.id) == []


def test_only_scopes_that_the_member_may_do_are_offered(base: Context) -> None:
    shown = render(PAGE, visit(base, role="owner"))
    assert "scope-releases.read" in shown and "scope-members.write" not in shown and "scope-own" not in shown
    with pytest.raises(UserError, match="may not do"):
        act(PAGE, "create", visit(base, role="owner"), **{**FORM, "scope-members.write": "yes"})


def test_an_operator_sees_and_revokes_the_tokens_of_a_member(base: Context, chief: Member) -> None:
    text = made(base, chief)
    found = tokens.find(base.database, text, NOW)
    assert found is not None
    place = {"member": chief.id}
    assert "nightly" in render(MEMBER, visit(base, place=place))
    assert 'value="revoke-token"' not in render(MEMBER, visit(base, role="auditor", place=place))
    assert isinstance(act(MEMBER, "revoke-token", visit(base, place=place), token=found.token.id), To)
    assert tokens.find(base.database, text, NOW) is None
