"""Members' tokens: what one may do is decided in one place, and never more than its member may at that moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.account import PERMITS, ROLES, SCOPES, Member, Token, beyond, may

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PERMIT = st.sampled_from(sorted(PERMITS))
MEMBER = st.builds(
    Member,
    id=st.just("mem_1"), login=st.just("li"), name=st.just("Li"), organisation=st.just("org_1"), created=st.just(NOW),
    roles=st.sets(st.sampled_from(ROLES), min_size=1).map(tuple), disabled=st.none() | st.just(NOW),
)  # fmt: skip


@given(MEMBER, st.sets(PERMIT), PERMIT)
def test_a_token_never_does_more_than_its_member_nor_more_than_its_scopes(member: Member, scopes: set[str], permit: str) -> None:
    assert may(member, permit, scopes=scopes) == (may(member, permit) and permit in scopes)
    assert not may(None, permit, scopes=scopes) and not may(replace(member, disabled=NOW), permit, scopes=scopes)


@given(st.sets(st.sampled_from(ROLES), min_size=1), st.sets(st.sampled_from(SCOPES)))
def test_a_token_gives_only_roles_that_may_do_no_more_than_itself(roles: set[str], scopes: set[str]) -> None:
    given_away = {one for one in SCOPES if roles & PERMITS[one]}
    assert set(beyond(roles, scopes)) == given_away - scopes
    assert beyond(roles, None) == ()


def token(**more: object) -> Token:
    words = {"scopes": ("runs.read",), "expires": NOW + timedelta(days=90), **more}
    return Token(id="pbt_0", member="mem_1", name="nightly", created=NOW, **words)  # type: ignore[arg-type]


def test_a_token_needs_a_known_scope_a_name_and_an_end_within_a_year() -> None:
    assert not list(token().problems())
    day = timedelta(days=1)
    for wrong in ({"scopes": ()}, {"scopes": ("own",)}, {"scopes": ("all",)}, {"expires": NOW}, {"expires": NOW + 367 * day}):
        assert len(list(token(**wrong).problems())) == 1, wrong
    assert [token().state(at) for at in (NOW, NOW + 89 * day, NOW + 90 * day)] == ["active", "active", "expired"]
    assert token(revoked=NOW).state(NOW) == "revoked"
