"""The console's shell over HTTP, in this process: doors, sessions, forms, errors, files, and what the workers pass on."""

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pilotbase.accounts import members, sessions
from pilotbase.console.app import make_console
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.pages import home, own
from pilotbase.context import Context, open_context
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.set_up import code_path, set_up_code
from pilotbase.gateway.proxy import _onward, behind
from pilotbase.server.site import make_site
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSWORD = "quiet-harbour-42"
OWN = {"origin": "http://base"}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


class Browser:
    """One browser: it keeps cookies, follows nothing, and says where a form comes from."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, form: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://base", cookies=self.cookies) as client:
                told = await client.request(method, path, data=form, headers=headers or {})
                self.cookies = client.cookies
                return told

        return asyncio.run(send())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        return self.ask("POST", path, form, {**OWN, **headers})

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]*)"', self.get("/console/own").text)
        assert found is not None
        return found.group(1)

    def act(self, path: str, act: str, **form: str) -> httpx.Response:
        return self.post(path, {"csrf": self.csrf(), "act": act, **form})


class Base:
    """A base with a console, whose pages a test may choose."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.context = context
        self.clock = clock
        self.said: list[str] = []

    def browser(self, *pages: Page, public_url: str | None = None) -> Browser:
        shown = (*home.PAGES, *own.PAGES, *pages)
        return Browser(make_console(self.context, pages=shown, public_url=public_url, say=self.said.append))

    def first(self) -> None:
        members.create_first(
            self.context.database, login="li", name="Li Wei", organisation="Base", password=PASSWORD, now=self.clock.now()
        )

    def signed_in(self, *pages: Page) -> Browser:
        self.first()
        browser = self.browser(*pages)
        assert browser.post("/console/sign-in", {"login": "li", "password": PASSWORD}).status_code == 303
        return browser


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    clock = Clock()
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=clock, secrets={}.get) as context:
        yield Base(context, clock)


def page(show: Callable[[Visit], Shown | To], **acts: Act) -> Page:
    return Page(name="probe", path="/console/probe", title="Home", permit="members.read", show=show, acts=acts)


def shown(visit: Visit) -> Shown:
    (page,) = home.PAGES
    found = page.show(visit)
    assert isinstance(found, Shown)
    return found


def test_the_first_visit_sets_the_base_up_with_the_code_that_the_server_keeps(base: Base) -> None:
    code = set_up_code(base.context)
    assert code is not None
    assert set_up_code(base.context) == code
    assert code_path(base.context).stat().st_mode & 0o077 == 0
    browser = base.browser()
    assert browser.get("/").headers["location"] == "/console"
    assert browser.get("/console").headers["location"] == "/console/sign-in"
    assert browser.get("/console/sign-in").headers["location"] == "/console/set-up"
    form = {"login": "li", "name": "Li", "organisation": "市立医院", "password": PASSWORD, "again": PASSWORD, "code": "wrong"}
    refused = browser.post("/console/set-up", form)
    assert refused.status_code == 403
    assert "市立医院" in refused.text
    assert PASSWORD not in refused.text
    assert browser.post("/console/set-up", {**form, "code": code, "again": "another"}).status_code == 422
    made = browser.post("/console/set-up", {**form, "code": code.upper()})
    assert (made.status_code, made.headers["location"]) == (303, "/console")
    assert browser.get("/console").status_code == 200
    assert not code_path(base.context).exists()
    assert set_up_code(base.context) is None
    assert base.browser().post("/console/set-up", {**form, "code": code, "login": "eve"}).status_code == 404


def test_signing_in_leads_back_to_where_one_wanted_to_go(base: Base) -> None:
    base.first()
    browser = base.browser()
    away = browser.get("/console/own?a=1").headers["location"]
    assert away == "/console/sign-in?next=%2Fconsole%2Fown%3Fa%3D1"
    assert browser.post(away, {"login": "li", "password": "wrong"}).status_code == 401
    told = browser.post(away, {"login": "LI ", "password": PASSWORD})
    assert (told.status_code, told.headers["location"]) == (303, "/console/own?a=1")
    cookie = told.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/console" in cookie
    assert "secure" not in cookie


def test_each_sign_in_is_a_new_session_and_the_old_one_ends(base: Base) -> None:
    browser = base.signed_in()
    old = browser.cookies["pilotbase_session"]
    browser.post("/console/sign-in", {"login": "li", "password": PASSWORD})
    assert browser.cookies["pilotbase_session"] != old
    assert sessions.find(base.context.database, old, NOW) is None


