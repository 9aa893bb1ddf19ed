"""Who may do what, as it happens: every page and every act, for every role, for nobody, and for a member who was disabled."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.fakes.console_home import Furnished, furnish, furnish_token
from tests.fakes.console_server import Client, ConsoleServer, path_of, seen

from pilotbase.accounts import members
from pilotbase.console.contents import PAGES
from pilotbase.console.page import Page
from pilotbase.domain.account import PERMITS, ROLES, Member, Role, may

ACTS = [(page, act) for page in PAGES for act in page.acts]
NAMES = [page.name for page in PAGES]
ACT_NAMES = [f"{page.name}-{act}" for page, act in ACTS]
DOCUMENT = Path(__file__).parents[3] / "docs" / "console.md"


@dataclass
class Peopled:
    """A furnished base with one member of each role."""

    server: ConsoleServer
    furnished: Furnished
    people: Mapping[Role, Member]
    places: Mapping[str, str]

    def path(self, page: Page) -> str:
        return path_of(page.path, self.places)

    def client(self, role: Role) -> Client:
        return self.server.signed_in(self.people[role])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peopled]:
    furnished = furnish(tmp_path_factory.mktemp("access"))
    with ConsoleServer(furnished.home, furnished.time) as server:
        people = {role: server.member(f"{role}@base.example", role) for role in ROLES}
        server.member("second@base.example", "operator")  # so that the first may be disabled
        for one in people.values():
            furnish_token(server.context, one)
        places = {**furnished.places, "member": people["vendor"].id, "organisation": people["vendor"].organisation}
        yield Peopled(server=server, furnished=furnished, people=people, places=places)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_is_shown_to_those_who_may_see_it_and_is_not_there_for_others(base: Peopled, page: Page) -> None:
    for role in ROLES:
        answer = base.client(role).get(base.path(page))
        if may(base.people[role], page.permit):
            assert answer.status_code in (200, 303), (role, answer.status_code)
            assert not answer.headers.get("location", "").startswith("/console/sign-in")
        else:
            assert answer.status_code == 404, (role, answer.status_code)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_one_may_not_see_looks_like_what_is_not_there(base: Peopled, page: Page) -> None:
    for role in ROLES:
        if may(base.people[role], page.permit):
            continue
        client = base.client(role)
        hidden, missing = client.get(base.path(page)), client.get("/console/there-is-no-such-page")
        assert hidden.status_code == missing.status_code == 404
        assert _told(hidden.text) == _told(missing.text)


@pytest.mark.parametrize(("page", "act"), ACTS, ids=ACT_NAMES)
def test_an_act_is_refused_to_those_who_may_not_and_changes_nothing(base: Peopled, page: Page, act: str) -> None:
    for role in ROLES:
        member = base.people[role]
        if may(member, page.permit) and may(member, page.acts[act].permit):
            continue
        before = base.server.audited()
        answer = base.client(role).act(base.path(page), act, reason="because", why="because")
        assert answer.status_code == (403 if may(member, page.permit) else 404), (role, answer.status_code)
        assert base.server.audited() == before


@pytest.mark.parametrize(("page", "act"), ACTS, ids=ACT_NAMES)
def test_an_act_reaches_its_page_for_those_who_may(base: Peopled, page: Page, act: str) -> None:
    for role in ROLES:
        member = base.people[role]
        if not (may(member, page.permit) and may(member, page.acts[act].permit)):
            continue
        # Nothing is filled in: the page says so, or does what needs no words.
        answer = base.client(role).act(base.path(page), act)
        assert answer.status_code not in (403, 500), (role, answer.status_code, base.server.said)
        assert "/console/sign-in" not in answer.headers.get("location", "") or page.permit == "own"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_an_act_that_no_page_has_is_refused(base: Peopled, page: Page) -> None:
    before = base.server.audited()
    for act in ("", "no-such-act", "__class__"):
        assert base.client("operator").act(base.path(page), act).status_code in (400, 403, 404, 405, 422)
    assert base.server.audited() == before


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_who_is_not_signed_in_is_led_to_the_sign_in_and_does_nothing(base: Peopled, page: Page) -> None:
    visitor, path, before = base.server.visitor(), base.path(page), base.server.audited()
    answer = visitor.get(path)
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == "/console/sign-in"
    for act in page.acts or ("any",):
        answer = visitor.act(path, act)
        assert answer.status_code in (303, 403)
        assert answer.status_code == 403 or urlsplit(answer.headers["location"]).path == "/console/sign-in"
    assert base.server.audited() == before


def test_a_disabled_member_is_nobody_from_that_moment_on(base: Peopled) -> None:
    server = base.server
    leaver = server.member("leaver@base.example", "operator")
    client = server.signed_in(leaver)
    assert client.get("/console").status_code == 200
    members.disable(server.context.database, leaver.id, version=leaver.version, who="test", now=server.time.now())
    before = server.audited()
    for page in PAGES:
        path = base.path(page)
        assert client.get(path).status_code == 303, page.name
        for act in page.acts:
            assert client.act(path, act).status_code in (303, 403), (page.name, act)
    assert server.audited() == before


@pytest.mark.parametrize("role", ROLES)
def test_no_page_offers_a_form_that_would_be_refused(base: Peopled, role: Role) -> None:
    client, member = base.client(role), base.people[role]
    for page in PAGES:
        if not may(member, page.permit):
            continue
        for form in seen(client.get(base.path(page)).text).forms:
            act = form.fields.get("act")
            if form.method == "post" and act in page.acts and form.action in ("", base.path(page)):
                assert may(member, page.acts[act].permit), (page.name, act)


@pytest.mark.parametrize("role", ROLES)
def test_every_link_that_is_shown_leads_somewhere(base: Peopled, role: Role) -> None:
    client, todo, known = base.client(role), ["/console"], {"/console"}
    while todo and len(known) < 300:
        path = todo.pop()
        answer = client.get(path)
        assert answer.status_code in (200, 303), (path, answer.status_code)
        for link in [*seen(answer.text).links, answer.headers.get("location", "")]:
            target = urlsplit(link)
            assert target.scheme in ("", "data"), link
            found = f"{target.path}?{target.query}" if target.query else target.path
            if target.path.startswith("/") and "sign-out" not in target.path and found not in known:
                known.add(found)
                todo.append(found)
    assert {"/console", "/console/own"} <= known


def test_every_permit_of_a_page_or_an_act_is_somebodys() -> None:
    used = {page.permit for page in PAGES} | {page.acts[act].permit for page, act in ACTS}
    assert used <= set(PERMITS)


def test_the_table_in_the_documentation_is_the_one_of_the_code() -> None:
    told = DOCUMENT.read_text(encoding="utf-8")
    assert table() in told, f"put this into {DOCUMENT.name}:\n{table()}"


def table() -> str:
    """Permits and roles as a table in Markdown."""
    lines = [f"| permit | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
    lines += [f"| `{permit}` | {' | '.join('yes' if role in PERMITS[permit] else '-' for role in ROLES)} |" for permit in PERMITS]
    return "\n".join(lines)


def _told(page: str) -> str:
    """A page without what differs from one answer to the next: tokens, and the address that was asked for."""
    return re.sub(r'(name="csrf"[^>]*value|value|href|action)="[^"]*"', r"\1", page)
