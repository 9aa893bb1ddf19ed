"""Who may do what over the API: every operation, for every role's token, an admin key, a customer's key and nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from httpx2 import Response
from tests.fakes.api import Api, api_of

from pilotbase.accounts import members
from pilotbase.api.access import PERMIT
from pilotbase.console.contents import PAGES
from pilotbase.domain.account import PERMITS, ROLES, SCOPES, may
from pilotbase.store.audit import entries


class Time:
    moment = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_of(tmp_path_factory.mktemp("access") / "home") as found:
        yield found


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with api_of(tmp_path / "home") as found:
        yield found


def asked(api: Api, method: str, path: str, key: str | None) -> Response:
    """The operation with an empty body, of things that are not there."""
    return api.ask(method, path.replace("{form}", "json"), {} if method in ("POST", "PUT") else None, key=key)


def refused(answer: Response) -> bool:
    """Whether it was the caller that was refused; what is not there is told with what to do."""
    return answer.status_code in (401, 403) or (answer.status_code == 404 and "hint" not in answer.json())


def test_every_operation_names_a_permit_that_is_somebodys(base: Api) -> None:
    named = {place: told.get(PERMIT) for place, told in base.operations().items()}
    assert {place for place, permit in named.items() if permit not in SCOPES} == set()
    pages = {page.permit for page in PAGES} | {act.permit for page in PAGES for act in page.acts.values()}
    assert pages | set(named.values()) == set(PERMITS), "a permit that nothing asks for is a promise that nothing keeps"


def test_every_operation_is_done_for_those_who_may_and_for_nobody_else(base: Api) -> None:
    texts = {role: base.token(role) for role in ROLES}
    for (method, path), told in base.operations().items():
        permit = told[PERMIT]
        for role, text in texts.items():
            answer = asked(base, method, path, text)
            assert answer.status_code != 500
            assert refused(answer) != may(base.member(role), permit), (method, path, role, answer.text)
        assert not refused(asked(base, method, path, "")), (method, path)
        assert asked(base, method, path, None).status_code == 401, (method, path)


def test_what_one_may_not_see_looks_like_what_is_not_there_and_what_one_may_not_do_is_said(base: Api) -> None:
    owner = base.token("owner")
    for path in ("/api/v1/runs", "/api/v1/audit", "/api/v1/members/mem_x"):
        hidden, missing = base.ask("GET", path, key=owner), base.ask("GET", "/api/v1/nothing", key=owner)
        assert (hidden.status_code, hidden.json()) == (404, missing.json())
    assert base.ask("POST", "/api/v1/releases/r/pause", {"why": "x"}, key=owner).status_code == 403
    assert base.ask("POST", "/api/v1/keys", {"name": "x"}, key=owner).status_code == 404


def test_a_token_does_only_what_its_scopes_name(base: Api) -> None:
    text = base.token("operator", scopes=["runs.read"], login="narrow")
    for (method, path), told in base.operations().items():
        answer = asked(base, method, path, text)
        if told[PERMIT] == "runs.read":
            assert not refused(answer), (method, path)
        else:
            assert answer.status_code == 403
            assert f'error="insufficient_scope", scope="{told[PERMIT]}"' in answer.headers["www-authenticate"]


def test_a_token_loses_what_its_member_loses_and_ends_with_the_member(api: Api) -> None:
    api.member("operator")
    text = api.token("auditor")
    assert api.ask("GET", "/api/v1/audit", key=text).status_code == 200
    member, now = api.member("auditor"), api.context.clock.now()
    changed = members.set_roles(api.context.database, member.id, ["vendor"], version=1, who="test", now=now)
    assert api.ask("GET", "/api/v1/audit", key=text).status_code == 404
    assert api.ask("GET", "/api/v1/health", key=text).status_code == 200
    members.disable(api.context.database, member.id, version=changed.version, who="test", now=now)
    assert api.ask("GET", "/api/v1/health", key=text).status_code == 401


def test_a_token_ends_when_it_is_revoked_and_when_it_expires(tmp_path: Path) -> None:
    time = Time()
    with api_of(tmp_path / "home", clock=time) as api:
        first, second = api.token("auditor"), api.token("auditor")
        api.revoke(first)
        assert [api.ask("GET", "/api/v1/health", key=one).status_code for one in (first, second)] == [401, 200]
        time.moment += timedelta(days=30)
        assert api.ask("GET", "/api/v1/health", key=second).status_code == 401


def test_a_token_cannot_climb_over_its_scopes_by_a_key_a_role_or_a_member(api: Api) -> None:
    text = api.token("operator", scopes=["keys.read", "keys.write", "members.read", "members.write"])
    other = api.member("vendor")
    for path, body in (
        ("/api/v1/keys", {"name": "mine", "admin": True}),
        ("/api/v1/keys/admin/rotate", {}),
        ("/api/v1/members", {"login": "me", "name": "Me", "organisation": other.organisation, "roles": ["operator"]}),
    ):
        answer = api.ask("POST", path, body, key=text)
        assert answer.status_code == 403 and answer.json()["hint"], path
    answer = api.ask("PUT", f"/api/v1/members/{other.id}/roles", {"roles": ["engineer"]}, key=text)
    assert answer.status_code == 403 and "runs.read" in answer.json()["detail"]
    assert api.ask("POST", "/api/v1/keys", {"name": "customer"}, key=text).status_code == 201
    assert members.find(api.context.database, other.id) == other


def test_changes_through_a_token_are_on_record_under_its_member_and_its_id(api: Api) -> None:
    text = api.token("operator")
    api.ask("POST", "/api/v1/stops", {"name": "ALL", "why": "fire"}, key=text)
    found = entries(api.context.database, action="stop")
    assert [one.who for one in found] == [f"member:operator/{text[:14]}"]
    assert entries(api.context.database, who="member:operator", action="stop") == found