def test_signing_out_ends_the_session_and_a_session_that_is_not_used_ends_by_itself(base: Base) -> None:
    browser = base.signed_in()
    token = browser.cookies["pilotbase_session"]
    assert browser.post("/console/sign-out", {"csrf": "wrong"}).status_code == 403
    base.clock.at += timedelta(hours=13)
    assert browser.get("/console").status_code == 303
    base.clock.at = NOW
    assert browser.post("/console/sign-out", {"csrf": browser.csrf()}).headers["location"] == "/console/sign-in"
    assert sessions.find(base.context.database, token, NOW) is None


def test_too_many_wrong_passwords_have_to_wait_and_are_told_how_long(base: Base) -> None:
    base.first()
    browser = base.browser()
    told = [browser.post("/console/sign-in", {"login": "li", "password": f"wrong-{i}"}) for i in range(12)]
    assert told[-1].status_code == 429
    assert int(told[-1].headers["retry-after"]) > 0
    assert "429" not in told[-1].headers["retry-after"]


def test_a_form_does_what_it_says_and_leaves_a_note_that_is_shown_once(base: Base) -> None:
    def do(visit: Visit, form: Any) -> To:
        assert dict(form) == {"word": "zwölf"}
        return To(path="/console/probe", note="It is done <now>.")

    browser = base.signed_in(page(shown, go=Act(permit="members.write", do=do)))
    done = browser.act("/console/probe", "go", word="zwölf")
    assert (done.status_code, done.headers["location"]) == (303, "/console/probe")
    assert "It is done &lt;now&gt;." in browser.get("/console/probe").text
    assert "It is done" not in browser.get("/console/probe").text


@pytest.mark.parametrize(
    "wrong",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://base:81"}, {"csrf": "other"}, {"csrf": ""}],
)
def test_a_form_that_is_not_of_this_session_and_this_site_does_nothing(base: Base, wrong: dict[str, str]) -> None:
    done: list[str] = []

    def do(visit: Visit, form: Any) -> To:
        done.append("done")
        return To(path="/console")

    browser = base.signed_in(page(shown, go=Act(permit="own", do=do)))
    form = {"csrf": wrong.get("csrf", browser.csrf()), "act": "go"}
    headers = {name: value for name, value in wrong.items() if name == "origin"}
    assert browser.post("/console/probe", form, **headers).status_code == 403
    assert done == []


def test_what_one_may_not_see_looks_like_what_is_not_there(base: Base) -> None:
    def gone(visit: Visit) -> Shown:
        raise UserError("there is no incident `x`", status=404)

    operator = base.signed_in(page(gone))
    vendor_view = base.browser(page(shown))
    li = members.find_login(base.context.database, "li")
    assert li is not None
    members.create(
        base.context.database,
        login="vendor",
        name="Vendor",
        organisation=li.organisation,
        roles=("vendor",),
        password=PASSWORD,
        who="test",
        now=NOW,
    )
    vendor_view.post("/console/sign-in", {"login": "vendor", "password": PASSWORD})
    plain = re.compile(r'value="[^"]*"')

    def seen(browser: Browser, path: str) -> tuple[int, str]:
        told = browser.get(path)
        return told.status_code, plain.sub("", told.text)

    assert seen(vendor_view, "/console/probe") == seen(vendor_view, "/console/nothing")
    assert seen(operator, "/console/probe") == seen(operator, "/console/nothing")
    assert seen(operator, "/console/probe")[0] == 404


def test_a_refused_form_is_shown_again_with_what_was_filled_in(base: Base) -> None:
    browser = base.signed_in()
    told = browser.act("/console/own", "profile", name="x" * 121, language="", theme="")
    assert told.status_code == 422
    assert "x" * 121 in told.text
    assert 'role="alert"' in told.text


def test_several_problems_at_once_are_all_told(base: Base) -> None:
    def do(visit: Visit, form: Any) -> To:
        raise InvalidInput("it is wrong", ["line <1>", "line 2"], hint="mend them")

    told = base.signed_in(page(shown, go=Act(permit="own", do=do))).act("/console/probe", "go")
    assert told.status_code in (400, 422)
    assert "line &lt;1&gt;" in told.text
    assert "mend them" in told.text


def test_a_fault_is_told_with_a_number_and_without_its_words(base: Base) -> None:
    def broken(visit: Visit) -> Shown:
        raise RuntimeError("secret-of-a-patient")

    told = base.signed_in(page(broken)).get("/console/probe")
    assert told.status_code == 500
    (line,) = base.said
    number = line.split()[1]
    assert number in told.text
    assert "secret-of-a-patient" not in told.text + line


def test_a_form_that_is_too_large_is_refused(base: Base) -> None:
    browser = base.signed_in()
    assert browser.act("/console/own", "profile", name="x" * (1 << 20)).status_code == 413


