"""Who may do what, for a page and for a row that belongs to organisations."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pilotbase.domain.account import OUTSIDE, PERMITS, ROLES, Member, Role, may

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def member(*roles: Role, organisation: str = "org_1") -> Member:
    return Member(id="m", login="li", name="Li", organisation=organisation, roles=roles, created=NOW)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("permit", PERMITS)
def test_a_role_has_what_the_table_says_and_outsiders_only_for_their_own_rows(role: Role, permit: str) -> None:
    one, allowed = member(role), role in PERMITS[permit]  # type: ignore[index]
    assert may(one, permit) == allowed
    assert may(one, permit, ["org_1", "org_2"]) == allowed
    assert may(one, permit, ["org_2"]) == may(one, permit, []) == (allowed and role not in OUTSIDE)


def test_a_second_role_adds_and_nobody_gets_nothing() -> None:
    assert may(member("vendor", "operator"), "releases.read", ["org_2"])
    assert not may(member("vendor", "owner"), "releases.read", ["org_2"])
    assert not may(None, "own") and not may(member("operator"), "no.such.permit")
    assert not may(replace(member("operator"), disabled=NOW), "own")