def test_language_and_theme_are_kept_in_the_browser_and_then_with_the_member(base: Base) -> None:
    base.first()
    browser = base.browser()
    assert 'lang="zh-CN"' in browser.get("/console/sign-in", **{"accept-language": "zh-CN,zh;q=0.9"}).text
    told = browser.post(
        "/console/look", {"language": "zh", "theme": "dark"}, referer="http://base/console/sign-in?next=%2Fconsole"
    )
    assert told.headers["location"] == "/console/sign-in?next=%2Fconsole"
    assert 'lang="zh-CN" data-theme="dark"' in browser.get("/console/sign-in").text
    browser.post("/console/sign-in", {"login": "li", "password": PASSWORD})
    assert "首页" in browser.get("/console").text
    browser.post("/console/look", {"csrf": browser.csrf(), "language": "en"})
    again = base.browser()
    again.post("/console/sign-in", {"login": "li", "password": PASSWORD})
    assert 'lang="en"' in again.get("/console", **{"accept-language": "zh"}).text
    assert browser.post("/console/look", {"language": "zh"}).status_code == 403


def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(base: Base) -> None:
    browser, other = base.signed_in(), base.browser()
    other.post("/console/sign-in", {"login": "li", "password": PASSWORD})
    new = "another-harbour-43"
    assert browser.act("/console/own", "password", old="wrong", new=new, again=new).status_code == 422
    assert browser.act("/console/own", "password", old=PASSWORD, new=new, again="not that").status_code == 422
    assert browser.act("/console/own", "password", old=PASSWORD, new=new, again=new).status_code == 303
    assert browser.get("/console").status_code == 200
    assert other.get("/console").status_code == 303
    assert other.post("/console/sign-in", {"login": "li", "password": PASSWORD}).status_code == 401


def test_one_signs_out_elsewhere_from_ones_own_page(base: Base) -> None:
    browser, second, third = base.signed_in(), base.browser(), base.browser()
    for one in (second, third):
        one.post("/console/sign-in", {"login": "li", "password": PASSWORD})
    ids = re.findall(r'name="session" value="(\w+)"', browser.get("/console/own").text)
    assert len(ids) == 2
    browser.act("/console/own", "end", session=ids[0])
    assert sorted(one.get("/console").status_code for one in (second, third)) == [200, 303]
    browser.act("/console/own", "end-all")
    assert {one.get("/console").status_code for one in (second, third)} == {303}
    assert browser.get("/console").status_code == 200


def test_files_are_kept_for_good_and_pages_never(base: Base) -> None:
    browser = base.signed_in()
    told = browser.get("/console")
    assert told.headers["cache-control"] == "no-store"
    for path in re.findall(r'(?:href|src)="(/console/static/[^"]+)"', told.text):
        file = browser.get(path)
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]
        assert "default-src 'none'" in file.headers["content-security-policy"]
    assert browser.get("/console/static/console.css").status_code == 404


def test_where_browsers_come_by_tls_cookies_do_too(base: Base) -> None:
    base.first()
    browser = base.browser(public_url="https://pilot.example")
    told = browser.post("/console/sign-in", {"login": "li", "password": PASSWORD}, origin="https://pilot.example")
    assert told.status_code == 303
    assert "secure" in told.headers["set-cookie"].lower()


def test_one_site_serves_the_administration_api_and_the_console(base: Base) -> None:
    base.first()
    browser = Browser(make_site(base.context, b"p" * 32))
    assert browser.get("/api/v1/routes").status_code == 401
    assert browser.get("/console/sign-in").status_code == 200
    assert browser.get("/").headers["location"] == "/console"


def test_a_worker_tells_the_clients_address_and_drops_what_a_client_says_of_itself() -> None:
    told = [
        (b"host", b"base"),
        (b"host", b"evil"),
        (b"x-pilotbase-client", b"6.6.6.6"),
        (b"connection", b"close"),
        (b"cookie", b"a=b"),
    ]
    onward = list(_onward({"headers": told, "client": ("203.0.113.5", 4711)}))
    assert onward == [(b"host", b"base"), (b"cookie", b"a=b"), (b"x-pilotbase-client", b"203.0.113.5")]
    assert all(name != b"x-pilotbase-client" for name, _ in _onward({"headers": told, "client": None}))


@pytest.mark.parametrize(
    ("path", "passed"),
    [
        ("/", True),
        ("/api", True),
        ("/api/v1", True),
        ("/console", True),
        ("/console/own", True),
        ("/consoles", False),
        ("/v1/x", False),
    ],
)
def test_workers_pass_on_what_is_the_consoles_and_administrations(path: str, passed: bool) -> None:
    assert behind(path) is passed


@pytest.mark.parametrize(
    "wrong", ["base.example", "ftp://base.example", "https://", "https://u:p@base", "https://base/x", "http://[x"]
)
def test_a_public_address_that_is_none_is_refused(base: Base, wrong: str) -> None:
    with pytest.raises(UserError, match="not the address of a site"):
        make_site(base.context, b"p" * 32, public_url=wrong)
